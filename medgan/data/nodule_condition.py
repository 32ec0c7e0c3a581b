"""What generators of nodules are told: where a nodule is wanted, and where it is solid."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medgan.data.nodule_shapes import Density
from medgan.data.samples import Image, Mask

SOLID_HU = -400.0
"""Where a solid part begins.

Source: Lee et al., PLoS ONE 13, 2018, e0205490, who compare -400 and -160 HU.
"""

_SOLID_SHARE, _PART_SOLID_SHARE = 0.6, 0.1
"""Of a nodule's voxels above SOLID_HU: from here on it is solid, or has a solid part."""

_NOISE_VOXELS = 0.7
"""Standard deviation of what is done to an image before its solid voxels are told."""

_EDGE_VOXELS = 0.5
"""Standard deviation that gives a mask of voxels the edge a scanner would give it."""


def nodule_condition(share: NDArray[np.float32], solid: NDArray[np.float32]) -> Image:
    """Maps of a wanted nodule: the whole of it, and its solid part.

    Both are the same where all of it is solid; ground glass has no solid part. So the maps differ
    in where they change, not in a value only: instance norm takes the scale out of every channel.

    Args:
        share: (X, Y, Z) in [0, 1], how much of each voxel it fills.
        solid: (X, Y, Z) in [0, 1], how much of each voxel its solid part fills.

    Returns:
        (2, X, Y, Z) float32, both scaled to [-1, 1].
    """
    return (2 * np.stack([share, solid]) - 1).astype(np.float32)


def changed_region(share: NDArray[np.float32]) -> Mask:
    """Where a nodule may change an image: what it touches, and one voxel more on each side."""
    return np.asarray(ndimage.binary_dilation(share > 0))


def share_of_mask(mask: Mask) -> NDArray[np.float32]:
    """The share of each voxel that a nodule fills, of which only a mask is known; (X, Y, Z)."""
    smooth = ndimage.gaussian_filter(mask.astype(np.float32), _EDGE_VOXELS, truncate=2)
    return np.asarray(np.where(smooth > 0.05, smooth, 0), np.float32)


def solid_share_of(
    image: NDArray[np.float32], mask: Mask, share: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The share of each voxel that the solid part of a nodule in an image fills; (X, Y, Z).

    All of a solid nodule, nothing of ground glass; of a part-solid one what is above -400 HU.

    Args:
        image: (X, Y, Z) HU.
        mask: (X, Y, Z) bool, not empty: the nodule.
        share: of ``mask``, by ``share_of_mask``.
    """
    density = density_of(image, mask)
    if density == "solid":
        return share
    if density == "ground-glass":
        return np.zeros_like(share)
    # smoothed, or the noise of ground glass would be called solid, voxel by voxel
    smooth = ndimage.gaussian_filter(image, _NOISE_VOXELS)
    return np.minimum(share_of_mask(mask & (smooth > SOLID_HU)), share)


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
