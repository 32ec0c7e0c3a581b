"""Axial slices of different patients at the same distance below the vertex."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medgan.errors import DataError

MIN_BODY_SHARE = 0.05
"""A slice is worth training on when its body covers at least this share of the largest one."""

MAX_VERTEX_SHARE = 0.4
"""A scan whose top slice has more body than this share of the largest begins below the vertex."""

JITTER_MM = 10.0
"""How far apart slices that are matched by position may lie."""


@dataclass(frozen=True, eq=False)
class VertexFrame:
    """The axial slices of one scan, addressed by distance below the vertex.

    Attributes:
        vertex: index of the highest slice with body.
        has_vertex: whether the scan reaches above the head; where it does not, distances count
            from its top slice and mean nothing to other patients.
        slice_mm: distance between slices.
        usable: (N,) indices of the slices worth training on, ascending.
        weights: (N,) share of their body that each of them has.
    """

    vertex: int
    has_vertex: bool
    slice_mm: float
    usable: NDArray[np.intp]
    weights: NDArray[np.float64]

    @property
    def depth_mm(self) -> NDArray[np.float64]:
        """(N,) distance of the usable slices below the vertex."""
        return np.multiply(self.vertex - self.usable, self.slice_mm, dtype=np.float64)

    def known_depth_mm(self, index: float) -> float | None:
        """Distance of a slice below the vertex; None where the scan does not show it."""
        return (self.vertex - index) * self.slice_mm if self.has_vertex else None

    def nearest(self, depth_mm: float) -> int:
        """The usable slice closest to a distance below the vertex."""
        return int(self.usable[np.abs(self.depth_mm - depth_mm).argmin()])

    def draw(self, rng: np.random.Generator) -> int:
        """A usable slice, drawn in proportion to its body area."""
        return int(rng.choice(self.usable, p=self.weights))


def vertex_of(mask: NDArray[np.bool_], slice_mm: float) -> VertexFrame:
    """Find the vertex of a prepared scan.

    Args:
        mask: (X, Y, Z) bool, the patient; the third axis points up.
        slice_mm: voxel size along it.

    Raises:
        DataError: the mask is empty.
    """
    area = mask.sum(axis=(0, 1))
    if not area.any():
        raise DataError("a scan without a body has no vertex")
    vertex = int(np.flatnonzero(area)[-1])
    usable = np.flatnonzero(area >= MIN_BODY_SHARE * area.max())
    return VertexFrame(
        vertex=vertex,
        has_vertex=bool(area[vertex] < MAX_VERTEX_SHARE * area.max()),
        slice_mm=slice_mm,
        usable=usable,
        weights=area[usable] / area[usable].sum(),
    )


def draw_slices(
    source: VertexFrame, target: VertexFrame, rng: np.random.Generator, *, match_position: bool
) -> tuple[int, int]:
    """Draw a slice of each of two scans.

    Source slices are drawn in proportion to their body area. With ``match_position`` the target
    slice lies at the same distance below the vertex, give or take 10 mm, and both are drawn from
    the range of distances that the two scans have in common; where one has no vertex, the target
    is drawn from like the source.

    Returns:
        Index of the source slice and of the target slice.
    """
    if not (match_position and source.has_vertex and target.has_vertex):
        return source.draw(rng), target.draw(rng)
    common = source.depth_mm <= target.depth_mm.max()
    weights = source.weights[common] / source.weights[common].sum()
    chosen = rng.choice(np.flatnonzero(common), p=weights)
    depth = source.depth_mm[chosen] + rng.uniform(-JITTER_MM, JITTER_MM)
    return int(source.usable[chosen]), target.nearest(depth)
