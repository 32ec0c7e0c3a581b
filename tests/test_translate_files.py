"""Batches of files: what is planned, skipped, failed and left behind."""

import logging

import numpy as np
import pytest

from medgan.errors import FileError, OutputError
from medgan.inference.files import Job, plan, translate_file
from medgan.inference.translator import VolumeTranslation
from medgan.io import read_volume, write_volume
from medgan.volumes import Volume

AFFINE = np.diag([1, 2, 3, 1.0])


class Doubling:
    """Stands in for a translator: MR to CT by doubling, with one attention and two contents."""

    source = "MR"

    def __call__(self, volume, *, details=False):
        made = volume.with_array(volume.array * 2, modality="CT", synthetic=True)
        if not details:
            return VolumeTranslation(made)
        return VolumeTranslation(made, volume, contents=(made, made))


def write(path, value=3):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_volume(Volume(np.full((4, 5, 6), value, np.int16), AFFINE, "MR"), path)
    return path


def names(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_a_folder_is_mirrored_through_and_through(tmp_path):
    for name in ("a.nii.gz", "b/c.mha", "b/d/1.2.840.nrrd"):
        write(tmp_path / "in" / name)
    (tmp_path / "in" / "notes.txt").write_text("not an image")
    jobs = plan(tmp_path / "in", tmp_path / "out")
    assert [(job.name, str(job.target.relative_to(tmp_path / "out"))) for job in jobs] == [
        (name, name) for name in ("a.nii.gz", "b/c.mha", "b/d/1.2.840.nrrd")
    ]
    assert all(translate_file(Doubling(), job).status == "translated" for job in jobs)
    assert names(tmp_path / "out") == [job.name for job in jobs]
    result = read_volume(jobs[1].target)
    assert (result.array == 6).all()
    np.testing.assert_allclose(result.affine, AFFINE)
    assert result.synthetic


@pytest.mark.parametrize(
    ("to", "suffix"), [("nifti", ".nii.gz"), ("mha", ".mha"), ("nrrd", ".nrrd")]
)
def test_the_format_of_a_folder_can_be_changed(tmp_path, to, suffix):
    write(tmp_path / "in" / "x" / "1.2.3.nii")
    (job,) = plan(tmp_path / "in", tmp_path / "out", to)
    assert job.target == tmp_path / "out" / "x" / f"1.2.3{suffix}"


def test_a_file_goes_to_the_file_named(tmp_path):
    source = write(tmp_path / "t1.nii.gz")
    assert plan(source, tmp_path / "ct.mha") == [Job("t1.nii.gz", source, tmp_path / "ct.mha")]


def test_nothing_to_translate_is_said(tmp_path):
    with pytest.raises(FileError, match="no such file or folder"):
        plan(tmp_path / "absent", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileError, match="no volume in this folder"):
        plan(tmp_path / "empty", tmp_path / "out")


def test_a_folder_cannot_be_the_file_to_write_nor_a_file_the_folder(tmp_path):
    source = write(tmp_path / "in" / "a.nii")
    taken = tmp_path / "taken"
    taken.write_text("a file")
    with pytest.raises(OutputError, match="folder"):
        plan(source, tmp_path / "in")
    with pytest.raises(OutputError, match="folder"):
        plan(tmp_path / "in", taken)


def test_finished_files_are_skipped_unless_they_may_be_replaced(tmp_path):
    job = Job("a", write(tmp_path / "a.nii"), tmp_path / "out.nii")
    assert translate_file(Doubling(), job).status == "translated"
    write(job.source, value=5)
    assert translate_file(Doubling(), job).status == "skipped"
    assert (read_volume(job.target).array == 6).all()
    assert translate_file(Doubling(), job, overwrite=True).status == "translated"
    assert (read_volume(job.target).array == 10).all()


def test_a_fault_of_one_file_is_a_row_not_an_end(tmp_path):
    (tmp_path / "broken.nii.gz").write_bytes(b"not an image")
    job = Job("broken.nii.gz", tmp_path / "broken.nii.gz", tmp_path / "out" / "broken.nii.gz")
    result = translate_file(Doubling(), job)
    assert (result.source, result.status, result.output) == ("broken.nii.gz", "failed", None)
    assert "broken.nii.gz" in result.error
    assert not job.target.exists()


def test_a_folder_that_cannot_be_made_is_a_row_too(tmp_path):
    (tmp_path / "file").write_text("in the way")
    job = Job("a.nii", write(tmp_path / "a.nii"), tmp_path / "file" / "below" / "a.nii")
    result = translate_file(Doubling(), job)
    assert result.status == "failed"
    assert "folder" in result.error


def test_maps_lie_beside_the_result_and_are_written_first(tmp_path, monkeypatch):
    from medgan.inference import files

    written = []

    def recording(volume, path):
        written.append(path.name)
        write_volume(volume, path)

    monkeypatch.setattr(files, "write_volume", recording)
    job = Job("a", write(tmp_path / "a.nii"), tmp_path / "out" / "ct.nii.gz")
    translate_file(Doubling(), job, details=True)
    assert written[-1] == "ct.nii.gz"
    assert names(tmp_path / "out") == [
        "ct.nii.gz", "ct_attention.nii.gz", "ct_content_1.nii.gz", "ct_content_2.nii.gz",
    ]  # fmt: skip


def test_a_result_never_replaces_a_source(tmp_path):
    scan = tmp_path / "a.nii.gz"
    scan.write_bytes(b"a scan")
    for source, target in ((scan, scan), (tmp_path, tmp_path)):
        with pytest.raises(OutputError, match="replace a source"):
            plan(source, target)


def test_two_sources_never_become_one_file(tmp_path):
    for name in ("a.nii", "a.nii.gz"):
        (tmp_path / name).write_bytes(b"a scan")
    assert len(plan(tmp_path, tmp_path / "out")) == 2
    with pytest.raises(OutputError, match=r"a\.nii and a\.nii\.gz"):
        plan(tmp_path, tmp_path / "out", "mha")


def test_an_unknown_ending_is_refused_before_anything_runs(tmp_path):
    (tmp_path / "a.nii.gz").write_bytes(b"a scan")
    with pytest.raises(OutputError, match="no format"):
        plan(tmp_path / "a.nii.gz", tmp_path / "x.txt")


@pytest.mark.parametrize(("value", "guess"), [(3, "MR"), (-1000, "CT")])
def test_a_volume_that_looks_like_another_modality_is_translated_with_a_warning(
    tmp_path, caplog, value, guess
):
    job = Job("x/a.nii", write(tmp_path / "a.nii", value), tmp_path / "out.nii")
    with caplog.at_level(logging.WARNING, "medgan"):
        assert translate_file(Doubling(), job).status == "translated"
    assert (read_volume(job.target).array == 2 * value).all()
    if guess == Doubling.source:
        assert not caplog.records
    else:
        (record,) = caplog.records
        assert record.getMessage().startswith("x/a.nii: ")
        assert "looks like CT" in record.getMessage()
        assert str(tmp_path) not in record.getMessage()


def test_results_inside_the_source_are_not_translated_again(tmp_path):
    write(tmp_path / "a.nii")
    write(tmp_path / "b" / "c.nii")
    for target in (tmp_path / "out", tmp_path / "b" / ".." / "b" / "ct"):
        jobs = plan(tmp_path, target)
        assert [job.name for job in jobs] == ["a.nii", "b/c.nii"]
        assert all(translate_file(Doubling(), job).status == "translated" for job in jobs)
        assert plan(tmp_path, target) == jobs
        for job in jobs:
            job.target.unlink()


def test_a_folder_whose_name_begins_like_that_of_the_results_is_searched(tmp_path):
    write(tmp_path / "out_of_plane" / "a.nii")
    assert len(plan(tmp_path, tmp_path / "out")) == 1


def test_a_source_inside_the_folder_of_results_is_searched(tmp_path):
    write(tmp_path / "in" / "a.nii")
    (job,) = plan(tmp_path / "in", tmp_path)
    assert job.target == tmp_path / "a.nii"
