"""How an image was acquired, for the JSON beside a file whose format has no place for it.

An allow-list: what is not named here never leaves the DICOM header. Names and units are those of
the Brain Imaging Data Structure (times in seconds), which other tools write and read, too.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydicom import Dataset
from pydicom.multival import MultiValue

from medgan.io.dicom.series import DicomSeries, Plane
from medgan.volumes import Modality, Volume
from medgan.volumes.geometry import axis_codes

_CODE = re.compile(r"[\w .,:;+*/()#^-]{1,64}", re.ASCII)


@dataclass(frozen=True)
class _Parameter:
    """One entry of the sidecar.

    Attributes:
        name: in the sidecar.
        keywords: DICOM attributes that hold it, the first that is there counts; an enhanced file
            calls some of them otherwise than a classic one.
        factor: from DICOM's unit to the sidecar's.
    """

    name: str
    keywords: tuple[str, ...]
    factor: float | None = None


_MS_TO_S = 1e-3

_TEXTS = (
    _Parameter("Manufacturer", ("Manufacturer",)),
    _Parameter("ManufacturersModelName", ("ManufacturerModelName",)),
    _Parameter("PatientPosition", ("PatientPosition",)),
    _Parameter("MRAcquisitionType", ("MRAcquisitionType",)),
    _Parameter("ScanningSequence", ("ScanningSequence",)),
    _Parameter("SequenceVariant", ("SequenceVariant",)),
    _Parameter("ScanOptions", ("ScanOptions",)),
    _Parameter("SequenceName", ("SequenceName", "PulseSequenceName")),
    _Parameter("ConvolutionKernel", ("ConvolutionKernel",)),
    _Parameter("FilterType", ("FilterType",)),
)

_NUMBERS = (
    _Parameter("MagneticFieldStrength", ("MagneticFieldStrength",), 1.0),
    _Parameter("RepetitionTime", ("RepetitionTime",), _MS_TO_S),
    _Parameter("EchoTime", ("EchoTime", "EffectiveEchoTime"), _MS_TO_S),
    _Parameter("InversionTime", ("InversionTime", "InversionTimes"), _MS_TO_S),
    _Parameter("FlipAngle", ("FlipAngle",), 1.0),
    _Parameter("EchoTrainLength", ("EchoTrainLength", "RFEchoTrainLength"), 1.0),
    _Parameter("NumberOfAverages", ("NumberOfAverages",), 1.0),
    _Parameter("PixelBandwidth", ("PixelBandwidth",), 1.0),
    _Parameter("SliceThickness", ("SliceThickness",), 1.0),
    _Parameter("KVP", ("KVP",), 1.0),
    _Parameter("ExposureTime", ("ExposureTime", "ExposureTimeInms"), _MS_TO_S),
    _Parameter("XRayTubeCurrent", ("XRayTubeCurrent", "XRayTubeCurrentInmA"), 1.0),
    _Parameter("Exposure", ("Exposure", "ExposureInmAs"), 1.0),
    _Parameter("SpiralPitchFactor", ("SpiralPitchFactor",), 1.0),
    _Parameter("ReconstructionDiameter", ("ReconstructionDiameter",), 1.0),
)


def sidecar(
    volume: Volume, modality: Modality | None, series: DicomSeries | None = None
) -> dict[str, Any]:
    """What is known about how an image was acquired, without anything that could identify.

    Args:
        volume: the image.
        modality: None where it is not known: a guess would be taken for knowledge by its readers.
        series: the headers it came from, where it was DICOM.

    Returns:
        Modality, Orientation (letters of the array's axes), Synthetic, Repairs, and as far as the
        headers hold them the parameters above. A number that differs between planes becomes the
        list of its smallest and largest value.
    """
    found: dict[str, Any] = {
        "Modality": modality,
        "Orientation": axis_codes(volume.affine),
        "Synthetic": volume.synthetic,
        "Repairs": list(series.repairs) if series else [],
    }
    if series is None:
        return found
    for parameter in _TEXTS:
        text = _text(_value(series.planes[0], parameter.keywords))
        if text:
            found[parameter.name] = text
    for parameter in _NUMBERS:
        number = _range(series.planes, parameter)
        if number is not None:
            found[parameter.name] = number
    return found


def _range(planes: Sequence[Plane], parameter: _Parameter) -> float | list[float] | None:
    values = (_number(_value(plane, parameter.keywords)) for plane in planes)
    known = {round(value * (parameter.factor or 1.0), 9) for value in values if value is not None}
    if len(known) > 1:
        return [min(known), max(known)]
    return next(iter(known), None)


def _value(plane: Plane, keywords: Sequence[str]) -> Any:
    """The first attribute that has a value, in the header or the plane's functional groups."""
    for holder in (plane.header, *_groups(plane)):
        for keyword in keywords:
            value = holder.get(keyword)
            if value not in (None, ""):
                return value
    return None


def _groups(plane: Plane) -> list[Dataset]:
    """The items of an enhanced file's functional groups that concern a plane.

    Source: DICOM PS3.3 C.7.6.16.
    """
    if plane.frame is None:
        return []
    shared = plane.header.get("SharedFunctionalGroupsSequence") or []
    frames = plane.header.get("PerFrameFunctionalGroupsSequence") or []
    groups = [*frames[plane.frame - 1 : plane.frame], *shared[:1]]
    return [
        element.value[0]
        for group in groups
        for element in group
        if element.VR == "SQ" and element.value
    ]


def _number(value: Any) -> float | None:
    if isinstance(value, MultiValue):
        value = value[0] if value else None
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError):
        return None


def _text(value: Any) -> str | list[str]:
    """Codes and names of products; anything longer or stranger is not what belongs there."""
    if isinstance(value, MultiValue):
        return [text for item in value if isinstance(text := _text(item), str) and text]
    text = "" if value is None else str(value).strip()
    return text if _CODE.fullmatch(text) else ""
