"""Which voxels of a chest CT are lung."""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medgan.errors import DataError
from medgan.volumes.geometry import Grid, axis_codes, grid_with_spacing
from medgan.volumes.masks import Mask, dilate_mm
from medgan.volumes.resampling import resample
from medgan.volumes.volume import Volume

WORKING_MM = 2.0
"""Voxel size, or the scan's own where that is larger: noise averages out, a scan takes seconds."""

LUNG_BELOW_HU = -400.0
"""Half way from lung (-850 HU) to soft tissue (40 HU)."""

AIR_BELOW_HU = -950.0
"""Gas without tissue; lung at full inspiration averages -850 HU and reaches -910 HU.

Source: A. A. Bankier et al., Pulmonary emphysema: subjective visual grading versus objective
quantification, Radiology 211, 1999, where -950 HU is the limit of emphysema.
"""

CLOSE_MM = 12.0
"""Radius of the ball that closes over nodules on the wall and vessels.

Of a 20 mm nodule on the wall 18 % are included at 8 mm, 69 % at 12 mm and 73 % at 15 mm, while the
soft tissue included at the hilum grows by two thirds from 12 to 15 mm.
"""

SMALLEST_ML = 20.0
"""Less than this in one piece is not taken for lung."""

Box = tuple[slice, ...]


def lung_mask(volume: Volume) -> Mask:
    """Find the lungs, vessels and nodules in them and on their wall included.

    Air outside the body, trachea and main bronchi, gas in stomach and bowel are left out. Gas is
    told from lung by what surrounds it: a bulla by lung, an airway or a bowel by soft tissue. The
    lungs may be cut by the border of the image on any side; one alone is enough.

    Args:
        volume: CT in HU, any orientation, shear included.

    Returns:
        (X, Y, Z) bool.

    Raises:
        DataError: not a CT, or no lung in it.
    """
    if volume.modality != "CT":
        raise DataError("lungs are looked for in CT only", measured=volume.modality)
    spacing = [max(WORKING_MM, size) for size in volume.spacing_mm]
    grid = grid_with_spacing(Grid.of(volume), (spacing[0], spacing[1], spacing[2]))
    # Padding beyond the field of view is as low as -3024 HU and would darken its rim.
    clipped = volume.with_array(np.clip(volume.array, -1024, 1000).astype(np.float32))
    coarse = resample(clipped, grid)
    lungs = _closed_lungs(coarse)
    if not lungs.any():
        raise DataError(
            "no lung in this scan",
            measured=f"no piece of {SMALLEST_ML:g} ml between {AIR_BELOW_HU:g} and "
            f"{LUNG_BELOW_HU:g} HU inside the body",
            remedy="Check that it is a chest CT in HU",
        )
    shares = coarse.with_array(lungs.astype(np.float32))
    fine = resample(shares, Grid.of(volume)).array > 0.5
    return np.asarray(fine)


def _closed_lungs(coarse: Volume) -> Mask:
    spacing = coarse.spacing_mm
    array = ndimage.gaussian_filter(coarse.array, [0.7 * WORKING_MM / size for size in spacing])
    low = np.asarray(array < LUNG_BELOW_HU)
    gas = np.asarray(array < AIR_BELOW_HU)
    outside = _outside(low, gas, coarse)
    airways = _airways(low & ~outside, gas & ~outside, spacing)
    body = _body(~low, spacing)
    lungs = np.zeros(low.shape, bool)
    for room, piece in _large_pieces(low & ~outside & ~airways, array, spacing):
        closed = ndimage.binary_fill_holes(_close_mm(piece, spacing, CLOSE_MM))
        shell = dilate_mm(closed, spacing, 2 * WORKING_MM) & ~closed
        # Cushions border on air, hollow tables on thin walls: 98 % and more against at most 52 %.
        if shell.any() and body[room][shell].mean() > 0.8:
            lungs[room] |= closed
    return lungs & ~airways & ~outside


