"""What generators of nodules are told: where a nodule is wanted, and how dense."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medgan.data.nodule_shapes import Density
from medgan.data.samples import Image, Mask

DENSITY_VALUES: dict[Density, float] = {"ground-glass": -1.0, "part-solid": 0.0, "solid": 1.0}
"""The second map inside a nodule; -1 outside.

As far apart as can be: instance norm takes the scale out of every channel, so that a network tells
densities only by where a mixture of the two maps changes its sign.
"""

SOLID_HU = -400.0
"""Where a solid part begins.

Source: Lee et al., PLoS ONE 13, 2018, e0205490, who compare -400 and -160 HU.
"""

_SOLID_SHARE, _PART_SOLID_SHARE = 0.6, 0.1
"""Of a nodule's voxels above SOLID_HU: from here on it is solid, or has a solid part."""

_EDGE_VOXELS = 0.5
"""Standard deviation that gives a mask of voxels the edge a scanner would give it."""


def nodule_condition(share: NDArray[np.float32], density: Density) -> Image:
    """Maps of a wanted nodule.

    Args:
        share: (X, Y, Z) in [0, 1], how much of each voxel it fills.
        density: how it attenuates.

    Returns:
        (2, X, Y, Z) float32: the share scaled to [-1, 1]; the density's value where the share is
        positive, -1 elsewhere.
    """
    value = np.where(share > 0, np.float32(DENSITY_VALUES[density]), np.float32(-1))
    return np.stack([2 * share - 1, value]).astype(np.float32)


def changed_region(share: NDArray[np.float32]) -> Mask:
    """Where a nodule may change an image: what it touches, and one voxel more on each side."""
    return np.asarray(ndimage.binary_dilation(share > 0))


def share_of_mask(mask: Mask) -> NDArray[np.float32]:
    """The share of each voxel that a nodule fills, of which only a mask is known; (X, Y, Z)."""
    smooth = ndimage.gaussian_filter(mask.astype(np.float32), _EDGE_VOXELS, truncate=2)
    return np.asarray(np.where(smooth > 0.05, smooth, 0), np.float32)


def density_of(image: NDArray[np.float32], mask: Mask) -> Density:
    """The density class of a nodule from its CT numbers.

    Solid where 60 % of it are above -400 HU, part-solid from 10 % on, else ground-glass. The outer
    voxels, which lung darkens, are left out where there are others.

    Args:
        image: (X, Y, Z) HU.
        mask: (X, Y, Z) bool, not empty.
    """
    inner = ndimage.binary_erosion(mask)
    dense = float((image[inner if inner.any() else mask] > SOLID_HU).mean())
    if dense >= _SOLID_SHARE:
        return "solid"
    return "part-solid" if dense >= _PART_SOLID_SHARE else "ground-glass"
