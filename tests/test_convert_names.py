"""Names and places of converted files: inside the target, unique, escaped, nobody else's."""

import os
from pathlib import Path

import pytest
from conversions import KEY, convert, files_below, random_ct, rows_of, write_studies

from medgan.io import read_volume, write_volume
from medgan.phantoms.dicom_slices import Uids, stack, write_slices
from medgan.volumes import Volume


@pytest.fixture
def ct() -> Volume:
    return random_ct()


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    return write_studies(tmp_path / "studies")


def test_files_of_others_are_neither_replaced_nor_removed(
    studies: Path, ct: Volume, tmp_path: Path
) -> None:
    source, out, report = tmp_path / "in", tmp_path / "out", tmp_path / "report.json"
    source.mkdir()
    write_volume(ct, source / "scan.nii.gz")
    out.mkdir()
    (out / "scan.mha").write_text("of somebody else")
    (out / ".0123456789ab-other").write_text("of somebody else, too")
    assert convert(source, out, "--to", "mha", "--json", report) == 1
    assert rows_of(report)["scan.nii.gz"]["error"]["type"] == "OutputError"
    assert (out / "scan.mha").read_text() == "of somebody else"
    assert convert(source, out, "--to", "mha", "--overwrite") == 0
    assert read_volume(out / "scan.mha").shape == ct.shape
    assert (out / ".0123456789ab-other").exists()


def test_a_result_without_a_place_is_refused_and_the_rest_goes_on(
    studies: Path, tmp_path: Path
) -> None:
    out, report = tmp_path / "out", tmp_path / "report.json"
    out.mkdir()
    (out / "more").write_text("a file where a folder is needed")
    assert convert(studies, out, "--to", "nifti", "--json", report) == 1
    rows = rows_of(report)
    assert rows["more/brain.nii.gz"]["error"]["type"] == "OutputError"
    assert rows["one/ct"]["status"] == "converted"
    assert not list(out.glob(".*"))


def test_a_series_with_a_foreign_file_in_it_is_left_alone(ct: Volume, tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    write_volume(ct, source / "scan.nii.gz")
    assert convert(source, out, "--to", "dicom") == 0
    first = files_below(out)
    assert convert(source, out, "--to", "dicom", "--overwrite") == 0
    assert files_below(out) == first
    (out / "scan" / "report.txt").write_text("of somebody else")
    assert convert(source, out, "--to", "dicom", "--overwrite") == 1
    assert (out / "scan" / "report.txt").read_text() == "of somebody else"


def test_a_single_file_becomes_the_file_that_is_named(ct: Volume, tmp_path: Path) -> None:
    write_volume(ct, tmp_path / "scan.nii.gz")
    target = tmp_path / "out" / "other.nrrd"
    assert convert(tmp_path / "scan.nii.gz", target, "--to", "nrrd") == 0
    assert read_volume(target).shape == ct.shape
    assert convert(tmp_path / "scan.nii.gz", tmp_path / "x.nrrd", "--to", "nifti") == 2


@pytest.mark.parametrize("patient", ["../../x", "/etc/x", "..", "a/b", "\\..\\x", "~", "CON", ""])
def test_no_patient_id_leads_out_of_the_target(tmp_path: Path, patient: str) -> None:
    images = [image.with_tags(PatientID=patient) for image in stack(slices=3)]
    write_slices(images, tmp_path / "a" / "in", "CT", Uids("ct", "one"))
    before = files_below(tmp_path)
    out = tmp_path / "a" / "out"
    name = "{patient_id}/{patient_id}"
    assert convert(tmp_path / "a" / "in", out, "--to", "nifti", "--name", name) == 0
    after = files_below(tmp_path)
    new = after.keys() - before.keys()
    assert len(new) == 3
    assert all(path.startswith("a/out/") for path in new)


def test_two_sources_never_share_a_name(
    studies: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = (studies / "one", tmp_path / "out", "--to", "nifti", "--name", "{study}")
    assert convert(*arguments) == 1
    assert "two sources would become the same result" in capsys.readouterr().err
    assert files_below(tmp_path / "out").keys() == {"manifest.csv"}


def test_only_the_sources_that_collide_are_refused(ct: Volume, tmp_path: Path) -> None:
    source, report = tmp_path / "in", tmp_path / "report.json"
    source.mkdir()
    for name in ("brain.nii", "brain.nii.gz", "other.nii"):
        write_volume(ct, source / name)
    arguments = (source, tmp_path / "out", "--to", "mha", "--json", report)
    assert convert(*arguments) == 1
    rows = rows_of(report)
    assert [row["status"] for row in rows.values()] == ["refused", "refused", "converted"]
    # What the message recommends must do.
    assert "{study}/{series}{part}" in rows["brain.nii"]["error"]["message"]
    assert convert(*arguments, "--name", "{study}/{series}{part}") == 0


def test_a_name_that_is_not_utf_8_is_escaped_everywhere(
    ct: Volume, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out, report = tmp_path / "in", tmp_path / "out", tmp_path / "report.json"
    write_slices(stack(), source / os.fsdecode(b"M\xfcller"), "MR", Uids("mr", "one"))
    write_volume(ct, source / "scan.nii")
    (source / "scan.nii").rename(source / os.fsdecode(b"K\xf6hler.nii"))
    (source / os.fsdecode(b"M\xfcller.txt")).write_text("notes")
    (source / os.fsdecode(b"broken\xff.nii")).write_text("no volume")
    write_volume(ct, source / "scan.mha")
    (source / "scan.mha").rename(source / os.fsdecode(b"itk\xff.mha"))
    arguments = (source, out, "--to", "nrrd", "--json", report)
    assert convert(*arguments) == 1
    rows = rows_of(report)
    assert {name: row["status"] for name, row in rows.items()} == {
        "K\\xf6hler.nii": "converted",
        "M\\xfcller": "converted",
        "M\\xfcller.txt": "skipped",
        "broken\\xff.nii": "refused",
        "itk\\xff.mha": "refused",
    }
    assert "M\\xfcller.txt" in capsys.readouterr().out
    made = {path: path.stat().st_mtime_ns for path in out.rglob("*.nrrd")}
    assert convert(*arguments) == 1
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.nrrd")} == made
    assert rows_of(report) == rows


def test_no_name_of_a_folder_is_taken_into_de_identified_results(
    ct: Volume, tmp_path: Path
) -> None:
    (tmp_path / "in" / "Doe^Jane").mkdir(parents=True)
    (tmp_path / "key").write_bytes(KEY)
    write_volume(ct, tmp_path / "in" / "Doe^Jane" / "jane.nii.gz")
    arguments = ("--to", "dicom", "--deidentify", "--key", tmp_path / "key")
    assert convert(tmp_path / "in", tmp_path / "out", *arguments) == 0
    names = [str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.dcm")]
    assert len(names) == 6
    assert not [name for name in names if "jane" in name.lower()]