def _body(dense: Mask, spacing: tuple[float, float, float]) -> Mask:
    """The largest dense piece, without what is thin: table, clothes, vessels in the lungs."""
    labels, count = ndimage.label(_open_mm(dense, spacing, 2 * WORKING_MM))
    if not count:
        return np.zeros(dense.shape, bool)
    largest = labels == 1 + np.bincount(labels.ravel())[1:].argmax()
    return dense & dilate_mm(largest, spacing, 2 * WORKING_MM)


def _outside(low: Mask, gas: Mask, coarse: Volume) -> Mask:
    """The air around the patient, with clothes and cushions in it.

    It touches the sides of the image, as the lungs of a cropped scan may, but is gas where it does.
    """
    head_axis = next(i for i, code in enumerate(axis_codes(coarse.affine)) if code in "SI")
    border = np.zeros(low.shape, bool)
    for axis in {0, 1, 2} - {head_axis}:
        edges = np.moveaxis(border, axis, 0)
        edges[[0, -1]] = True
    core = _open_mm(gas, coarse.spacing_mm, 2 * WORKING_MM)
    labels, count = ndimage.label(core)
    touching = np.bincount(labels[border & core], minlength=count + 1)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    # Emphysema at the border of a crop touches it with little of its surface.
    outer = np.flatnonzero(touching > 0.5 * sizes ** (2 / 3))
    around = np.isin(labels, outer[outer > 0])
    return low & dilate_mm(around, coarse.spacing_mm, 4 * WORKING_MM)


def _airways(low: Mask, gas: Mask, spacing: tuple[float, float, float]) -> Mask:
    """Gas with more soft tissue than lung about it, its rim of partial volume included."""
    core = _open_mm(gas, spacing, WORKING_MM)
    labels = ndimage.label(core)[0]
    airways = np.zeros(low.shape, bool)
    margin = 2 * max(WORKING_MM, min(spacing))
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        room = _widened(box, spacing, 2 * margin, low.shape)
        piece = labels[room] == number
        rim = dilate_mm(piece, spacing, margin)
        shell = dilate_mm(piece, spacing, 2 * margin) & ~rim
        if shell.any() and (low & ~gas)[room][shell].mean() < 0.5:
            airways[room] |= rim & low[room]
    return airways


def _large_pieces(
    candidates: Mask, array: NDArray[np.float32], spacing: tuple[float, float, float]
) -> Iterator[tuple[Box, Mask]]:
    """Connected pieces that are large and dense enough to be lung, each with room to be closed."""
    labels, count = ndimage.label(_open_mm(candidates, spacing, WORKING_MM))
    if not count:
        return
    ml = np.bincount(labels.ravel())[1:] * math.prod(spacing) / 1000
    mean = ndimage.mean(array, labels, np.arange(1, count + 1))
    boxes = ndimage.find_objects(labels)
    for index in np.flatnonzero((ml >= SMALLEST_ML) & (mean > AIR_BELOW_HU)):
        room = _widened(boxes[index], spacing, 2 * CLOSE_MM, labels.shape)
        yield room, labels[room] == index + 1


def _close_mm(mask: Mask, spacing: tuple[float, float, float], radius: float) -> Mask:
    """Closing in which the border of the image is no wall."""
    return mask | ~dilate_mm(~dilate_mm(mask, spacing, radius), spacing, radius)


def _open_mm(mask: Mask, spacing: tuple[float, float, float], radius: float) -> Mask:
    return mask & dilate_mm(~dilate_mm(~mask, spacing, radius), spacing, radius)


def _widened(
    box: Box, spacing: tuple[float, float, float], margin: float, shape: tuple[int, ...]
) -> Box:
    steps = [math.ceil(margin / size) + 1 for size in spacing]
    return tuple(
        slice(max(0, side.start - step), min(size, side.stop + step))
        for side, step, size in zip(box, steps, shape, strict=True)
    )
