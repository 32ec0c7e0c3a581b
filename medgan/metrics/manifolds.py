"""Precision and recall of a set of images: are the fakes real, and are all the reals there?"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medgan.errors import DataError
from medgan.metrics.distribution import Features, blocks, checked, require_same_width

NEIGHBOURS = 3
"""Source: Kynkaanniemi et al., Improved Precision and Recall Metric, NeurIPS 2019, section 2."""


@dataclass(frozen=True)
class PrecisionRecall:
    """Shares from 0 to 1: of fakes that lie among the reals, and of reals among the fakes."""

    precision: float
    recall: float


def precision_recall(
    real: ArrayLike, fake: ArrayLike, neighbours: int = NEIGHBOURS
) -> PrecisionRecall:
    """Improved precision and recall.

    A set's manifold is the union of balls around its images, each reaching to the image's k-th
    nearest neighbour in the set.

    Args:
        real: (n, d) features, n > neighbours.
        fake: (m, d) features, m > neighbours.
        neighbours: k.

    Raises:
        DataError: not more images than neighbours.

    Source: Kynkaanniemi et al., NeurIPS 2019, equations 1 to 3.
    """
    reals, fakes = checked(real), checked(fake)
    require_same_width(reals[0], fakes[0])
    if min(len(reals), len(fakes)) <= neighbours:
        raise DataError(
            "precision and recall need more images than neighbours",
            measured=min(len(reals), len(fakes)),
            limit=f"more than {neighbours}",
        )
    return PrecisionRecall(
        precision=_share_inside(fakes, reals, neighbours),
        recall=_share_inside(reals, fakes, neighbours),
    )


def _squared_distances(
    block: NDArray[np.float64], rows: NDArray[np.float64]
) -> NDArray[np.float64]:
    squares = np.einsum("ij,ij->i", rows, rows)
    distances = np.einsum("ij,ij->i", block, block)[:, None] + squares - 2 * block @ rows.T
    return np.maximum(distances, 0)


def _share_inside(points: Features, centres: Features, neighbours: int) -> float:
    """Share of the points that lie in the manifold of the centres."""
    manifold = np.asarray(centres, dtype=np.float64)
    # The nearest is the image itself, whatever rounding says of its distance.
    radii = np.concatenate(
        [
            np.partition(_squared_distances(block, manifold), neighbours, axis=1)[:, neighbours]
            for block in blocks(centres)
        ]
    )
    inside = [
        (_squared_distances(block, manifold) <= radii).any(axis=1) for block in blocks(points)
    ]
    return float(np.concatenate(inside).mean())
