"""A scan as the detector sees it: cubic voxels, cropped to the lungs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medgan.data.samples import Image, Mask
from medgan.detection.config import DetectorInput
from medgan.errors import DataError
from medgan.volumes import Volume
from medgan.volumes.geometry import (
    Grid,
    crop,
    grid_with_spacing,
    reorient,
    require_same_grid,
)
from medgan.volumes.resampling import resample


@dataclass(frozen=True, eq=False)
class Prepared:
    """A scan on the detector's grid.

    Attributes:
        hu: (X, Y, Z) int16, axes in the order and direction nearest to RAS.
        region: (X, Y, Z) bool, the lungs and a margin: where marks may lie.
        grid: where the voxels lie.
    """

    hu: NDArray[np.int16]
    region: Mask
    grid: Grid


def prepare(ct: Volume, lungs: Volume, settings: DetectorInput) -> Prepared:
    """Crop a scan to its lungs and resample it.

    Args:
        ct: HU, any orientation.
        lungs: LABEL on the same grid; what is not 0 is lung.
        settings: voxel size and margin.

    Raises:
        DataError: not a CT, or no lung.
        GeometryError: the two lie on different grids.
    """
    if ct.modality != "CT":
        raise DataError("nodules are looked for in CT", measured=ct.modality, limit="CT")
    require_same_grid(ct, lungs)
    mask = lungs.with_array(lungs.array > 0)
    if not mask.array.any():
        raise DataError("the mask of the lungs is empty", remedy="Check the scan and its mask")
    box = ndimage.find_objects(mask.array.astype(np.uint8))[0]
    margins = np.divide(settings.margin_mm, ct.spacing_mm).astype(int)
    x, y, z = (
        slice(max(0, side.start - margin), side.stop + margin)
        for side, margin in zip(box, margins, strict=True)
    )
    near, mask = (reorient(crop(volume, (x, y, z)), "RAS") for volume in (ct, mask))
    grid = grid_with_spacing(Grid.of(near), (settings.spacing_mm,) * 3)
    hu = np.round(resample(near, grid).array).clip(-32768, 32767).astype(np.int16)
    inside = resample(mask, grid).array
    if not inside.any():
        raise DataError(
            "the lungs are smaller than a voxel of the detector",
            limit=f"{settings.spacing_mm} mm",
            remedy="Check the mask of the lungs",
        )
    if settings.lung_margin_mm:
        away = ndimage.distance_transform_edt(~inside, settings.spacing_mm)
        inside = away <= settings.lung_margin_mm
    return Prepared(hu, inside, grid)


def scaled(hu: NDArray[np.float32], settings: DetectorInput) -> Image:
    """HU to [-1, 1] by the window; what lies outside is clipped."""
    low, high = settings.window_hu
    return ((hu - low) * (2 / (high - low)) - 1).clip(-1, 1).astype(np.float32)


def window_of(
    hu: NDArray[np.int16], start: NDArray[np.int64], size: Sequence[int]
) -> NDArray[np.float32]:
    """A box of an image from ``start`` on; what lies outside the image is air, -1000 HU."""
    made = np.full(size, -1000, np.float32)
    low = np.maximum(start, 0)
    high = np.minimum(start + size, hu.shape)
    if (high > low).all():
        there = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        here = tuple(slice(a, b) for a, b in zip(low - start, high - start, strict=True))
        made[here] = hu[there]
    return made
