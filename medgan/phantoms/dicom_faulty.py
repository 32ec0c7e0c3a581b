"""DICOM series that must be refused, and the error that must say why."""

from dataclasses import replace
from typing import Any

import numpy as np

from medgan.io.dicom import errors
from medgan.phantoms.dicom_case import VOXELS, Case, CaseMaker
from medgan.phantoms.dicom_slices import (
    COLUMNS,
    OBLIQUE,
    ROWS,
    SLICES,
    stack,
    truth_of,
)

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
"""Source: DICOM PS3.4 B.5, Secondary Capture Image Storage."""


def missing_slice(make: CaseMaker) -> Case:
    """One slice is absent."""
    images = make.slices()
    del images[3]
    return make.refused(images, errors.MissingSlices)


def duplicate_slice(make: CaseMaker) -> Case:
    """Two different slices at one place."""
    images = make.slices()
    other = make.slices(slices=1, first=VOXELS)[0]
    images.insert(3, replace(other, position=images[3].position))
    return make.refused(images, errors.DuplicateSlices)


def duplicate_file(make: CaseMaker) -> Case:
    """One slice is there twice."""
    images = make.slices()
    images.insert(3, images[3])
    return make.refused(images, errors.DuplicateSlices)


def variable_spacing(make: CaseMaker) -> Case:
    """Distances that grow from slice to slice."""
    images = []
    for number, image in enumerate(make.slices()):
        x, y, z = image.position
        images.append(replace(image, position=(x, y, z + 0.1 * number**2)))
    return make.refused(images, errors.VariableSpacing)


def gantry_tilt(make: CaseMaker) -> Case:
    """Slices shifted sideways by a gantry tilted 15 degrees."""
    images = []
    for number, image in enumerate(make.slices()):
        x, y, z = image.position
        images.append(replace(image, position=(x, y + 2 * np.tan(np.pi / 12) * number, z)))
    return make.refused(images, errors.GantryTilt)


def truncated_file(make: CaseMaker) -> Case:
    """One file cut short, and a text file."""
    images = make.slices()
    paths = make.write(images)
    (make.folder / "notes.txt").write_text("no image\n")
    paths[4].write_bytes(paths[4].read_bytes()[:-60])
    whole = [image for number, image in enumerate(images) if number != 4]
    case = make.case(refused=[(images, errors.TruncatedFile)], skipped=1)
    return replace(case, sources=(truth_of(whole),))


def leftover_image(make: CaseMaker) -> Case:
    """One image of another matrix size after a whole stack."""
    images = make.slices()
    other = make.slices(slices=1, shape=(6, 5), first=VOXELS, origin=(-31.0, -42.0, 153.0))
    make.write([*images, *other])
    return make.case(images, refused=[(other, errors.LeftoverImages)])


def no_position(make: CaseMaker) -> Case:
    """ImagePositionPatient absent."""
    images = make.slices(ImagePositionPatient=None)
    return make.refused(images, errors.MissingGeometry)


def no_orientation(make: CaseMaker) -> Case:
    """ImageOrientationPatient absent."""
    images = make.slices(orientation=OBLIQUE, ImageOrientationPatient=None)
    return make.refused(images, errors.MissingGeometry)


def no_pixel_spacing(make: CaseMaker) -> Case:
    """PixelSpacing absent."""
    return make.refused(make.slices(spacing=(0.7, 1.9), PixelSpacing=None), errors.MissingGeometry)


def no_rescale(make: CaseMaker) -> Case:
    """Slope and intercept absent: fatal in CT, common in MR."""
    images = stack(RescaleSlope=None, RescaleIntercept=None)
    return (
        make.refused(images, errors.MissingRescale) if make.modality == "CT" else make.plain(images)
    )


def wrong_modality(make: CaseMaker) -> Case:
    """Modality contradicts the SOP class."""
    other = "MR" if make.modality == "CT" else "CT"
    return make.refused(make.slices(Modality=other), errors.WrongModality)


def secondary_capture(make: CaseMaker) -> Case:
    """Secondary captures that call themselves images of the modality."""
    images = make.slices(SOPClassUID=SECONDARY_CAPTURE, ConversionType="WSD")
    make.write(images)
    return replace(make.case(skipped=SLICES), sources=(truth_of(images),))


def screen_save(make: CaseMaker) -> Case:
    """Screen shots stored as if they were slices."""
    images = make.slices(ImageType=["DERIVED", "SECONDARY", "SCREEN SAVE"])
    return make.refused(images, errors.SecondaryCapture)


def burned_in_text(make: CaseMaker) -> Case:
    """Text in the pixels."""
    return make.refused(make.slices(BurnedInAnnotation="YES"), errors.BurnedInAnnotation)


def colour(make: CaseMaker) -> Case:
    """Colour pixels."""
    rgb: dict[str, Any] = {
        "SamplesPerPixel": 3,
        "PhotometricInterpretation": "RGB",
        "PlanarConfiguration": 0,
        "BitsAllocated": 8,
        "BitsStored": 8,
        "HighBit": 7,
        "PixelData": bytes(3 * ROWS * COLUMNS),
    }
    return make.refused(make.slices(**rgb), errors.UnsupportedPixels)


MAKERS = (
    missing_slice,
    duplicate_slice,
    duplicate_file,
    variable_spacing,
    gantry_tilt,
    truncated_file,
    leftover_image,
    no_position,
    no_orientation,
    no_pixel_spacing,
    no_rescale,
    wrong_modality,
    secondary_capture,
    screen_save,
    burned_in_text,
    colour,
)
"""One function for each case; its name is the case's."""
