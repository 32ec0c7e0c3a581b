"""A volume on another grid."""

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medgan.volumes.geometry import Affine, Grid
from medgan.volumes.volume import Volume


def resample(volume: Volume, grid: Grid, *, order: int = 1, antialias: bool = True) -> Volume:
    """Sample a volume at the voxel centres of another grid.

    Voxels whose centre lies outside the source (beyond the outer faces of its border voxels) become
    background; within half a voxel of the border the border value continues. A grid equal to the
    volume's own returns its values exactly.

    Args:
        volume: any affine, shear included. A LABEL volume is sampled at the nearest voxel.
        grid: where to sample.
        order: of the spline: 0 nearest voxel, 1 linear, 3 cubic.
        antialias: smooth first along axes that are sampled more coarsely than they were.

    Returns:
        The volume on ``grid``: float32, or the source's dtype for a LABEL.
    """
    labels = volume.modality == "LABEL"
    dtype = volume.array.dtype if labels else np.dtype(np.float32)
    to_source = np.linalg.inv(volume.affine) @ grid.affine
    if grid.shape == volume.shape and np.allclose(to_source, np.eye(4), rtol=0, atol=1e-6):
        return replace(volume, array=volume.array.astype(dtype), affine=grid.affine)

    array = volume.array.astype(np.uint8 if dtype == np.bool_ else dtype)
    if antialias and not labels:
        array = ndimage.gaussian_filter(array, antialias_sigma(to_source), mode="nearest")
    sampled = ndimage.affine_transform(
        array,
        _simplest(to_source[:3, :3]),
        to_source[:3, 3],
        grid.shape,
        order=0 if labels else order,
        mode="nearest",
    )
    sampled[_outside(to_source, grid.shape, volume.shape)] = volume.background
    return replace(volume, array=sampled.astype(dtype, copy=False), affine=grid.affine)


def antialias_sigma(to_source: Affine) -> tuple[float, float, float]:
    """Width of the Gaussian that turns the source's resolution into the target's.

    Both voxels are taken as Gaussian point spread functions with the voxel size as full width at
    half maximum; variances subtract: ``sigma = sqrt((f^2 - 1) / (8 ln 2))`` source voxels, with f
    the extent of one target voxel along a source axis, in source voxels. No smoothing for f <= 1.

    Args:
        to_source: (4, 4) target voxel index -> source voxel index.

    Returns:
        Standard deviation along each source axis, in source voxels.

    Source:
        M. J. Cardoso et al., Scale Factor Point Spread Function Matching: Beyond Aliasing in Image
        Resampling, MICCAI 2015, with the row norm standing for the scale factor where axes turn.
    """
    factors = np.linalg.norm(to_source[:3, :3], axis=1)
    x, y, z = (math.sqrt(max(f * f - 1, 0) / (8 * math.log(2))) for f in factors)
    return x, y, z


def _simplest(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """The diagonal alone where it says everything: SciPy then interpolates one axis at a time."""
    diagonal = np.diag(matrix)
    return diagonal if np.array_equal(matrix, np.diag(diagonal)) else matrix


def _outside(
    to_source: Affine, shape: tuple[int, int, int], source_shape: tuple[int, int, int]
) -> NDArray[np.bool_]:
    """Whether each target voxel's centre lies beyond the outer faces of the source."""
    indices = np.ogrid[tuple(slice(size) for size in shape)]
    outside = np.zeros(shape, dtype=bool)
    for row, size in zip(to_source[:3], source_shape, strict=True):
        # Terms that vanish are left out: for parallel axes the sum stays one-dimensional.
        position = row[3] + sum(
            factor * index for factor, index in zip(row[:3], indices, strict=True) if factor
        )
        outside |= (position < -0.5 - 1e-6) | (position > size - 0.5 + 1e-6)
    return outside
