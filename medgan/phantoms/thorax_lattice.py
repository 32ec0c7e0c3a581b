"""A fine grid whose smooth fields are worked out at few points and interpolated to all."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medgan.volumes.geometry import Grid, apply_affine

Floats = NDArray[np.float32]

COARSE_MM = 4.0
"""Distance between the points of the coarse grid. Linear interpolation of the distance to a surface
of curvature radius R errs by at most COARSE_MM**2 / (8 R): 0.04 mm for 50 mm."""


def voxel_of(grid: Grid, points_mm: ArrayLike) -> NDArray[np.float64]:
    """Voxel indices (..., 3) of world positions (..., 3) RAS mm; whole numbers are centres."""
    return apply_affine(np.linalg.inv(grid.affine).astype(np.float64), points_mm)


class Lattice:
    """A grid and, over it, a coarser one with a point at every few voxels.

    Args:
        grid: the voxels.
    """

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        factors = [max(1, int(COARSE_MM / step)) for step in grid.spacing_mm]
        self._counts = [-(-(n - 1) // f) + 1 for n, f in zip(grid.shape, factors, strict=True)]
        self._nodes = [np.arange(count) * f for count, f in zip(self._counts, factors, strict=True)]
        self._weights = [
            _interpolation(n, count, f)
            for n, count, f in zip(grid.shape, self._counts, factors, strict=True)
        ]

    @property
    def voxel_mm(self) -> float:
        """Edge of the cube with a voxel's volume."""
        return float(abs(np.linalg.det(self.grid.affine[:3, :3])) ** (1 / 3))

    @property
    def coarse_shape(self) -> tuple[int, int, int]:
        """Number of coarse points along each axis."""
        x, y, z = self._counts
        return x, y, z

    def coarse_points(self) -> Floats:
        """World positions of the coarse points, (M, 3) RAS mm."""
        index = np.stack(np.meshgrid(*self._nodes, indexing="ij"), axis=-1).reshape(-1, 3)
        return apply_affine(self.grid.affine, index).astype(np.float32)

    def fine(self, values: Floats) -> Floats:
        """Interpolate values at the coarse points, (M,), to every voxel, (X, Y, Z)."""
        across, along, up = self._weights
        x, y, z = self._counts
        field = (across @ values.reshape(x, y * z)).reshape(-1, y, z)
        interpolated: Floats = np.matmul(np.matmul(along, field), up.T)
        return interpolated


def _interpolation(size: int, count: int, factor: int) -> Floats:
    """Linear interpolation from ``count`` nodes, ``factor`` apart, as a (size, count) matrix."""
    matrix = np.zeros((size, count), dtype=np.float32)
    rows = np.arange(size)
    low = np.minimum(rows // factor, max(count - 2, 0))
    part = (rows - low * factor) / factor
    matrix[rows, low] = 1 - part
    if count > 1:
        matrix[rows, low + 1] = part
    return matrix
