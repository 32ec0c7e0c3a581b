"""Unpaired 2-D training slices from prepared scans."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from medgan.data.depth import draw_slices, vertex_of
from medgan.data.preparation import Prepared
from medgan.data.samples import Sample
from medgan.errors import DataError

Scan = Sequence[Prepared]
"""The contrasts of one scan on one grid, with one mask."""

View = Callable[[Sample, np.random.Generator], Sample]
"""An augmentation: a sample as it is seen at random."""


class SliceStack:
    """The axial slices of one patient.

    Args:
        scan: the contrasts of the scan on one grid, one a channel.
        neighbours: N, slices beside each that go with it; at the ends the last one is repeated.

    Attributes:
        images: (C, X, Y, Z) float32 in [-1, 1].
        frame: addresses slices by their distance below the vertex.

    Raises:
        DataError: a scan without a body.
    """

    def __init__(self, scan: Sequence[Prepared], neighbours: int = 0) -> None:
        self.images = np.stack([contrast.scaled() for contrast in scan])
        self.bodies = np.asarray(scan[0].mask)
        self.neighbours = neighbours
        self.frame = vertex_of(self.bodies, scan[0].volume.spacing_mm[2])

    def at(self, index: int) -> Sample:
        """Slice ``index`` of the third axis: images (C, X, Y), body (1, X, Y)."""
        beside = None
        if self.neighbours:
            half, last = self.neighbours // 2, self.images.shape[3] - 1
            offsets = [k for k in range(-half, half + 1) if k]
            chosen = [min(max(index + k, 0), last) for k in offsets]
            beside = np.concatenate([self.images[..., k] for k in chosen])
        depth = self.frame.known_depth_mm(index)
        return Sample(self.images[..., index], self.bodies[None, :, :, index], beside, depth)


class UnpairedSlices:
    """Draws one slice from each domain, seen at random: mirrored, moved, bent.

    Source slices are drawn in proportion to their body area. With ``match_position`` the target
    slice lies at the same distance below the vertex, give or take 10 mm; see ``draw_slices``.

    Args:
        source: scans of the source domain, each as its contrasts.
        target: scans of the target domain.
        views: augmentation of source and of target.
        match_position: as above.
        neighbours: slices beside each that go with it.
    """

    def __init__(
        self,
        source: Sequence[Scan],
        target: Sequence[Scan],
        views: tuple[View, View],
        *,
        match_position: bool,
        neighbours: int = 0,
    ) -> None:
        require_both(source, target)
        self.source = [SliceStack(scan, neighbours) for scan in source]
        self.target = [SliceStack(scan, neighbours) for scan in target]
        self.views = views
        self.match_position = match_position

    def draw(self, rng: np.random.Generator) -> tuple[Sample, Sample]:
        """One source and one target slice, fully determined by ``rng``."""
        source = self.source[rng.integers(len(self.source))]
        target = self.target[rng.integers(len(self.target))]
        indices = draw_slices(source.frame, target.frame, rng, match_position=self.match_position)
        first, second = source.at(indices[0]), target.at(indices[1])
        return self.views[0](first, rng), self.views[1](second, rng)


def require_both(source: Sequence[object], target: Sequence[object]) -> None:
    """Refuse unpaired training without images of both domains.

    Raises:
        DataError: one domain is empty.
    """
    if not source or not target:
        raise DataError(
            "unpaired training needs scans of both domains",
            measured=f"{len(source)} source, {len(target)} target",
            remedy="Name files under data.source and data.target",
        )


def fit_matrix(
    image: NDArray[np.float32], matrix: tuple[int, int], fill: float
) -> NDArray[np.float32]:
    """Centre slices in a matrix of fixed size, cropping what is too large.

    Args:
        image: (C, X, Y).
        matrix: size wanted.
        fill: value of the padding.

    Returns:
        (C, X', Y') float32.
    """
    result = np.full((len(image), *matrix), fill, dtype=np.float32)
    cut, place = [slice(None)], [slice(None)]
    for have, want in zip(image.shape[1:], matrix, strict=True):
        size = min(have, want)
        cut.append(slice((have - size) // 2, (have - size) // 2 + size))
        place.append(slice((want - size) // 2, (want - size) // 2 + size))
    result[tuple(place)] = image[tuple(cut)]
    return result
