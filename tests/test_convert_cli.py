import csv
import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pydicom
import pytest
from conversions import AFFINE, KEY, convert, files_below, random_ct, rows_of, write_studies

from medgan.cli.main import main
from medgan.io import read_volume, write_volume
from medgan.phantoms.dicom_slices import Truth, Uids, rescaled, stack, truth_of, write_slices
from medgan.volumes import Volume


def require_truth(volume: Volume, truth: Truth) -> None:
    """Every true point is a voxel's centre and holds its true value."""
    index = (
        np.linalg.inv(volume.affine)
        @ np.column_stack([truth.points_ras, np.ones(len(truth.points_ras))]).T
    )
    rounded = np.rint(index[:3]).astype(int)
    np.testing.assert_allclose(index[:3], rounded, atol=1e-3)
    np.testing.assert_array_equal(volume.array[tuple(rounded)], truth.values)
    assert volume.array.size == len(truth.values)


@pytest.fixture
def ct() -> Volume:
    return random_ct()


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    return write_studies(tmp_path / "studies")


def test_a_mixed_tree_is_converted_with_one_row_each(studies: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    assert convert(studies, tmp_path / "out", "--to", "mha", "--json", report) == 1
    rows = rows_of(report)
    assert {source: row["status"] for source, row in rows.items()} == {
        "more/brain.nii.gz": "converted",
        "notes.txt": "skipped",
        "one/ct": "converted",
        "one/mr": "converted",
        "two": "refused",
    }
    assert rows["two"]["error"]["type"] == "MissingSlices"
    assert rows["two"]["output"] is None
    assert rows["more/brain.nii.gz"]["output"] == "more/brain.mha"
    for source, modality in (("one/ct", "CT"), ("one/mr", "MR")):
        volume = read_volume(tmp_path / "out" / rows[source]["output"])
        images = rescaled(stack(), 1, -1024) if modality == "CT" else stack()
        require_truth(volume, truth_of(images))
        assert f"_{modality}" in rows[source]["output"]


def test_a_gap_is_filled_when_asked_for_and_said_everywhere(studies: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    arguments = ("--to", "nifti", "--irregular", "resample", "--json", report)
    assert convert(studies / "two", tmp_path / "out", *arguments) == 0
    (row,) = rows_of(report).values()
    assert row["status"] == "repaired"
    assert len(row["repairs"]) == 1
    output = tmp_path / "out" / row["output"]
    assert nib.load(output).shape[2] == len(stack())
    sidecar = json.loads(output.with_name(output.name.replace(".nii.gz", ".json")).read_text())
    assert sidecar["Repairs"] == row["repairs"]


@pytest.mark.parametrize("first", ["nifti", "mha", "nrrd"])
@pytest.mark.parametrize("second", ["nifti", "mha", "nrrd", "dicom"])
def test_every_format_becomes_every_other(
    ct: Volume, tmp_path: Path, first: str, second: str
) -> None:
    ending = {"nifti": ".nii.gz", "mha": ".mha", "nrrd": ".nrrd"}
    source = tmp_path / "in" / f"scan{ending[first]}"
    source.parent.mkdir()
    write_volume(ct, source)
    assert convert(source.parent, tmp_path / "out", "--to", second) == 0
    result = read_volume(tmp_path / "out" / f"scan{ending.get(second, '')}")
    points = np.stack(np.indices(ct.shape), -1).reshape(-1, 3) @ AFFINE[:3, :3] + AFFINE[:3, 3]
    require_truth(result, Truth(points, ct.array.ravel().astype(np.float64)))
    assert result.modality == "CT"


def test_dicom_stays_dicom_only_with_another_identity(studies: Path, tmp_path: Path) -> None:
    report, key = tmp_path / "report.json", tmp_path / "key"
    key.write_bytes(KEY)
    source = studies / "one"
    assert convert(source, tmp_path / "plain", "--to", "dicom", "--json", report) == 1
    assert {row["status"] for row in rows_of(report).values()} == {"skipped"}
    arguments = ("--to", "dicom", "--deidentify", "--key", key, "--json", report)
    assert convert(source, tmp_path / "out", *arguments) == 0
    rows = rows_of(report)
    headers = [pydicom.dcmread(path) for path in (tmp_path / "out").rglob("*.dcm")]
    assert len(headers) == 2 * len(stack())
    assert {header.PatientIdentityRemoved for header in headers} == {"YES"}
    assert len({header.StudyInstanceUID for header in headers}) == 1
    assert Uids("ct", "one").study not in {header.StudyInstanceUID for header in headers}
    ct = read_volume(tmp_path / "out" / rows["ct"]["output"])
    require_truth(ct, truth_of(rescaled(stack(), 1, -1024)))


def test_without_a_key_the_users_own_one_keeps_batches_consistent(
    studies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    uids = set()
    for source in ("ct", "mr"):
        arguments = ("--to", "dicom", "--deidentify")
        assert convert(studies / "one" / source, tmp_path / source, *arguments) == 0
        files = (tmp_path / source).rglob("*.dcm")
        uids |= {pydicom.dcmread(path).StudyInstanceUID for path in files}
    assert len(uids) == 1
    key = tmp_path / "config" / "medgan" / "deidentification.key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert len(key.read_bytes()) == 32


def test_a_repaired_series_is_written_anew_for_the_same_patient(
    tmp_path: Path, studies: Path
) -> None:
    images = [image.with_tags(PatientID="p-17") for image in stack()]
    source = tmp_path / "gap"
    write_slices(images[:3] + images[4:], source, "CT", Uids("gap", "three"))
    assert convert(source, tmp_path / "out", "--to", "dicom", "--irregular", "resample") == 0
    headers = [pydicom.dcmread(path) for path in (tmp_path / "out").rglob("*.dcm")]
    assert len(headers) == len(images)
    assert {header.PatientID for header in headers} == {"p-17"}
    assert {header.StudyInstanceUID for header in headers} == {Uids("gap", "three").study}
    assert {header.SeriesInstanceUID for header in headers} != {Uids("gap", "three").series}


def test_a_rule_takes_one_series_of_each_study(studies: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    arguments = ("--to", "nifti", "--series", "modality=MR", "--json", report)
    assert convert(studies, tmp_path / "out", *arguments) == 1
    statuses = {source: row["status"] for source, row in rows_of(report).items()}
    assert statuses["one/mr"] == "converted"
    assert statuses["one/ct"] == "skipped"
    assert statuses["two"] == "refused"
    assert rows_of(report)["two"]["error"]["type"] == "NoSeries"


def test_a_dry_run_foresees_every_row_and_writes_nothing(studies: Path, tmp_path: Path) -> None:
    dry, real = tmp_path / "dry.json", tmp_path / "real.json"
    arguments = (studies, tmp_path / "out", "--to", "nifti")
    assert convert(*arguments, "--dry-run", "--json", dry) == 1
    assert not (tmp_path / "out").exists()
    assert convert(*arguments, "--json", real) == 1
    assert rows_of(dry) == rows_of(real)


def test_a_second_run_keeps_what_stands_and_says_so(
    studies: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report, out = tmp_path / "report.json", tmp_path / "out"
    arguments = (studies, out, "--to", "nifti", "--json", report)
    convert(*arguments)
    before, rows = {path: path.stat().st_mtime_ns for path in out.rglob("*.gz")}, rows_of(report)
    manifest = (out / "manifest.csv").read_bytes()
    assert "stood already" not in capsys.readouterr().out
    convert(*arguments)
    assert f"{len(before)} of them stood already" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.gz")} == before
    assert rows_of(report) == rows
    assert (out / "manifest.csv").read_bytes() == manifest
    convert(*arguments, "--overwrite")
    assert all(path.stat().st_mtime_ns > time for path, time in before.items())
    assert (out / "manifest.csv").read_bytes() == manifest


@pytest.mark.parametrize("damage", ["truncated", "removed", "sidecar removed", "source changed"])
def test_what_is_not_whole_or_not_up_to_date_is_made_again(
    ct: Volume, tmp_path: Path, damage: str
) -> None:
    source, out = tmp_path / "in" / "scan.nii.gz", tmp_path / "out"
    source.parent.mkdir()
    write_volume(ct, source)
    convert(source.parent, out, "--to", "mha")
    whole = files_below(out)
    if damage == "truncated":
        os.truncate(out / "scan.mha", 300)
    elif damage == "removed":
        (out / "scan.mha").unlink()
    elif damage == "sidecar removed":
        (out / "scan.json").unlink()
    else:
        write_volume(ct.with_array(ct.array + 1), source)
    assert convert(source.parent, out, "--to", "mha") == 0
    found = files_below(out)
    if damage == "source changed":
        np.testing.assert_array_equal(read_volume(out / "scan.mha").array, ct.array + 1)
    else:
        assert found == whole


def test_a_folder_is_known_again_after_its_source_was_refused_once(
    ct: Volume, tmp_path: Path
) -> None:
    source, out = tmp_path / "in" / "scan.nii.gz", tmp_path / "out"
    source.parent.mkdir()
    write_volume(ct, source)
    assert convert(source.parent, out, "--to", "dicom") == 0
    result, whole = files_below(out / "scan"), source.read_bytes()
    for _ in range(2):
        source.write_bytes(whole[:-200])
        assert convert(source.parent, out, "--to", "dicom") == 1
        assert files_below(out / "scan") == result
    write_volume(ct.with_array(ct.array + 1), source)
    assert convert(source.parent, out, "--to", "dicom") == 0
    assert files_below(out / "scan") != result


def test_two_workers_give_what_one_gives(
    studies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1800000000")
    convert(studies, tmp_path / "one", "--to", "nifti")
    convert(studies, tmp_path / "two", "--to", "nifti", "--jobs", "2")
    assert files_below(tmp_path / "one") == files_below(tmp_path / "two")


@pytest.mark.parametrize(
    "more", [(), ("--series", "modality=MR"), ("--deidentify", "--key", "key")]
)
def test_a_folder_that_cannot_be_read_is_refused(
    studies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "key").write_bytes(KEY)
    report = tmp_path / "report.json"
    lock(studies / "one" / "ct", monkeypatch)
    to = "dicom" if "--deidentify" in more else "nifti"
    assert convert(studies / "one", "out", "--to", to, *more, "--json", report) == 1
    rows = rows_of(report)
    assert {name: row["status"] for name, row in rows.items()} == {
        "ct": "refused",
        "mr": "converted",
    }
    assert rows["ct"]["error"]["type"] == "FileError"
    assert "Permission denied" in rows["ct"]["error"]["message"]


def lock(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a folder unreadable for this process, which may be root's."""
    scandir = os.scandir

    def refuse(path: Any) -> Any:
        if str(path) == str(folder):
            raise PermissionError(errno.EACCES, "Permission denied", str(folder))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)


def test_an_unreadable_folder_is_a_problem_for_inspect(
    studies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock(studies / "two", monkeypatch)
    with pytest.raises(SystemExit) as stop:
        main(["inspect", str(studies), "--json", str(tmp_path / "report.json")])
    assert stop.value.code == 1
    volumes = json.loads((tmp_path / "report.json").read_text())["volumes"]
    (found,) = [volume for volume in volumes if volume["problem"]]
    assert found["path"] == str(studies / "two")
    assert found["problem"]["type"] == "FileError"


def test_each_source_has_one_row_in_the_manifest(studies: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    rule = ("--series", "modality=MR")
    for more in (rule, (), rule):
        convert(studies / "one", out, "--to", "nifti", *more)
        with (out / "manifest.csv").open() as stream:
            sources = [row["source"] for row in csv.DictReader(stream)]
        assert sources == ["ct", "mr"]


def test_why_nothing_was_converted_is_said_once(
    studies: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert convert(studies / "one", tmp_path / "out", "--to", "dicom") == 1
    assert capsys.readouterr().out.count("is DICOM already: with --deidentify") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("absent", "out", "--to", "nifti"),
        ("empty", "out", "--to", "nifti"),
        ("studies", "studies", "--to", "nifti"),
        ("studies", "out", "--to", "nifti", "--name", "{nobody}"),
        ("studies", "out", "--to", "nifti", "--series", "colour=red"),
        ("studies", "out", "--to", "dicom", "--deidentify", "--key", "short"),
        ("studies", "out", "--to", "dicom", "--deidentify", "--name", "{patient_id}"),
        ("studies", "out", "--to", "dicom", "--deidentify", "--name", "{folder}/{series}"),
        ("studies", "out", "--to", "dicom", "--deidentify", "--name", "{name}"),
        ("studies", "out", "--to", "nifti", "--deidentify"),
        ("studies", "out", "--to", "jpeg"),
    ],
)
def test_what_cannot_be_done_ends_with_2_and_writes_nothing(
    studies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "empty").mkdir()
    (tmp_path / "short").write_bytes(b"short")
    before = files_below(studies)
    assert convert(*arguments) == 2
    assert not (tmp_path / "out").exists()
    assert files_below(studies) == before


def test_results_below_the_source_are_not_sources(studies: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    arguments = (studies, studies / "out", "--to", "nifti", "--json", report)
    convert(*arguments)
    first = rows_of(report)
    convert(*arguments)
    assert rows_of(report) == first


def test_formats_share_a_target_and_a_manifest(studies: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert convert(studies / "one", out, "--to", "nifti") == 0
    assert convert(studies / "one", out, "--to", "nrrd") == 0
    with (out / "manifest.csv").open() as stream:
        outputs = [row["output"] for row in csv.DictReader(stream)]
    assert sorted(Path(name).suffix for name in outputs) == [".gz", ".gz", ".nrrd", ".nrrd"]
    assert all((out / name).is_file() for name in outputs)


def test_a_second_batch_waits_for_the_first(studies: Path, tmp_path: Path) -> None:
    from medgan.io.batch.staging import staging

    with staging(tmp_path / "out"):
        assert convert(studies / "one", tmp_path / "out", "--to", "nifti") == 2
    assert convert(studies / "one", tmp_path / "out", "--to", "nifti") == 0


def test_the_script_does_what_the_verb_does(studies: Path, tmp_path: Path) -> None:
    script = Path(__file__).parents[1] / "pipelines" / "convert_studies.py"
    arguments = [studies / "one" / "ct", tmp_path / "out", "--to", "nrrd"]
    subprocess.run([sys.executable, script, *map(str, arguments)], check=True, capture_output=True)
    (output,) = (tmp_path / "out").rglob("*.nrrd")
    assert convert(*arguments[:1], tmp_path / "verb", *arguments[2:]) == 0
    (same,) = (tmp_path / "verb").rglob("*.nrrd")
    assert output.read_bytes() == same.read_bytes()


def test_a_volume_is_read_from_a_series(studies: Path, tmp_path: Path) -> None:
    require_truth(read_volume(studies / "one" / "mr"), truth_of(stack()))
    single = tmp_path / "single"
    single.mkdir()
    shutil.copy(next((studies / "one" / "mr").iterdir()), single / "1.2.3.4")
    assert read_volume(single / "1.2.3.4").shape[2] == 1


def test_a_real_series_is_what_dcm2niix_makes_of_it(medgan_data: Path, tmp_path: Path) -> None:
    if not shutil.which("dcm2niix"):
        pytest.skip("dcm2niix is not installed")
    source = medgan_data / "dicom_zoo" / "dicom2nifti_siemens_anatomical_001"
    assert convert(source, tmp_path / "ours", "--to", "nifti") == 0
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    subprocess.run(["dcm2niix", "-o", theirs, source], check=True, capture_output=True)
    (mine,) = (tmp_path / "ours").rglob("*.nii.gz")
    (other,) = theirs.glob("*.nii")
    a, b = nib.as_closest_canonical(nib.load(mine)), nib.as_closest_canonical(nib.load(other))
    np.testing.assert_allclose(a.affine, b.affine, atol=1e-2)
    np.testing.assert_array_equal(a.get_fdata(), b.get_fdata())
    ours = json.loads(next((tmp_path / "ours").rglob("*.json")).read_text())
    reference = json.loads(next(theirs.glob("*.json")).read_text())
    for name in ("RepetitionTime", "EchoTime", "InversionTime", "FlipAngle"):
        if name in reference:
            assert ours[name] == pytest.approx(reference[name]), name
