"""Trees of vessels and airways that fill a lung."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medgan.phantoms.thorax_tubes import Tubes

Floats = NDArray[np.float32]

_BEND = 0.07


@dataclass(frozen=True, eq=False)
class Tree:
    """Branches from a root to many ends.

    Attributes:
        start: (N, 3) float32 RAS mm, a parent's end.
        end: (N, 3) float32 RAS mm.
        flow: (N,) number of ends that a branch feeds; the root's is the number of all.
        parent: (N,) index of the branch it comes from, -1 for the root.
    """

    start: Floats
    end: Floats
    flow: NDArray[np.int64]
    parent: NDArray[np.int64]

    def radii(self, end_radius_mm: float) -> Floats:
        """Radius of every branch, mm, (N,).

        Source: C. D. Murray, PNAS 1926;12:207: the cubes of the daughters' radii add up to the
        parent's, so that a branch that feeds n ends is n**(1/3) times as wide as an end.
        """
        radius: Floats = (np.float32(end_radius_mm) * self.flow ** (1 / 3)).astype(np.float32)
        return radius

    def tubes(self, end_radius_mm: float, rng: np.random.Generator) -> Tubes:
        """The branches as tubes, each slightly bent; the last ones taper to half their width."""
        radius = self.radii(end_radius_mm)
        wide = np.where(self.parent < 0, radius, np.minimum(radius * 1.12, radius[self.parent]))
        narrow = np.where(self.flow == 1, radius / 2, radius)
        length = np.linalg.norm(self.end - self.start, axis=1, keepdims=True)
        bend = rng.normal(0, _BEND, self.start.shape) * length
        middle = ((self.start + self.end) / 2 + bend).astype(np.float32)
        half = ((wide + narrow) / 2).astype(np.float32)
        wide, narrow = wide.astype(np.float32), narrow.astype(np.float32)
        return Tubes(
            np.concatenate([self.start, middle]),
            np.concatenate([middle, self.end]),
            np.concatenate([wide, half]),
            np.concatenate([half, narrow]),
        )


def grow(root_mm: NDArray[np.floating], ends_mm: Floats, rng: np.random.Generator) -> Tree:
    """Grow a tree by halving the territory of every branch until one end is left in each.

    A branch goes part of the way to the middle of the points it feeds; these are then divided by a
    plane that holds the branch. All branches of a generation are grown together.

    Args:
        root_mm: (3,) RAS mm.
        ends_mm: (N, 3) float32 RAS mm, all different.
        rng: varies lengths and planes.

    Source: the volume-filling algorithm of Tawhai, Pullan and Hunter, Ann Biomed Eng 2000;28:793,
    which goes 0.4 of the way.
    """
    points = np.asarray(ends_mm, dtype=np.float32)
    label = np.zeros(len(points), dtype=np.int64)
    starts = np.asarray(root_mm, dtype=np.float32)[None]
    parents = np.array([-1])
    generations: list[Tree] = []
    count = 0
    while len(points):
        flow = np.bincount(label)
        middle = _sums(label, points) / flow[:, None]
        share = np.where(flow == 1, 1.0, np.clip(rng.normal(0.4, 0.05, len(flow)), 0.25, 0.55))
        ends = (starts + share[:, None] * (middle - starts)).astype(np.float32)
        generations.append(Tree(starts, ends, flow, parents))
        going = flow[label] > 1
        points, label = points[going], label[going]
        offset = points - middle[label]
        side = _sides(offset, middle - starts, label, rng)
        divided, label = np.unique(2 * label + side, return_inverse=True)
        starts, parents = ends[divided // 2], count + divided // 2
        count += len(flow)
    return Tree(
        *(
            np.concatenate([getattr(generation, name) for generation in generations])
            for name in ("start", "end", "flow", "parent")
        )
    )


def _sides(
    offset: NDArray[np.floating],
    heading: NDArray[np.floating],
    label: NDArray[np.int64],
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """On which side of its branch's plane each point lies: 0 or 1; no side is ever empty."""
    groups = len(heading)
    ahead = heading / np.maximum(np.linalg.norm(heading, axis=1, keepdims=True), 1e-6)
    across = offset - np.einsum("ij,ij->i", offset, ahead[label])[:, None] * ahead[label]
    # A little of the way along the branch: points in one line with it must divide as well.
    across = across + 0.05 * offset
    spread = np.stack(
        [
            np.bincount(label, across[:, a] * across[:, b], groups)
            for a in range(3)
            for b in range(3)
        ],
        axis=1,
    ).reshape(groups, 3, 3)
    normal = np.linalg.eigh(spread)[1][:, :, -1]
    height = np.einsum("ij,ij->i", offset, normal[label])
    sizes = np.maximum(np.bincount(label, minlength=groups), 1)
    deviation = np.sqrt(np.bincount(label, height**2, groups) / sizes)
    limit = rng.uniform(-0.3, 0.3, groups) * deviation
    return (height > limit[label]).astype(np.int64)


def _sums(label: NDArray[np.int64], points: Floats) -> NDArray[np.float64]:
    return np.stack([np.bincount(label, points[:, axis]) for axis in range(3)], axis=1)
