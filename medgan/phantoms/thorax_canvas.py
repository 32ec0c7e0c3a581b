"""A CT being painted, with partial volume at every edge."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medgan.phantoms.thorax_lattice import Lattice

Floats = NDArray[np.float32]


class ThoraxCanvas:
    """HU on a lattice's grid, air at first.

    Args:
        lattice: the grid.
        coarse_atlas: (M, 3) atlas positions of its coarse points.
    """

    def __init__(self, lattice: Lattice, coarse_atlas: Floats) -> None:
        self.lattice = lattice
        self.coarse_atlas = coarse_atlas
        self.hu = np.full(lattice.grid.shape, -1000, dtype=np.float32)
        self._edge = np.float32(lattice.voxel_mm)
        self._atlas = [
            lattice.fine(np.ascontiguousarray(column)).ravel() for column in coarse_atlas.T
        ]

    def atlas(self, where: NDArray[np.intp]) -> Floats:
        """Atlas positions of voxels by flat index, (K, 3)."""
        return np.stack([column[where] for column in self._atlas], axis=1)

    def near_spine(self) -> NDArray[np.bool_]:
        """Voxels of the spine and around it, (X, Y, Z)."""
        x, y, _ = self._atlas
        near: NDArray[np.bool_] = (np.abs(x) < 38) & (y < -32)
        return near.reshape(self.hu.shape)

    def paint(self, distance_mm: Floats, hu: ArrayLike) -> None:
        """Replace what lies within a surface, in part where the surface crosses a voxel.

        Args:
            distance_mm: (X, Y, Z), negative inside.
            hu: a number, or (X, Y, Z).
        """
        self.cover(np.clip(np.float32(0.5) - distance_mm / self._edge, 0, 1), hu)

    def cover(self, share: Floats, hu: ArrayLike) -> None:
        """Replace a share, (X, Y, Z) in 0..1, of every voxel."""
        self.hu += share * (np.asarray(hu, dtype=np.float32) - self.hu)

    def veil(self, distance_mm: Floats, hu: ArrayLike) -> None:
        """As ``paint``, for a sheet so thin that no voxel is in it as a whole."""
        share = np.clip(np.float32(0.5) - distance_mm / self._edge, 0, 1)
        self.cover(share * min(1.0, 1.0 / float(self._edge)), hu)

    def paint_at(self, where: NDArray[np.intp], distance_mm: Floats, hu: float) -> None:
        """As ``paint`` for voxels by flat index (K,)."""
        share = np.clip(np.float32(0.5) - distance_mm / self._edge, 0, 1)
        flat = self.hu.reshape(-1)
        flat[where] += share * (np.float32(hu) - flat[where])
