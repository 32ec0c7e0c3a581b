"""What a header says of one image: its place, its matrix, and what tells it from its neighbours."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom import Dataset

from medgan.errors import MedganError
from medgan.io.dicom.contrast import contrast_of
from medgan.io.dicom.decode import pixel_problem
from medgan.io.dicom.errors import (
    BurnedInAnnotation,
    MissingGeometry,
    MissingRescale,
    NotHounsfield,
    SecondaryCapture,
    WrongModality,
    tag,
)
from medgan.io.dicom.functional_groups import FrameHeader, frame_headers

Vector = tuple[float, ...]

IMAGE_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.2": "CT",
    "1.2.840.10008.5.1.4.1.1.2.1": "CT",
    "1.2.840.10008.5.1.4.1.1.2.2": "CT",
    "1.2.840.10008.5.1.4.1.1.4": "MR",
    "1.2.840.10008.5.1.4.1.1.4.1": "MR",
    "1.2.840.10008.5.1.4.1.1.4.4": "MR",
}
"""Modality of the SOP classes that are read: classic, enhanced and legacy converted enhanced.

Source: DICOM PS3.4 B.5.
"""

_CAPTURES = {"SCREEN SAVE", "SCREENSAVE", "SCREEN_SAVE", "SECONDARY CAPTURE"}

_CAPTURE_CLASSES = "1.2.840.10008.5.1.4.1.1.7"
"""Secondary Capture Image Storage and, below it, its multi-frame kinds (PS3.4 B.5)."""

_TAKE_THE_ORIGINAL = "Take the series that it shows, as the scanner sent it"

_DIGITISED = {"DV", "DF", "SD", "SI", "DRW"}
"""Conversion types of video, film, paper, scans and drawings: pictures of images.

Source: DICOM PS3.3 C.8.6.1.
"""

_SYNTHESIZING_EQUIPMENT = "109100"
"""Purpose of a contributing equipment that makes images with no scanner.

