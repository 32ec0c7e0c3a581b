"""DICOM series that must be read, every voxel at its place with its value."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pydicom

from medgan.io.dicom import errors
from medgan.phantoms.dicom_case import VOXELS, Case, CaseMaker
from medgan.phantoms.dicom_multiframe import FramePlace, multiframe
from medgan.phantoms.dicom_slices import (
    INTERCEPT,
    OBLIQUE,
    SAGITTAL,
    SLICES,
    Slice,
    Truth,
    rescaled,
    save,
    stack,
)


def regular(make: CaseMaker) -> Case:
    """Eight parallel slices at equal distances."""
    return make.plain(make.slices())


def reversed_names(make: CaseMaker) -> Case:
    """File names and instance numbers against the order in space."""
    names = [f"{SLICES - number:03d}.dcm" for number in range(SLICES)]
    return make.plain(make.slices(), names=names)


def sagittal(make: CaseMaker) -> Case:
    """Sagittal slices."""
    return make.plain(make.slices(orientation=SAGITTAL))


def oblique(make: CaseMaker) -> Case:
    """Slices turned about two axes."""
    return make.plain(make.slices(orientation=OBLIQUE))


def anisotropic_pixels(make: CaseMaker) -> Case:
    """Pixels of 0.7 x 1.9 mm: rows and columns must not be confused."""
    return make.plain(make.slices(spacing=(0.7, 1.9)))


def rescale_per_slice(make: CaseMaker) -> Case:
    """Another slope and intercept in each slice."""
    images = [
        rescaled([image], 0.5 + 0.125 * number, INTERCEPT - number)[0]
        for number, image in enumerate(stack())
    ]
    return make.plain(images)


def _padded(make: CaseMaker, limit: int | None) -> Case:
    background = -1024.0 if make.modality == "CT" else 0.0
    images = []
    for image in make.slices(first=100):
        stored = image.stored.copy()
        stored[0, :3] = [5, 5 if limit is None else 7, 5 if limit is None else limit]
        truth = image.truth.copy()
        truth[0, :3] = background
        padded = replace(image, stored=stored, truth=truth).with_tags(PixelPaddingValue=5)
        images.append(padded.with_tags(PixelPaddingRangeLimit=limit) if limit else padded)
    case = make.plain(images)
    whole = case.volumes[0]
    inside = whole.values != background
    # Padding has no value of its own: other readers may keep what is stored.
    return replace(case, sources=(Truth(whole.points_ras[inside], whole.values[inside]),))


def padding_value(make: CaseMaker) -> Case:
    """One stored value marks what lies outside the field of view."""
    return _padded(make, None)


def padding_range(make: CaseMaker) -> Case:
    """A range of stored values marks what lies outside the field of view."""
    return _padded(make, 9)


def two_series(make: CaseMaker) -> Case:
    """Two series in one folder."""
    first, second = make.slices(), make.slices(slices=6, step=3, first=VOXELS)
    make.write(first, "a")
    make.write(second, "b")
    return make.case(first, second)


def localizer_in_series(make: CaseMaker) -> Case:
    """A sagittal localizer within an axial series."""
    images = make.slices()
    scout = make.slices(
        slices=1, first=VOXELS, orientation=SAGITTAL, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]
    )
    make.write([*scout, *images])
    if make.modality == "MR":
        return make.case(images, scout)
    return make.case(images, refused=[(scout, errors.ProjectionImage)])


def _repeated(make: CaseMaker, **changes: Any) -> Case:
    first, second = make.slices(), make.slices(first=VOXELS)
    make.write([*first, *(image.with_tags(**changes) for image in second)])
    return make.case(first, second)


def two_time_points(make: CaseMaker) -> Case:
    """The same places twice, at two times."""
    if make.modality == "CT":
        return _repeated(make, AcquisitionNumber=2)
    return _repeated(make, TemporalPositionIdentifier=2)


def two_echoes(make: CaseMaker) -> Case:
    """The same places twice, at two echo times."""
    return _repeated(make, EchoNumbers=2, EchoTime="90")


def b_values(make: CaseMaker) -> Case:
    """The same places twice, without and with diffusion weighting."""
    return _repeated(make, DiffusionBValue=1000.0)


def mixed_matrix(make: CaseMaker) -> Case:
    """Two stacks of another matrix size each."""
    images = make.slices()
    others = make.slices(slices=3, shape=(6, 5), first=VOXELS, origin=(-31.0, -42.0, 153.0))
    make.write([*images, *others])
    return make.case(images, others)


def mixed_orientations(make: CaseMaker) -> Case:
    """An axial and a sagittal stack in one series."""
    images, others = make.slices(), make.slices(orientation=SAGITTAL, first=VOXELS)
    make.write([*images, *others])
    return make.case(images, others)


def single_slice(make: CaseMaker) -> Case:
    """One slice."""
    return make.plain(make.slices(slices=1))


def high_bits_in_use(make: CaseMaker) -> Case:
    """Bits above the 12 that are declared hold something else."""
    images = [
        image.with_tags(PixelData=(image.stored | 0xA000).astype("<u2").tobytes())
        for image in make.slices()
    ]
    return make.plain(images)


def signed_values(make: CaseMaker) -> Case:
    """Signed 16-bit values, below and above zero."""
    images = rescaled(stack(first=-VOXELS), 1, 0)
    tags: dict[str, Any] = {"PixelRepresentation": 1, "BitsStored": 16, "HighBit": 15}
    return make.plain(
        [
            image.with_tags(PixelData=image.stored.astype("<i2").tobytes(), **tags)
            for image in images
        ],
    )


def long_decimals(make: CaseMaker) -> Case:
    """Direction cosines of more characters than a decimal string may have."""
    with pydicom.config.disable_value_validation():
        cosine = "0.70710678118654752440"
        images = [
            image.with_tags(
                ImageOrientationPatient=[cosine, cosine, "0", "-" + cosine, cosine, "0"]
            )
            for image in make.slices(orientation=(*2 * [0.5**0.5], 0.0, -(0.5**0.5), 0.5**0.5, 0.0))
        ]
        return make.plain(images)


def _multiframe(make: CaseMaker, stacks: Sequence[Sequence[Slice]], *, times: bool) -> Case:
    images: list[Slice] = []
    places: list[FramePlace] = []
    for number, frames in enumerate(stacks, 1):
        images += frames
        places += [
            FramePlace(1 if times else number, number if times else 1, position)
            for position in range(1, len(frames) + 1)
        ]
    # Stored in an order of no meaning: only the functional groups say what is where.
    order = np.random.default_rng(0).permutation(len(images))
    header = multiframe(
        [images[index] for index in order],
        [places[index] for index in order],
        make.modality,
        make.uids(),
    )
    save(header, make.folder / "enhanced.dcm")
    return make.case(*stacks)


def enhanced(make: CaseMaker) -> Case:
    """One enhanced multi-frame image, frames out of order, a slope for each."""
    images = [rescaled([image], 1 + number, INTERCEPT)[0] for number, image in enumerate(stack())]
    return _multiframe(make, [images], times=False)


def enhanced_two_stacks(make: CaseMaker) -> Case:
    """One enhanced image of an axial and a sagittal stack."""
    stacks = [make.slices(), make.slices(orientation=SAGITTAL, first=VOXELS)]
    return _multiframe(make, stacks, times=False)


def enhanced_two_times(make: CaseMaker) -> Case:
    """One enhanced image of two time points."""
    return _multiframe(make, [make.slices(), make.slices(first=VOXELS)], times=True)


MAKERS = (
    regular,
    reversed_names,
    sagittal,
    oblique,
    anisotropic_pixels,
    rescale_per_slice,
    padding_value,
    padding_range,
    two_series,
    localizer_in_series,
    two_time_points,
    two_echoes,
    b_values,
    mixed_matrix,
    mixed_orientations,
    single_slice,
    high_bits_in_use,
    signed_values,
    long_decimals,
    enhanced,
    enhanced_two_stacks,
    enhanced_two_times,
)
"""One function for each case; its name is the case's."""
