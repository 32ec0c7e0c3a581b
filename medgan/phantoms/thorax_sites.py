"""Where in the lungs findings may lie."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medgan.phantoms.thorax_anatomy import ThoraxAnatomy
from medgan.phantoms.thorax_lattice import voxel_of
from medgan.phantoms.thorax_nodules import Attachment
from medgan.phantoms.thorax_tubes import Tubes
from medgan.volumes.geometry import Grid

Floats = NDArray[np.float32]

PLEURA_MARGIN_MM = 2.0
NEIGHBOUR_MARGIN_MM = 5.0
LARGE_VESSEL_MM = 1.5
"""Radius from which a vessel is something that a free nodule keeps off."""

_TRIES = 60


@dataclass(frozen=True, eq=False)
class Site:
    """A place, and what a finding there touches.

    Attributes:
        centre_mm: (3,) RAS mm.
        attachment: what was asked for, or "vessel" where no place in the lung is clear enough.
    """

    centre_mm: NDArray[np.float64]
    attachment: Attachment


class Sites:
    """The places in one thorax on one grid.

    The rules, with r the radius of the ball of equal volume:

    * free: the centre lies r + 2 mm or more below the pleura, and r + 1 mm or more from the surface
      of every vessel of 1.5 mm radius or more;
    * at the pleura: the centre lies 0.3 r to 0.8 r below the pleura, so that a part is cut off;
    * at a vessel: the centre lies 0.6 r off the surface of a vessel of 0.7 to 3 mm radius, and
      r + 2 mm or more below the pleura;
    * all: within the grid by r + 2 mm, and r1 + r2 + 5 mm or more from every other finding.

    Args:
        anatomy: the thorax.
        grid: where the scan lies; None: anywhere.
        rng: draws places.
    """

    def __init__(self, anatomy: ThoraxAnatomy, grid: Grid | None, rng: np.random.Generator) -> None:
        self._anatomy, self._grid, self._rng = anatomy, grid, rng
        trees = anatomy.trees
        self._vessels = Tubes.joined(trees.arteries, trees.veins)
        self._wide = np.maximum(self._vessels.start_radius, self._vessels.end_radius)
        self._taken: list[tuple[NDArray[np.float64], float]] = []

    def place(self, radius_mm: float, attachment: Attachment) -> Site | None:
        """Take a place for a finding.

        Args:
            radius_mm: of the ball of equal volume.
            attachment: what it shall touch.

        Returns:
            None where no place was found that keeps the rules, vessels aside.
        """
        best: tuple[float, NDArray[np.float64]] | None = None
        for point in self._candidates(radius_mm, attachment):
            if not self._has_room(point, radius_mm):
                continue
            clearance = self._clearance(point) if attachment == "none" else np.inf
            if best is None or clearance > best[0]:
                best = clearance, point
            if clearance >= radius_mm + 1:
                break
        if best is None:
            return None
        clearance, point = best
        self._taken.append((point, radius_mm))
        return Site(point, attachment if clearance >= radius_mm + 1 else "vessel")

    def _candidates(self, radius: float, attachment: Attachment) -> NDArray[np.float64]:
        points = self._beside_vessels(radius) if attachment == "vessel" else self._anywhere()
        depth = -self._anatomy.lung_mm(points)
        if attachment == "pleura":
            points = self._moved_outwards(points, depth, radius)
            depth = -self._anatomy.lung_mm(points)
            kept = (depth > 0.3 * radius) & (depth < 0.8 * radius)
        else:
            kept = depth >= radius + PLEURA_MARGIN_MM
        return np.asarray(points[kept][:_TRIES], dtype=np.float64)

    def _anywhere(self) -> Floats:
        inside = self._anatomy.trees.inside
        return inside[self._rng.permutation(len(inside))]

    def _beside_vessels(self, radius: float) -> Floats:
        which = np.flatnonzero((self._wide > 0.7) & (self._wide < 3))
        which = self._rng.permutation(which)[: 8 * _TRIES]
        vessels = self._vessels[which]
        axis = vessels.end - vessels.start
        aside = np.cross(axis, self._rng.normal(size=axis.shape))
        aside /= np.maximum(np.linalg.norm(aside, axis=1, keepdims=True), 1e-6)
        middle = (vessels.start + vessels.end) / 2
        reach = (vessels.start_radius + vessels.end_radius)[:, None] / 2 + 0.6 * radius
        return (middle + aside * reach).astype(np.float32)

    def _moved_outwards(self, points: Floats, depth: Floats, radius: float) -> Floats:
        """Points near the pleura, moved along the distance's slope to the wanted depth."""
        near = np.argsort(depth, kind="stable")[: 6 * _TRIES]
        near = self._rng.permutation(near)
        points, depth = points[near], depth[near]
        steps = np.eye(3, dtype=np.float32)
        slope = np.stack(
            [self._anatomy.lung_mm(points + step) - self._anatomy.lung_mm(points - step)
             for step in steps], axis=1)  # fmt: skip
        slope /= np.maximum(np.linalg.norm(slope, axis=1, keepdims=True), 1e-6)
        wanted = radius * self._rng.uniform(0.4, 0.7, len(points))
        return (points + slope * (depth - wanted)[:, None]).astype(np.float32)

    def _has_room(self, point: NDArray[np.float64], radius: float) -> bool:
        if self._grid is not None:
            index = voxel_of(self._grid, point)
            margin = (radius + 2) / np.array(self._grid.spacing_mm)
            if (index < margin).any() or (index > np.array(self._grid.shape) - 1 - margin).any():
                return False
        return all(
            np.linalg.norm(point - other) >= radius + size + NEIGHBOUR_MARGIN_MM
            for other, size in self._taken
        )

    def _clearance(self, point: NDArray[np.float64]) -> float:
        return float(self._vessels[self._wide >= LARGE_VESSEL_MM].clearance(point).min())
