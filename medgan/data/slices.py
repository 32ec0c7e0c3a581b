"""Unpaired 2-D training slices from prepared scans."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from medgan.data.preparation import Prepared
from medgan.errors import DataError

MIN_BODY_SHARE = 0.05
"""A slice is worth training on when its body covers at least this share of the largest one."""

MAX_VERTEX_SHARE = 0.4
"""A scan whose top slice has more body than this share of the largest begins below the vertex."""


@dataclass(frozen=True)
class Slice:
    """One axial slice, air outside the body.

    Attributes:
        image: (X, Y) float32 in [-1, 1].
        body: (X, Y) bool.
    """

    image: NDArray[np.float32]
    body: NDArray[np.bool_]


class SliceStack:
    """The slices of one patient, addressed by distance below the vertex.

    Attributes:
        has_vertex: whether the scan reaches above the head; where it does not, distances count
            from its top slice and mean nothing to other patients.
    """

    def __init__(self, scan: Prepared) -> None:
        self.images = scan.scaled()
        self.bodies = np.asarray(scan.mask)
        area = self.bodies.sum(axis=(0, 1))
        if not area.any():
            raise DataError("a scan without a body cannot be trained on")
        self.usable = np.flatnonzero(area >= MIN_BODY_SHARE * area.max())
        self.weights = area[self.usable] / area[self.usable].sum()
        vertex = np.flatnonzero(area)[-1]
        self.has_vertex = bool(area[vertex] < MAX_VERTEX_SHARE * area.max())
        self.depth_mm = (vertex - self.usable) * scan.volume.spacing_mm[2]

    def nearest(self, depth_mm: float) -> int:
        """The usable slice closest to a distance below the vertex."""
        return int(self.usable[np.abs(self.depth_mm - depth_mm).argmin()])

    def random(self, rng: np.random.Generator) -> Slice:
        """A usable slice, drawn in proportion to its body area."""
        return self.at(int(rng.choice(self.usable, p=self.weights)))

    def at(self, index: int) -> Slice:
        """Slice ``index`` of the third axis."""
        return Slice(self.images[:, :, index], self.bodies[:, :, index])


class UnpairedSlices:
    """Draws one slice from each domain, by sample number.

    Source slices are drawn in proportion to their body area. With ``match_position`` the target
    slice lies at the same distance below the vertex, give or take 10 mm, and both are drawn from
    the range of distances that the two scans have in common; a scan without a vertex is drawn from
    like a source scan.
    """

    JITTER_MM = 10.0

    def __init__(
        self, source: Sequence[Prepared], target: Sequence[Prepared], *, match_position: bool
    ) -> None:
        if not source or not target:
            raise DataError(
                "unpaired training needs scans of both domains",
                measured=f"{len(source)} source, {len(target)} target",
                remedy="Name files under data.source and data.target",
            )
        self.source = [SliceStack(scan) for scan in source]
        self.target = [SliceStack(scan) for scan in target]
        self.match_position = match_position

    def draw(self, rng: np.random.Generator) -> tuple[Slice, Slice]:
        """One source and one target slice, fully determined by ``rng``."""
        source = self.source[rng.integers(len(self.source))]
        target = self.target[rng.integers(len(self.target))]
        if not (self.match_position and source.has_vertex and target.has_vertex):
            return source.random(rng), target.random(rng)
        deepest = target.depth_mm.max()
        common = source.depth_mm <= deepest
        weights = source.weights[common] / source.weights[common].sum()
        chosen = rng.choice(np.flatnonzero(common), p=weights)
        depth = source.depth_mm[chosen] + rng.uniform(-self.JITTER_MM, self.JITTER_MM)
        return source.at(int(source.usable[chosen])), target.at(target.nearest(depth))


def fit_matrix(image: NDArray[np.float32], matrix: tuple[int, int], fill: float) -> torch.Tensor:
    """Centre a slice in a matrix of fixed size, cropping what is too large.

    Args:
        image: (X, Y).
        matrix: size wanted.
        fill: value of the padding.

    Returns:
        (1, X', Y') float32 tensor.
    """
    result = np.full(matrix, fill, dtype=np.float32)
    cut, place = [], []
    for have, want in zip(image.shape, matrix, strict=True):
        size = min(have, want)
        cut.append(slice((have - size) // 2, (have - size) // 2 + size))
        place.append(slice((want - size) // 2, (want - size) // 2 + size))
    result[tuple(place)] = image[tuple(cut)]
    return torch.from_numpy(result)[None]
