"""Batches of files: what is planned, skipped, failed and left behind."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from medgan.errors import FileError, OutputError
from medgan.inference import job
from medgan.inference.planning import Request, plan
from medgan.inference.quality import QualityRecord
from medgan.inference.translator import VolumeTranslation
from medgan.io import read_volume, write_volume
from medgan.io.batch.manifest import MANIFEST
from medgan.volumes import Volume

AFFINE = np.diag([1, 2, 3, 1.0])


class Doubling:
    """Stands in for a translator: MR to CT by doubling, with one attention and two contents."""

    source, target = "MR", "CT"
    contrasts = 1
    bf16 = False

    def __init__(self, sha256="one"):
        self.model = SimpleNamespace(sha256=sha256)

    def require_contrasts(self, count):
        assert count == self.contrasts

    def __call__(self, volume, *, also=(), details=False):
        made = volume.with_array(volume.array * 2, modality="CT", synthetic=True)
        if not details:
            return VolumeTranslation(made)
        return VolumeTranslation(made, volume, contents=(made, made))


@pytest.fixture(autouse=True)
def unmeasured(monkeypatch):
    """Arrays of one value stand in for scans here: no body is in them that could be judged."""

    def examine(translator, result, source, *, fingerprint, findings=(), repairs=(), warnings=()):
        return QualityRecord(
            "", source, fingerprint, "", {}, "fp32", "", None, findings, None, repairs, warnings
        )

    monkeypatch.setattr(job, "examine", examine)


def planned(source, target, model="one", **changes):
    return plan(Request(Path("model"), source, target, **changes), Doubling(model))


def done(source, target, model="one", **changes):
    batch = planned(source, target, model, **changes)
    list(batch)
    return batch.rows


def write(path, value=3):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_volume(Volume(np.full((4, 5, 6), value, np.int16), AFFINE, "MR"), path)
    return path


def names(folder):
    found = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
    return [name for name in found if name != MANIFEST and not name.endswith(".qc.json")]


def test_a_folder_is_mirrored_through_and_through(tmp_path):
    sources = ["a.nii.gz", "b/c.mha", "b/d/1.2.840.nrrd"]
    for name in sources:
        write(tmp_path / "in" / name)
    (tmp_path / "in" / "notes.txt").write_text("not an image")
    rows = done(tmp_path / "in", tmp_path / "out")
    assert [(row.source, row.status) for row in rows] == [
        *((name, "translated") for name in sources),
        ("notes.txt", "skipped"),
    ]
    assert names(tmp_path / "out") == sources
    result = read_volume(tmp_path / "out" / "b" / "c.mha")
    assert (result.array == 6).all()
    np.testing.assert_allclose(result.affine, AFFINE)
    assert result.synthetic


@pytest.mark.parametrize(
    ("to", "suffix"), [("nifti", ".nii.gz"), ("mha", ".mha"), ("nrrd", ".nrrd")]
)
def test_the_format_of_a_folder_can_be_changed(tmp_path, to, suffix):
    write(tmp_path / "in" / "x" / "1.2.3.nii")
    (row,) = done(tmp_path / "in", tmp_path / "out", to=to)
    assert row.output == str(tmp_path / "out" / "x" / f"1.2.3{suffix}")
    assert read_volume(row.output).array.max() == 6


def test_a_detached_header_keeps_its_data_beside_it(tmp_path):
    write(tmp_path / "in" / "a.mhd")
    done(tmp_path / "in", tmp_path / "out")
    assert read_volume(tmp_path / "out" / "a.mhd").array.max() == 6


def test_a_file_goes_to_the_file_named_and_nothing_else_is_left(tmp_path):
    source = write(tmp_path / "t1.nii.gz")
    (row,) = done(source, tmp_path / "new" / "ct.mha")
    assert (row.source, row.output) == ("t1.nii.gz", str(tmp_path / "new" / "ct.mha"))
    left = sorted(path.name for path in (tmp_path / "new").iterdir())
    assert left == ["ct.mha", "ct.mha.qc.json"]


def test_nothing_to_translate_is_said(tmp_path):
    with pytest.raises(FileError, match="no such file or folder"):
        planned(tmp_path / "absent", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileError, match="no volume in this folder"):
        planned(tmp_path / "empty", tmp_path / "out")
    (tmp_path / "text.txt").write_text("not an image")
    with pytest.raises(FileError, match="holds no volume"):
        planned(tmp_path / "text.txt", tmp_path / "out")


def test_a_folder_cannot_be_the_file_to_write_nor_a_file_the_folder(tmp_path):
    source = write(tmp_path / "in" / "a.nii")
    taken = tmp_path / "taken"
    taken.write_text("a file")
    with pytest.raises(OutputError, match="folder"):
        planned(source, tmp_path / "in")
    with pytest.raises(OutputError, match="folder"):
        planned(tmp_path / "in", taken)


@pytest.mark.parametrize("name", ["out.nii", "out"])
def test_finished_files_are_skipped_unless_they_may_be_replaced(tmp_path, name):
    source = write(tmp_path / "in" / "a.nii")
    chosen = source if name.endswith(".nii") else source.parent
    target = tmp_path / name
    (row,) = done(chosen, target)
    assert row.status == "translated"
    written = Path(row.output).stat().st_mtime_ns
    (again,) = done(chosen, target)
    assert (again.status, again.output) == ("skipped", row.output)
    assert Path(row.output).stat().st_mtime_ns == written
    (once_more,) = done(chosen, target, overwrite=True)
    assert once_more.status == "translated"
    assert Path(row.output).stat().st_mtime_ns > written


def test_a_result_of_another_source_or_model_is_made_anew(tmp_path):
    source = write(tmp_path / "in" / "a.nii")
    done(source.parent, tmp_path / "out")
    write(source, value=5)
    (row,) = done(source.parent, tmp_path / "out")
    assert row.status == "translated"
    assert (read_volume(row.output).array == 10).all()
    assert done(source.parent, tmp_path / "out")[0].status == "skipped"
    assert done(source.parent, tmp_path / "out", model="two")[0].status == "translated"


def test_a_file_of_others_stays_unless_it_may_be_replaced(tmp_path):
    source = write(tmp_path / "in" / "a.nii")
    theirs = write(tmp_path / "out" / "a.nii", value=7)
    for _ in range(2):
        (row,) = done(source.parent, tmp_path / "out")
        assert (row.status, row.reason) == ("skipped", "is there already")
        assert (read_volume(theirs).array == 7).all()
    done(source.parent, tmp_path / "out", overwrite=True)
    assert (read_volume(theirs).array == 6).all()


@pytest.mark.parametrize("other", ["scan", "model", "record"])
def test_a_file_named_that_is_another_result_is_refused(tmp_path, other):
    source, target = write(tmp_path / "t1.nii"), tmp_path / "ct.nii"
    done(source, target)
    if other == "scan":
        source = write(tmp_path / "another.nii", value=5)
    elif other == "record":
        target.with_name("ct.nii.qc.json").write_text("{")
    model = "two" if other == "model" else "one"
    before = target.read_bytes()
    (row,) = done(source, target, model=model)
    assert (row.status, row.output) == ("failed", None)
    assert "ct.nii: is there already" in row.error
    assert "--overwrite" in row.error
    assert target.read_bytes() == before
    assert done(source, target, model=model, overwrite=True)[0].status == "translated"
    (row,) = done(source, target, model=model)
    assert (row.status, row.reason) == ("skipped", "finished before")


def test_a_fault_of_one_file_is_a_row_not_an_end(tmp_path):
    write(tmp_path / "in" / "a.nii")
    (tmp_path / "in" / "broken.nii.gz").write_bytes(b"not an image")
    first, second = done(tmp_path / "in", tmp_path / "out")
    assert first.status == "translated"
    assert (second.source, second.status, second.output) == ("broken.nii.gz", "failed", None)
    assert second.error.startswith("broken.nii.gz: ")
    assert names(tmp_path / "out") == ["a.nii"]


def test_a_folder_that_cannot_be_made_is_a_row_too(tmp_path):
    for name in ("in/below/a.nii", "in/below/deep/b.nii"):
        write(tmp_path / name)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "below").write_text("in the way")
    for row in done(tmp_path / "in", tmp_path / "out"):
        assert row.status == "failed"
        assert "folder" in row.error
    assert names(tmp_path / "out") == ["below"]


def test_every_result_has_its_record_and_one_without_it_is_made_anew(tmp_path):
    for name in ("a.nii", "a.nii.gz", "b/c.mha"):
        write(tmp_path / "in" / name)
    out = tmp_path / "out"
    done(tmp_path / "in", out)
    records = sorted(str(path.relative_to(out)) for path in out.rglob("*.qc.json"))
    assert records == ["a.nii.gz.qc.json", "a.nii.qc.json", "b/c.mha.qc.json"]
    (out / "a.nii.qc.json").unlink()
    assert [row.status for row in done(tmp_path / "in", out)] == [
        "translated", "skipped", "skipped",
    ]  # fmt: skip
    assert (out / "a.nii.qc.json").is_file()


def test_maps_lie_beside_the_result(tmp_path):
    for target in (tmp_path / "one" / "ct.nii.gz", tmp_path / "out"):
        source = write(tmp_path / "in" / "ct.nii.gz")
        done(source if target.suffix else source.parent, target, details=True)
        assert names(target.parent if target.suffix else target) == [
            "ct.nii.gz", "ct_attention.nii.gz", "ct_content_1.nii.gz", "ct_content_2.nii.gz",
        ]  # fmt: skip


def test_maps_are_written_before_the_result_that_says_all_is_done(tmp_path, monkeypatch):
    from medgan.inference import files

    written = []

    def recording(volume, path):
        written.append(path.name)
        write_volume(volume, path)

    monkeypatch.setattr(files, "write_volume", recording)
    done(write(tmp_path / "a.nii"), tmp_path / "ct.nii.gz", details=True)
    assert len(written) == 4
    assert written[-1] == "ct.nii.gz"


def test_a_result_never_replaces_a_source(tmp_path):
    scan = tmp_path / "a.nii.gz"
    scan.write_bytes(b"a scan")
    for source, target in ((scan, scan), (tmp_path, tmp_path)):
        with pytest.raises(OutputError, match="replace a source"):
            planned(source, target)


def test_two_sources_never_become_one_file_nor_one_lie_in_another(tmp_path):
    for name in ("a.nii", "a.nii.gz"):
        (tmp_path / name).write_bytes(b"a scan")
    assert len(planned(tmp_path, tmp_path / "out")) == 2
    with pytest.raises(OutputError, match=r"a\.nii and a\.nii\.gz"):
        planned(tmp_path, tmp_path / "out", to="mha")
    (tmp_path / "a.nii.gz").unlink()
    write(tmp_path / "a" / "b.nii")
    with pytest.raises(OutputError, match=r"a\.nii and a/b\.nii"):
        planned(tmp_path, tmp_path / "out", to="dicom")


def test_an_unknown_ending_is_refused_before_anything_runs(tmp_path):
    (tmp_path / "a.nii.gz").write_bytes(b"a scan")
    with pytest.raises(OutputError, match="no format"):
        planned(tmp_path / "a.nii.gz", tmp_path / "x.txt")


@pytest.mark.parametrize(("value", "guess"), [(3, "MR"), (-1000, "CT")])
def test_a_volume_that_looks_like_another_modality_is_translated_with_a_warning(
    tmp_path, value, guess
):
    write(tmp_path / "x" / "a.nii", value)
    (row,) = done(tmp_path / "x", tmp_path / "out")
    assert row.status == "translated"
    assert (read_volume(row.output).array == 2 * value).all()
    if guess == Doubling.source:
        assert row.warnings == ()
    else:
        assert "looks like CT" in row.warnings[0]


def test_results_inside_the_source_are_not_translated_again(tmp_path):
    write(tmp_path / "a.nii")
    write(tmp_path / "b" / "c.nii")
    for target in (tmp_path / "out", tmp_path / "b" / ".." / "b" / "ct"):
        assert [row.source for row in done(tmp_path, target)] == ["a.nii", "b/c.nii"]
        again = done(tmp_path, target)
        assert [(row.source, row.status) for row in again] == [
            ("a.nii", "skipped"),
            ("b/c.nii", "skipped"),
        ]
        for row in again:
            Path(row.output).unlink()
        (target / MANIFEST).unlink()


def test_a_folder_whose_name_begins_like_that_of_the_results_is_searched(tmp_path):
    write(tmp_path / "out_of_plane" / "a.nii")
    assert len(planned(tmp_path, tmp_path / "out")) == 1


def test_a_source_inside_the_folder_of_results_is_searched(tmp_path):
    write(tmp_path / "in" / "a.nii")
    (row,) = done(tmp_path / "in", tmp_path)
    assert row.output == str(tmp_path / "a.nii")