Source: DICOM PS3.16 CID 7005.
"""

_COMPONENTS = {
    "M": "magnitude", "MAGNITUDE": "magnitude", "P": "phase", "PHASE": "phase",
    "R": "real", "REAL": "real", "I": "imaginary", "IMAGINARY": "imaginary",
}  # fmt: skip


@dataclass(frozen=True)
class Frame:
    """One image, from its header.

    Attributes:
        path: the file.
        number: of the frame in a multi-frame file, from 1; None in a classic one.
        instance_uid: SOPInstanceUID of the file.
        study_uid: of the study.
        series_uid: of the series.
        frame_of_reference: its UID, or "".
        modality: "CT" or "MR".
        matrix: rows, columns.
        position: of the first pixel's centre, LPS in mm; None where absent or no numbers.
        orientation: row and column direction, LPS, six numbers; None as above.
        pixel_spacing: distance between rows, and between columns, in mm; None as above.
        slice_thickness: in mm; the spacing of a single slice and of nothing else.
        localizer: whether it is one.
        kind: what always tells images apart: complex component, echo number, b-value.
        labels: what tells images apart that lie at one place, by name, most telling first.
        description: SeriesDescription.
        contrast: see ``contrast.contrast_of``.
        tilt: GantryDetectorTilt in degrees, as the scanner says.
        synthetic: whether a model made it, by its header.
        problem: why it cannot be read, as far as its own header tells.
    """

    path: Path
    number: int | None
    instance_uid: str
    study_uid: str
    series_uid: str
    frame_of_reference: str
    modality: str
    matrix: tuple[int, int]
    position: Vector | None
    orientation: Vector | None
    pixel_spacing: Vector | None
    slice_thickness: float | None
    localizer: bool
    kind: tuple[tuple[str, str], ...]
    labels: tuple[tuple[str, str], ...]
    description: str
    contrast: str
    tilt: float | None
    synthetic: bool
    problem: MedganError | None


def frames_of(header: Dataset, modality: str, path: Path, where: object) -> list[Frame]:
    """Describe every image in a file of one of the ``IMAGE_CLASSES``.

    Args:
        header: of the file, pixels or no pixels.
        modality: by its SOP class.
        path: the file.
        where: its name for errors.
    """
    parts = list(frame_headers(header))
    problem = (
        _file_problem(header, modality, where)
        or pixel_problem(header, where)
        or _frame_count_problem(header, parts, where)
    )
    return [
        _frame(header, part, path, modality, problem or _value_problem(part, modality, where))
        for part in parts
    ]


def _frame(
    header: Dataset, part: FrameHeader, path: Path, modality: str, problem: MedganError | None
) -> Frame:
    kinds = {text.upper() for text in part.texts("ImageType") or header_texts(header, "ImageType")}
    return Frame(
        path=path,
        number=part.number,
        instance_uid=str(header.get("SOPInstanceUID", "")),
        study_uid=str(header.get("StudyInstanceUID", "")),
        series_uid=str(header.get("SeriesInstanceUID", "")),
        frame_of_reference=str(header.get("FrameOfReferenceUID") or ""),
        modality=modality,
        matrix=(_whole(header.get("Rows")), _whole(header.get("Columns"))),
        position=part.numbers("ImagePositionPatient", 3),
        orientation=part.numbers("ImageOrientationPatient", 6),
        pixel_spacing=part.numbers("PixelSpacing", 2),
        slice_thickness=part.number_of("SliceThickness"),
        localizer="LOCALIZER" in kinds,
        kind=_kind(part, kinds),
        labels=_labels(part),
        description=str(header.get("SeriesDescription") or ""),
        contrast=contrast_of(part, modality),
        tilt=part.number_of("GantryDetectorTilt"),
        synthetic=is_synthetic(header),
        problem=problem,
    )


def _kind(part: FrameHeader, kinds: set[str]) -> tuple[tuple[str, str], ...]:
    component = part.text("ComplexImageComponent") or next(
        (name for name in sorted(kinds) if name in _COMPONENTS), ""
    )
    return (
        ("component", _COMPONENTS.get(component.upper(), "")),
        ("echo", part.text("EchoNumbers")),
        ("b", part.text("DiffusionBValue")),
    )


def _labels(part: FrameHeader) -> tuple[tuple[str, str], ...]:
    return (
        ("type", " ".join(part.texts("ImageType"))),
        ("time", part.text("TemporalPositionIdentifier")),
        ("echo", part.text("EchoTime")),
        ("inversion", part.text("InversionTime")),
        ("direction", " ".join(part.texts("DiffusionGradientOrientation"))),
        ("trigger", part.text("TriggerTime")),
        ("stack", part.text("StackID")),
        ("acquisition", part.text("AcquisitionNumber")),
        ("moment", part.text("AcquisitionTime")),
    )


def _file_problem(header: Dataset, modality: str, where: object) -> MedganError | None:
    said = str(header.get("Modality") or modality)
    if said != modality:
        return WrongModality(
            f"{tag('Modality')} contradicts {tag('SOPClassUID')}",
            where=where,
            measured=said if said.isalpha() and len(said) <= 16 else "something else",
            limit=modality,
        )
    return capture_problem(header, where)


def capture_problem(
    header: Dataset, where: object = None
) -> BurnedInAnnotation | SecondaryCapture | None:
    """Why the pixels are no plain image of the patient, but may show a text or a screen.

    Args:
        header: of the file.
        where: its name for errors.
    """
    if "YES" in header_texts(header, "BurnedInAnnotation"):
        return BurnedInAnnotation(
            f"has text in its pixels: {tag('BurnedInAnnotation')} is YES",
            where=where,
            remedy=_TAKE_THE_ORIGINAL,
        )
    if str(header.get("SOPClassUID") or "").startswith(_CAPTURE_CLASSES):
        return SecondaryCapture(
            f"is a picture of a screen, by {tag('SOPClassUID')}",
            where=where,
            remedy=_TAKE_THE_ORIGINAL,
        )
    digitised = _DIGITISED & set(header_texts(header, "ConversionType"))
    if digitised or _CAPTURES & set(header_texts(header, "ImageType")):
        return SecondaryCapture(
            f"is a picture of a picture, by {tag('ImageType')} or {tag('ConversionType')}",
            where=where,
            remedy=_TAKE_THE_ORIGINAL,
        )
    return None


def is_synthetic(header: Dataset) -> bool:
    """Whether a file says that a model, not a scanner, made its values.

    By SyntheticData (0008,001C), or a contributing equipment whose purpose is synthesis, which
    remains where software older than that attribute removed it.
    """
    if str(header.get("SyntheticData") or "").upper() == "YES":
        return True
    return any(
        purpose.get("CodeValue") == _SYNTHESIZING_EQUIPMENT
        for equipment in header.get("ContributingEquipmentSequence") or ()
        for purpose in equipment.get("PurposeOfReferenceCodeSequence") or ()
    )


def _frame_count_problem(
    header: Dataset, parts: list[FrameHeader], where: object
) -> MedganError | None:
    declared = int(header.get("NumberOfFrames") or 1)
    if declared == len(parts):
        return None
    return MissingGeometry(
        f"{tag('PerFrameFunctionalGroupsSequence')} does not say where every frame lies",
        where=where,
        measured=f"{len(parts)} of {declared} frames",
        remedy="Where the images lie is never guessed; export the series again",
    )


def _value_problem(part: FrameHeader, modality: str, where: object) -> MedganError | None:
    slope, intercept = part.number_of("RescaleSlope"), part.number_of("RescaleIntercept")
    absent = not part.texts("RescaleSlope") and not part.texts("RescaleIntercept")
    if absent and modality == "MR":
        return None
    if slope is None or intercept is None or slope == 0:
        return MissingRescale(
            f"{tag('RescaleSlope')} or {tag('RescaleIntercept')} is absent or no number",
            where=where,
            measured=(slope, intercept),
            remedy="Nothing says how stored values become Hounsfield units; export the series anew",
        )
    unit = part.text("RescaleType").upper()
    if modality == "CT" and unit not in ("", "HU"):
        return NotHounsfield(
            f"holds no Hounsfield units, by {tag('RescaleType')}",
            where=where,
            measured=unit if unit.isalnum() and len(unit) <= 16 else "another unit",
            limit="HU",
            remedy="Take the series that the map was made of",
        )
    return None


def header_texts(header: Dataset, keyword: str) -> tuple[str, ...]:
    """The values of an attribute as upper-case text; empty where it is absent."""
    value: Any = header.get(keyword)
    if value is None or value == "":
        return ()
    values = [value] if isinstance(value, str) else list(value)
    return tuple(str(item).strip().upper() for item in values)


def _whole(value: Any) -> int:
    return value if isinstance(value, int) else 0
