"""Steps where none should be: from slice to slice, and at the borders of patches."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medgan.errors import DataError

Array = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]


def slice_discontinuity(
    array: Array,
    mask: Mask,
    spacing_mm: tuple[float, float, float],
    axis: int = 2,
    reference: Array | None = None,
) -> float:
    """Mean absolute step from slice to slice over that within slices, both per mm.

    A model that makes each slice by itself jumps between them. 1 means as continuous across the
    slices as within them. Anatomy is not the same along all axes, and thick slices step less per
    mm: only against a real image does the value tell of the model alone.

    Args:
        array: (X, Y, Z), any unit.
        mask: (X, Y, Z) bool; a step counts where both its voxels are in it.
        spacing_mm: voxel size.
        axis: across the slices, 0 to 2.
        reference: a real image on the same grid, by whose ratio that of the array is divided.

    Returns:
        The ratio; NaN where the mask has no steps along some axis or the image none of any height.

    Raises:
        DataError: the shapes differ, or are not 3-D.
    """
    _require_one_grid(array, mask)
    if array.ndim != 3:
        raise DataError("slices are those of a volume", measured=array.shape, limit="3 axes")
    slopes = [
        _ratio(*(values.sum() for values in _steps(array, mask, each))) / spacing_mm[each]
        for each in range(3)
    ]
    across = slopes.pop(axis)
    found = _ratio(across, (slopes[0] + slopes[1]) / 2)
    if reference is None:
        return found
    return _ratio(found, slice_discontinuity(reference, mask, spacing_mm, axis))


def seam_ratio(
    array: Array,
    borders: Sequence[Sequence[int]],
    mask: Mask,
    within: int | None = None,
    reference: Array | None = None,
) -> float:
    """Mean absolute step across the borders of patches over that across all other planes.

    1 means that the borders cannot be told from other planes. Each axis is held against its own
    other planes and weighs as its borders do, so that an axis along which the image is rougher
    does not pass for seams.

    Args:
        array: of any number of axes and any unit.
        borders: for each axis the indices of the first voxel after each border; empty for none.
        mask: bool, shaped as the array; a step counts where both its voxels are in it.
        within: other planes count up to this many voxels from a border, so that what differs is
            not the anatomy farther away; None: all of them.
        reference: an image without borders on the same grid, by whose ratio that of the array is
            divided, so that the anatomy that happens to lie at the borders does not count.

    Returns:
        The ratio; NaN where no step across a border, or none beside them, lies in the mask.

    Raises:
        DataError: the shapes differ, or a border lies outside the array.
    """
    _require_one_grid(array, mask)
    if len(borders) != array.ndim:
        raise DataError("borders are given for each axis", measured=len(borders), limit=array.ndim)
    found = expected = 0.0
    for axis, indices in enumerate(borders):
        if not indices:
            continue
        at = _planes(indices, array.shape[axis])
        distance = np.abs(np.arange(array.shape[axis] - 1)[:, None] - at).min(axis=1)
        beside = (distance > 0) & (distance <= (array.shape[axis] if within is None else within))
        heights, counts = _steps(array, mask, axis)
        if counts[at].sum():
            found += heights[at].sum()
            expected += counts[at].sum() * _ratio(heights[beside].sum(), counts[beside].sum())
    ratio = _ratio(found, expected)
    if reference is None:
        return ratio
    return _ratio(ratio, seam_ratio(reference, borders, mask, within))


def _steps(array: Array, mask: Mask, axis: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Sum and number of the masked steps between each plane across an axis and the next."""
    values = np.moveaxis(np.asarray(array, dtype=np.float64), axis, 0)
    inside = np.moveaxis(mask, axis, 0)
    both = inside[:-1] & inside[1:]
    others = tuple(range(1, array.ndim))
    return np.abs(np.diff(values, axis=0)).sum(axis=others, where=both), both.sum(axis=others)


def _planes(indices: Sequence[int], length: int) -> NDArray[np.int64]:
    """Borders as the indices of the steps across them."""
    at = np.unique(np.asarray(indices, dtype=np.int64)) - 1
    if at.min() < 0 or at.max() > length - 2:
        raise DataError(
            "a border lies outside the array",
            measured=f"{at.min() + 1} to {at.max() + 1}",
            limit=f"1 to {length - 1}, the first voxel after it",
        )
    return at


def _ratio(value: float, by: float) -> float:
    if by == 0:
        return np.nan if value == 0 or np.isnan(value) else np.inf
    return float(value / by)


def _require_one_grid(array: Array, mask: Mask) -> None:
    if array.shape != mask.shape:
        raise DataError("the mask belongs to another image", measured=mask.shape, limit=array.shape)
