"""What the tests of written DICOM share: sources with a patient, validators, points in space."""

import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import SimpleITK as sitk

from medgan.io.dicom import DicomSeries, index_folder, read_series
from medgan.io.dicom.write import Derivation
from medgan.phantoms.dicom_cases import write_case
from medgan.volumes import Volume
from medgan.volumes.geometry import apply_affine

CREATED = datetime(2026, 11, 22, 15, 0, 1, 123456, tzinfo=UTC)
DERIVATION = Derivation("AttentionGAN pelvis", "1.2", "ab" * 32, "percentile 99.5", CREATED)
PATIENT = {
    "PatientName": "Doe^Jane",
    "PatientID": "4711",
    "PatientBirthDate": "19700131",
    "PatientSex": "F",
    "PatientAge": "050Y",
    "PatientWeight": "70.5",
    "StudyDate": "20200102",
    "StudyTime": "101112",
    "StudyID": "S7",
    "AccessionNumber": "A99",
    "StudyDescription": "Pelvis",
    "ReferringPhysicianName": "House^Gregory",
    "SeriesNumber": 3,
    "PositionReferenceIndicator": "XY",
}
SYNTHETIC_UNKNOWN = "(0x0008,0x001c)"
EXTENDED_CLASS = "Standard Extended SOP Class"
VALIDATORS = {
    "current": Path(sys.executable).with_name("dciodvfy"),
    "debian": Path("/usr/bin/dciodvfy"),
}


def write_source(name: str, folder: Path, modality: str = "MR", **tags: Any) -> Path:
    """A case of the phantoms, as of a patient; a tag that is None is left out."""
    write_case(name, folder, modality)
    for path in folder.iterdir():
        header = pydicom.dcmread(path)
        for keyword, value in {**PATIENT, **tags}.items():
            if value is None:
                header.pop(keyword, None)
            else:
                setattr(header, keyword, value)
        header.save_as(path)
    return folder


def read_only_series(folder: Path) -> DicomSeries:
    (entry,) = index_folder(folder).entries
    return read_series(entry)


def source(name: str, folder: Path, modality: str = "MR", **tags: Any) -> DicomSeries:
    return read_only_series(write_source(name, folder, modality, **tags))


def synthetic(series: DicomSeries, modality: str = "CT") -> Volume:
    """Values that tell every voxel from its neighbours, on the grid of a series."""
    values = np.random.default_rng(0).uniform(-1000, 2000, series.volume.shape)
    values = values if modality == "CT" else values + 1000
    return Volume(
        values.astype(np.float32),
        series.volume.affine,
        modality,
        frame_of_reference=series.volume.frame_of_reference,
        synthetic=True,
    )


def complaints(path: Path, validator: str) -> list[str]:
    """The errors and warnings of dciodvfy; that its 2022 build does not know Synthetic Data aside.

    Its exit code says nothing: it is 0 with errors, too.
    """
    done = subprocess.run(
        [VALIDATORS[validator], path], capture_output=True, text=True, errors="replace"
    )
    lines = (done.stdout + done.stderr).splitlines()
    found = [line for line in lines if line.startswith(("Error", "Warning"))]
    if validator == "debian" and any(SYNTHETIC_UNKNOWN in line for line in found):
        found = [
            line for line in found if SYNTHETIC_UNKNOWN not in line and EXTENDED_CLASS not in line
        ]
    return found


def has_validator(validator: str) -> bool:
    return shutil.which(VALIDATORS[validator]) is not None


def some_points(volume: Volume, count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Positions in LPS mm, and the values there."""
    rng = np.random.default_rng(1)
    indices = np.stack([rng.integers(0, size, count) for size in volume.shape], axis=1)
    return apply_affine(volume.affine, indices) * [-1, -1, 1], volume.array[tuple(indices.T)]


def headers(paths):
    return [pydicom.dcmread(path) for path in paths]


def sitk_volume(paths):
    return sitk.ReadImage([str(path) for path in paths])


def require_values_at_places(image, volume, tolerance=0.5):
    points, values = some_points(volume)
    for point, value in zip(points, values, strict=True):
        index = image.TransformPhysicalPointToContinuousIndex(point.tolist())
        np.testing.assert_allclose(index, np.rint(index), atol=1e-3)
        assert abs(image[tuple(np.rint(index).astype(int).tolist())] - value) <= tolerance
