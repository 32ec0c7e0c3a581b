"""Nothing that names the patient leaves the headers of a study that is converted."""

import logging
from pathlib import Path

import nibabel as nib
import pydicom
import pytest
from pydicom.datadict import DicomDictionary
from pydicom.dataset import Dataset

from medgan.cli.main import main
from medgan.phantoms.dicom_slices import Uids, dataset, save, stack

MARK = "Zz7Qx"
DATE = "19470309"
"""Occur in no attribute, name or message unless they come from a header."""

GROUPS = (0x0010, 0x0012, 0x0032, 0x0038, 0x0040)
"""Patient, clinical trial, request, visit, procedure."""

ALSO = (
    "AccessionNumber", "StudyID", "StudyDescription", "SeriesDescription", "ProtocolName",
    "InstitutionName", "InstitutionAddress", "InstitutionalDepartmentName", "StationName",
    "ReferringPhysicianName", "PerformingPhysicianName", "OperatorsName", "DeviceSerialNumber",
    "NameOfPhysiciansReadingStudy", "ImageComments", "AdmittingDiagnosesDescription",
    "RequestingService", "StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate",
    "AcquisitionDateTime", "DerivationDescription", "ContrastBolusAgent",
)  # fmt: skip

NO_PERSON = {"LUTLabel"}
"""Names a table of grey values."""

TEXTS = {"LO", "SH", "ST", "LT", "UT", "UC"}


def marked(header: Dataset) -> int:
    """Put the mark into every attribute that could name somebody; returns their number."""
    keywords = [
        entry[4]
        for tag, entry in DicomDictionary.items()
        if tag >> 16 in GROUPS and not entry[3] and entry[4] not in NO_PERSON
    ]
    count = 0
    for keyword in dict.fromkeys([*keywords, *ALSO]):
        vr = pydicom.datadict.dictionary_VR(keyword)
        if vr == "PN":
            setattr(header, keyword, f"{MARK}^{MARK}")
        elif vr in TEXTS:
            setattr(header, keyword, MARK)
        elif vr == "DA":
            setattr(header, keyword, DATE)
        elif vr == "DT":
            setattr(header, keyword, f"{DATE}120000")
        else:
            continue
        count += 1
    block = header.private_block(0x0009, f"{MARK} CREATOR", create=True)
    block.add_new(0x01, "LO", MARK)
    return count


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A CT and an MR series, and one with a gap, every patient tag marked."""
    folder = tmp_path / "study"
    images = stack()
    for name, modality, chosen in (
        ("ct", "CT", images),
        ("mr", "MR", images),
        ("gap", "CT", images[:3] + images[4:]),
    ):
        for number, image in enumerate(chosen, 1):
            header = dataset(image, modality, Uids(name, "one"), number)
            assert marked(header) > 100
            save(header, folder / name / f"{number:03d}.dcm")
    (folder / "report.dcm").write_bytes(b"\0" * 128 + b"DICM" + MARK.encode() * 9)
    return folder


@pytest.mark.parametrize("to", ["nifti", "mha", "nrrd"])
@pytest.mark.parametrize("irregular", ["error", "resample"])
def test_no_mark_leaves_the_headers(
    study: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    to: str,
    irregular: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    out, report = tmp_path / "out", tmp_path / "report.json"
    arguments = [str(study), str(out), "--to", to, "--irregular", irregular]
    with pytest.raises(SystemExit):
        main(["--verbose", "convert", *arguments, "--json", str(report)])
    with pytest.raises(SystemExit):
        main(["--verbose", "inspect", str(study), "--json", "-"])
    volumes = [path for path in out.rglob("*") if path.suffix in {".gz", ".mha", ".nrrd"}]
    assert len(volumes) == (3 if irregular == "resample" else 2)
    said = "".join(capfd.readouterr()) + caplog.text + report.read_text()
    said += "".join(str(path) for path in out.rglob("*"))
    for path in out.rglob("*"):
        if path.is_file():
            said += path.read_bytes().decode("latin-1")
    for path in volumes:
        if to == "nifti":
            image = nib.load(path)
            said += bytes(image.header.binaryblock).decode("latin-1")
            assert len(image.header.extensions) == 0
    uids = {Uids(name, "one").series for name in ("ct", "mr", "gap")} | {Uids("ct", "one").study}
    for secret in {MARK, DATE, *uids}:
        assert secret not in said


def test_deidentified_files_hold_no_mark(study: Path, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_bytes(b"a secret of more than sixteen bytes")
    out = tmp_path / "out"
    arguments = [str(study), str(out), "--to", "dicom", "--deidentify", "--key", str(key)]
    with pytest.raises(SystemExit):
        main(["convert", *arguments])
    files = list(out.rglob("*.dcm"))
    assert len(files) == 3 * len(stack()) - 1
    said = "".join(str(path) for path in out.rglob("*"))
    said += "".join(path.read_bytes().decode("latin-1") for path in out.rglob("*.*"))
    for secret in {MARK, DATE, Uids("ct", "one").study}:
        assert secret not in said


def test_a_name_that_identifies_is_given_when_it_is_asked_for(study: Path, tmp_path: Path) -> None:
    arguments = [str(study / "ct"), str(tmp_path / "out"), "--to", "nifti"]
    with pytest.raises(SystemExit) as stop:
        main(["convert", *arguments, "--name", "{patient_id}/{study_date}_{modality}"])
    assert not stop.value.code
    assert (tmp_path / "out" / MARK / f"{DATE}_CT.nii.gz").is_file()
