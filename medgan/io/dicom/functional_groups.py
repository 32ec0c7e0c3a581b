"""The attributes of one frame, wherever a classic or an enhanced image keeps them."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydicom import Dataset
from pydicom.multival import MultiValue

_PLACES: dict[str, tuple[tuple[str, ...], ...]] = {
    "ImagePositionPatient": (("PlanePositionSequence", "ImagePositionPatient"),),
    "ImageOrientationPatient": (("PlaneOrientationSequence", "ImageOrientationPatient"),),
    "PixelSpacing": (("PixelMeasuresSequence", "PixelSpacing"),),
    "SliceThickness": (("PixelMeasuresSequence", "SliceThickness"),),
    "RescaleSlope": (("PixelValueTransformationSequence", "RescaleSlope"),),
    "RescaleIntercept": (("PixelValueTransformationSequence", "RescaleIntercept"),),
    "RescaleType": (("PixelValueTransformationSequence", "RescaleType"),),
    "ImageType": (
        ("MRImageFrameTypeSequence", "FrameType"),
        ("CTImageFrameTypeSequence", "FrameType"),
    ),
    "ComplexImageComponent": (("MRImageFrameTypeSequence", "ComplexImageComponent"),),
    "AcquisitionContrast": (("MRImageFrameTypeSequence", "AcquisitionContrast"),),
    "StackID": (("FrameContentSequence", "StackID"),),
    "TemporalPositionIdentifier": (("FrameContentSequence", "TemporalPositionIndex"),),
    "AcquisitionNumber": (("FrameContentSequence", "FrameAcquisitionNumber"),),
    "AcquisitionTime": (("FrameContentSequence", "FrameAcquisitionDateTime"),),
    "EchoTime": (("MREchoSequence", "EffectiveEchoTime"),),
    "RepetitionTime": (("MRTimingAndRelatedParametersSequence", "RepetitionTime"),),
    "InversionTime": (("MRModifierSequence", "InversionTimes"),),
    "DiffusionBValue": (("MRDiffusionSequence", "DiffusionBValue"),),
    "DiffusionGradientOrientation": (
        (
            "MRDiffusionSequence",
            "DiffusionGradientDirectionSequence",
            "DiffusionGradientOrientation",
        ),
    ),
    "TriggerTime": (("CardiacSynchronizationSequence", "NominalCardiacTriggerDelayTime"),),
    "GantryDetectorTilt": (("CTGeometrySequence", "GantryDetectorTilt"),),
}
"""Where the functional groups keep what a classic image has at its top, by its keyword there.

Source: DICOM PS3.3 C.7.6.16.2, C.8.13.5 and C.8.15.3.
"""


@dataclass(frozen=True)
class FrameHeader:
    """One frame's view of a header.

    Attributes:
        header: of the file.
        number: of the frame, from 1; None for a classic image, whose attributes are its own.
        groups: its functional groups, then those that all frames share.
    """

    header: Dataset
    number: int | None
    groups: tuple[Dataset, ...] = ()

    def value(self, keyword: str) -> Any:
        """The value of an attribute by its classic keyword, or None."""
        if self.number is None or keyword not in _PLACES:
            return _own(self.header, keyword)
        found = (_walk(group, path) for group in self.groups for path in _PLACES[keyword])
        return next((value for value in found if value is not None), None)

    def texts(self, keyword: str) -> tuple[str, ...]:
        """The values of an attribute as text; empty where it is absent or empty."""
        value = self.value(keyword)
        if value is None or value == "":
            return ()
        values = value if isinstance(value, MultiValue | list | tuple) else [value]
        return tuple(str(item).strip() for item in values)

    def text(self, keyword: str) -> str:
        """The first value of an attribute as text, or ""."""
        return next(iter(self.texts(keyword)), "")

    def numbers(self, keyword: str, count: int) -> tuple[float, ...] | None:
        """Exactly so many finite numbers, or None."""
        try:
            numbers = tuple(float(text) for text in self.texts(keyword))
        except ValueError:
            return None
        return numbers if len(numbers) == count and all(map(math.isfinite, numbers)) else None

    def number_of(self, keyword: str) -> float | None:
        """One finite number, or None."""
        numbers = self.numbers(keyword, 1)
        return None if numbers is None else numbers[0]


def frame_headers(header: Dataset) -> Iterator[FrameHeader]:
    """One view for each frame; an image without functional groups is one classic image."""
    frames = _own(header, "PerFrameFunctionalGroupsSequence")
    shared = _own(header, "SharedFunctionalGroupsSequence")
    if frames is None and shared is None:
        yield FrameHeader(header, None)
        return
    for number, group in enumerate(frames or (), 1):
        yield FrameHeader(header, number, (group, *(shared or ())))


def _walk(group: Dataset, path: tuple[str, ...]) -> Any:
    """The attribute at the end of a path through the first items of sequences, or None."""
    for sequence in path[:-1]:
        items = _own(group, sequence)
        if not items:
            return None
        group = items[0]
    return _own(group, path[-1])


def _own(dataset: Dataset, keyword: str) -> Any:
    """A value, or None where it is absent or cannot be converted."""
    try:
        return dataset.get(keyword)
    except Exception:
        return None
