"""Small enhanced multi-frame CT and MR images, every voxel's place and value known."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import generate_uid

from medgan.phantoms.dicom_slices import Slice, Uids, dataset

CLASSES = {"CT": "1.2.840.10008.5.1.4.1.1.2.1", "MR": "1.2.840.10008.5.1.4.1.1.4.1"}
"""Source: DICOM PS3.4 B.5, Enhanced CT and Enhanced MR Image Storage."""

_PER_FRAME = (
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "SliceThickness",
    "RescaleSlope",
    "RescaleIntercept",
    "RescaleType",
)
"""What an enhanced image says for each frame and no longer at its top."""


@dataclass(frozen=True)
class FramePlace:
    """Where a frame stands among the others.

    Attributes:
        stack: StackID.
        time: TemporalPositionIndex.
        position: InStackPositionNumber.
    """

    stack: int
    time: int
    position: int


def multiframe(
    images: Sequence[Slice], places: Sequence[FramePlace], modality: str, uids: Uids
) -> Dataset:
    """One multi-frame image.

    Args:
        images: frames of one matrix, in the order in which they are stored.
        places: one for each frame.
        modality: "CT" or "MR".
        uids: of study and series.

    Returns:
        A data set in explicit VR little endian; orientation and pixel size are shared by all
        frames where they are the same, positions and rescaling belong to each.
    """
    header = dataset(images[0], modality, uids, 1)
    for keyword in _PER_FRAME:
        if keyword in header:
            delattr(header, keyword)
    header.SOPClassUID = CLASSES[modality]
    header.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME" if modality == "CT" else "OTHER", "NONE"]
    header.NumberOfFrames = len(images)
    header.PixelData = np.stack([image.stored for image in images]).astype("<u2").tobytes()
    _add_dimensions(header)

    shared, shares = Dataset(), len({(image.orientation, image.spacing) for image in images}) == 1
    if shares:
        _add_orientation(shared, images[0])
    _add_frame_type(shared, header, modality)
    header.SharedFunctionalGroupsSequence = Items([shared])
    header.PerFrameFunctionalGroupsSequence = Items(
        [
            _frame(image, place, modality, with_orientation=not shares)
            for image, place in zip(images, places, strict=True)
        ]
    )
    return header


def _frame(image: Slice, place: FramePlace, modality: str, *, with_orientation: bool) -> Dataset:
    group = Dataset()
    content = _item(
        StackID=str(place.stack),
        InStackPositionNumber=place.position,
        TemporalPositionIndex=place.time,
        DimensionIndexValues=[place.stack, place.position, place.time],
    )
    group.FrameContentSequence = Items([content])
    position = [f"{value:.10g}" for value in image.position]
    group.PlanePositionSequence = Items([_item(ImagePositionPatient=position)])
    if with_orientation:
        _add_orientation(group, image)
    intercept = image.tags.get("RescaleIntercept", "-1024" if modality == "CT" else "0")
    transformation = _item(
        RescaleIntercept=intercept,
        RescaleSlope=image.tags.get("RescaleSlope", "1"),
        RescaleType="HU" if modality == "CT" else "US",
    )
    group.PixelValueTransformationSequence = Items([transformation])
    return group


def _add_orientation(group: Dataset, image: Slice) -> None:
    orientation = [f"{value:.10g}" for value in image.orientation]
    group.PlaneOrientationSequence = Items([_item(ImageOrientationPatient=orientation)])
    spacing = [f"{value:.10g}" for value in image.spacing]
    group.PixelMeasuresSequence = Items([_item(PixelSpacing=spacing, SliceThickness="7.5")])


def _add_frame_type(group: Dataset, header: Dataset, modality: str) -> None:
    item = _item(FrameType=list(header.ImageType), PixelPresentation="MONOCHROME")
    setattr(group, f"{modality}ImageFrameTypeSequence", Items([item]))


def _add_dimensions(header: Dataset) -> None:
    """Stack, position, time: which of a frame's attributes its index values stand for.

    Source:
        DICOM PS3.3 C.7.6.17, Multi-frame Dimension Module.
    """
    organization = generate_uid(entropy_srcs=["dimensions", header.SeriesInstanceUID])
    header.DimensionOrganizationSequence = Items([_item(DimensionOrganizationUID=organization)])
    pointers = (0x00209056, 0x00209057, 0x00209128)
    header.DimensionIndexSequence = Items(
        [
            _item(
                DimensionOrganizationUID=organization,
                DimensionIndexPointer=pointer,
                FunctionalGroupPointer=0x00209111,
            )
            for pointer in pointers
        ]
    )


def _item(**attributes: Any) -> Dataset:
    item = Dataset()
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    return item
