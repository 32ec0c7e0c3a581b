"""Small DICOM series written plainly, every voxel's place and value known.

Only pydicom is used, and none of medgan's own DICOM code, so that a reader and its truth cannot
share a mistake.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

ROWS, COLUMNS, SLICES = 12, 10, 8
"""Size of the series: a different length along each axis, so that no two can be confused."""

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
OBLIQUE = (0.8, 0.6, 0.0, -0.48, 0.64, 0.6)
"""Row and column directions in LPS, each a pair of unit vectors at right angles."""

INTERCEPT = -1024.0
"""Of CT values as most scanners store them: unsigned, 12 bits."""

CLASSES = {"CT": "1.2.840.10008.5.1.4.1.1.2", "MR": "1.2.840.10008.5.1.4.1.1.4"}
"""Source: DICOM PS3.4 B.5, CT and MR Image Storage."""

_MODALITY_TAGS: dict[str, dict[str, Any]] = {
    "CT": {"KVP": "120", "RescaleType": "HU", "ConvolutionKernel": "STANDARD"},
    "MR": {
        "ScanningSequence": "SE",
        "SequenceVariant": "NONE",
        "ScanOptions": "",
        "MRAcquisitionType": "2D",
        "RepetitionTime": "500",
        "EchoTime": "10",
        "EchoTrainLength": "1",
        "MagneticFieldStrength": "1.5",
    },
}


@dataclass(frozen=True, eq=False)
class Truth:
    """Where voxels lie and what they hold.

    Attributes:
        points_ras: (N, 3) positions in the patient, in mm.
        values: (N,) in HU or, for MR, arbitrary units.
    """

    points_ras: NDArray[np.float64]
    values: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Slice:
    """One image to be written.

    Attributes:
        stored: (rows, columns) as stored in the file.
        position: of the first pixel's centre, LPS in mm.
        orientation: row and column direction, LPS.
        spacing: distance between rows, and between columns, in mm.
        tags: further attributes, or None for one to leave out.
        truth: (rows, columns) values in HU or arbitrary units.
    """

    stored: NDArray[Any]
    position: tuple[float, float, float]
    truth: NDArray[np.float64]
    orientation: tuple[float, ...] = AXIAL
    spacing: tuple[float, float] = (1.0, 1.0)
    tags: dict[str, Any] = field(default_factory=dict)

    def with_tags(self, **tags: Any) -> "Slice":
        """The same image with further attributes."""
        return replace(self, tags={**self.tags, **tags})


def stack(
    *,
    slices: int = SLICES,
    step: float = 2.0,
    first: int = 0,
    shape: tuple[int, int] = (ROWS, COLUMNS),
    orientation: tuple[float, ...] = AXIAL,
    spacing: tuple[float, float] = (1.0, 1.0),
    origin: tuple[float, float, float] = (-31.0, -42.0, 53.0),
    **tags: Any,
) -> list[Slice]:
    """Slices along the normal, a different value in every voxel.

    Args:
        slices: how many.
        step: distance between them, in mm.
        first: stored value of the very first voxel; the following count up.
        shape: rows, columns.
        orientation: row and column direction, LPS.
        spacing: distance between rows, and between columns, in mm.
        origin: LPS position of the first slice, in mm.
        **tags: attributes of every slice.
    """
    normal = np.cross(orientation[:3], orientation[3:])
    size = shape[0] * shape[1]
    images = []
    for number in range(slices):
        stored = np.arange(first + number * size, first + (number + 1) * size).reshape(shape)
        x, y, z = (float(value) for value in np.asarray(origin) + number * step * normal)
        truth = stored.astype(np.float64)
        images.append(Slice(stored, (x, y, z), truth, orientation, spacing, dict(tags)))
    return images


def rescaled(images: Sequence[Slice], slope: float, intercept: float) -> list[Slice]:
    """The same stored values under another slope and intercept."""
    tags = {"RescaleSlope": _number(slope), "RescaleIntercept": _number(intercept)}
    return [
        replace(image, truth=image.stored * slope + intercept, tags={**image.tags, **tags})
        for image in images
    ]


def truth_of(images: Sequence[Slice]) -> Truth:
    """Every pixel's place and value.

    A pixel in column i and row j lies at ``position + i * column distance * row direction + j * row
    distance * column direction``.

    Source:
        DICOM PS3.3 C.7.6.2.1.1, equation C.7.6.2.1-1.
    """
    points, values = [], []
    for image in images:
        j, i = np.ogrid[: image.stored.shape[0], : image.stored.shape[1]]
        along_row = np.multiply(image.orientation[:3], image.spacing[1])
        down_column = np.multiply(image.orientation[3:], image.spacing[0])
        lps = image.position + i[..., None] * along_row + j[..., None] * down_column
        points.append((lps * [-1, -1, 1]).reshape(-1, 3))
        values.append(image.truth.ravel())
    return Truth(np.concatenate(points), np.concatenate(values))


def dataset(image: Slice, modality: str, uids: "Uids", number: int) -> Dataset:
    """A complete CT or MR image, explicit VR little endian.

    Args:
        image: what it shows.
        modality: "CT" or "MR".
        uids: of its study and series.
        number: InstanceNumber.
    """
    header = Dataset()
    header.SOPClassUID = CLASSES[modality]
    header.SOPInstanceUID = uids.instance(number)
    header.StudyInstanceUID, header.SeriesInstanceUID = uids.study, uids.series
    header.FrameOfReferenceUID = uids.frame_of_reference
    header.Modality = modality
    header.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL" if modality == "CT" else "M"]
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyID"):
        setattr(header, keyword, "")
    for keyword in ("StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName"):
        setattr(header, keyword, "")
    header.Manufacturer = ""
    header.PositionReferenceIndicator, header.PatientPosition = "", "HFS"
    header.BodyPartExamined = "HEAD"
    header.SeriesNumber, header.InstanceNumber = 1, number
    header.AcquisitionNumber = 1
    # Far from the true distance: whoever takes it for the spacing is caught.
    header.SliceThickness = "7.5"
    header.ImagePositionPatient = [_number(value) for value in image.position]
    header.ImageOrientationPatient = [_number(value) for value in image.orientation]
    header.PixelSpacing = [_number(value) for value in image.spacing]
    for keyword, value in _MODALITY_TAGS[modality].items():
        setattr(header, keyword, value)
    if modality == "CT":
        header.RescaleSlope, header.RescaleIntercept = "1", _number(INTERCEPT)
    _set_pixels(header, image.stored[None])
    for keyword, value in image.tags.items():
        if value is not None:
            setattr(header, keyword, copy.deepcopy(value))
        elif keyword in header:
            delattr(header, keyword)
    return header


def _set_pixels(header: Dataset, stored: NDArray[Any]) -> None:
    """Unsigned 12 bits in 16, the way of most scanners; (frames, rows, columns)."""
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
    header.Rows, header.Columns = stored.shape[1:]
    header.BitsAllocated, header.BitsStored, header.HighBit = 16, 12, 11
    header.PixelRepresentation = 0
    header.PixelData = stored.astype("<u2").tobytes()
    header["PixelData"].VR = "OW"


@dataclass(frozen=True)
class Uids:
    """UIDs of one series, a function of a name and nothing else.

    Attributes:
        name: of the series; another name gives other UIDs.
        study_name: series of one study share it.
    """

    name: str
    study_name: str

    @property
    def study(self) -> str:
        """StudyInstanceUID."""
        return generate_uid(entropy_srcs=["study", self.study_name])

    @property
    def series(self) -> str:
        """SeriesInstanceUID."""
        return generate_uid(entropy_srcs=["series", self.study_name, self.name])

    @property
    def frame_of_reference(self) -> str:
        """FrameOfReferenceUID, one for the study."""
        return generate_uid(entropy_srcs=["frame of reference", self.study_name])

    def instance(self, number: int) -> str:
        """SOPInstanceUID of one image."""
        return generate_uid(entropy_srcs=["instance", self.study_name, self.name, str(number)])


def save(header: Dataset, path: Path, syntax: str = ExplicitVRLittleEndian) -> None:
    """Write a file; ``header`` is changed to the syntax given, which must be a native one."""
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    header.file_meta.MediaStorageSOPClassUID = header.SOPClassUID
    header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
    if not header.file_meta.TransferSyntaxUID.is_little_endian:
        header.PixelData = np.frombuffer(header.PixelData, "<u2").astype(">u2").tobytes()
        header["PixelData"].VR = "OW"
    path.parent.mkdir(parents=True, exist_ok=True)
    header.save_as(path, enforce_file_format=True)


def write_slices(
    images: Sequence[Slice],
    folder: Path,
    modality: str,
    uids: Uids,
    *,
    names: Sequence[str] | None = None,
    syntax: str = ExplicitVRLittleEndian,
) -> list[Path]:
    """Write one file a slice.

    Args:
        images: in the order of their InstanceNumber.
        folder: made where missing.
        modality: "CT" or "MR".
        uids: of study and series.
        names: of the files.
        syntax: UID of a native transfer syntax.

    Returns:
        The files, in the order of ``images``.
    """
    names = names or [f"{uids.name}_{number:03d}.dcm" for number in range(len(images))]
    paths = [folder / name for name in names]
    for number, (image, path) in enumerate(zip(images, paths, strict=True), 1):
        save(dataset(image, modality, uids, number), path, syntax)
    return paths


def _number(value: float) -> str:
    """A decimal string of at most 16 characters."""
    return f"{value:.10g}"[:16]
