"""Nothing that names the patient follows the images through the whole work."""

import gzip
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pydicom
import pytest
import yaml
from test_convert_privacy import DATE, MARK, marked

from medgan.cli.main import main
from medgan.io.dicom.write import write_series
from medgan.phantoms.scan import scan_head

CREATED = datetime(2026, 11, 22, 15, 0, 1, tzinfo=UTC)
DICOM_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID")


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run the program, whose exit code must be the one given; all that it said."""

    def call(code: int, *arguments: object) -> str:
        with pytest.raises(SystemExit) as stopped:
            main(["--verbose", *map(str, arguments)])
        said = "".join(capfd.readouterr())
        assert (stopped.value.code or 0) == code, said
        return said

    return call


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """MR and CT of a phantom, and an MR with a gap, every attribute of the patient marked."""
    folder = tmp_path / "study"
    head = scan_head(4, spacing_mm=(6.0, 6.0, 6.0), supersample=1)
    for name, volume in (("mr", head.mr), ("ct", head.ct), ("gap", head.mr)):
        scan = replace(volume, synthetic=False)
        for path in write_series(scan, folder / name, created=CREATED, seed=name):
            header = pydicom.dcmread(path)
            assert marked(header) > 100
            header.save_as(path)
    (folder / "gap" / "0009.dcm").unlink()
    return folder


def secrets_of(study: Path) -> set[str]:
    found = {MARK, DATE}
    for path in study.rglob("*.dcm"):
        header = pydicom.dcmread(path, stop_before_pixels=True)
        found |= {str(header[keyword].value) for keyword in DICOM_UIDS}
    return found


def everything_in(folder: Path) -> str:
    """All names and all bytes, compressed ones decompressed."""
    said = "".join(str(path.relative_to(folder)) for path in folder.rglob("*"))
    for path in folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            said += (gzip.decompress(content) if path.suffix == ".gz" else content).decode(
                "latin-1"
            )
    return said


def test_no_mark_follows_the_images_through_the_whole_work(
    study: Path,
    tiny_document: dict[str, Any],
    run: Callable[..., str],
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    caplog.set_level(logging.DEBUG)
    out = tmp_path / "out"
    volumes, trained, made = out / "volumes", out / "run", out / "synthetic"
    said = run(1, "convert", study, volumes, "--to", "nifti", "--json", out / "convert.json")
    (mr,), (ct,) = (list(volumes.rglob(f"*_{kind}.nii.gz")) for kind in ("MR", "CT"))

    tiny_document["data"] |= {
        "root": str(volumes),
        "source": [str(mr.relative_to(volumes))],
        "target": [str(ct.relative_to(volumes))],
    }
    del tiny_document["tracking"], tiny_document["evaluation"]
    (out / "tiny.yaml").write_text(yaml.safe_dump(tiny_document))
    said += run(0, "train", out / "tiny.yaml", "--out", trained)
    assert (trained / "mlflow.db").exists() or list(trained.rglob("*mlflow*"))

    translate = ("translate", trained, study, made, "--to", "nifti", "--save-attention")
    said += run(1, *translate, "--json", out / "translate.json")
    (image,) = made.rglob("*_synthetic_ct.nii.gz")
    said += run(0, "evaluate", image, ct, "--source", mr, "--html", out / "evaluation.html",
                "--json", out / "evaluation.json")  # fmt: skip
    said += run(0, "evaluate", image, study / "ct", "--html", out / "dicom.html", "--json", "-")
    said += run(0, "report", trained, "--out", out / "report.html")

    said += caplog.text + everything_in(out)
    assert "translated" in said
    assert "MissingSlices" in said
    assert [secret for secret in secrets_of(study) if secret in said] == []
    # so that the search is known to find what is there
    assert all(secret in everything_in(study) for secret in secrets_of(study))


def test_a_study_that_stays_dicom_keeps_its_patient_and_says_nothing_elsewhere(
    study: Path,
    tiny_run: Path,
    run: Callable[..., str],
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    caplog.set_level(logging.DEBUG)
    out, report = tmp_path / "out", tmp_path / "rows.json"
    said = run(1, "translate", tiny_run, study, out, "--json", report)
    said += caplog.text + report.read_text() + (out / "manifest.csv").read_text()
    said += "".join(str(path.relative_to(out)) for path in out.rglob("*"))
    assert [secret for secret in secrets_of(study) if secret in said] == []
    (first, *_) = sorted(out.rglob("*.dcm"))
    header = pydicom.dcmread(first)
    assert MARK in str(header.PatientName)
    assert "OperatorsName" not in header
    assert not [element for element in header if element.tag.is_private]
