"""The inside of the lungs: their trees, their tissue and their fissures."""

from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medgan.phantoms.noise import PlaneWaves
from medgan.phantoms.thorax_canvas import ThoraxCanvas
from medgan.phantoms.thorax_frame import ThoraxFrame
from medgan.phantoms.thorax_organs import HILA, Hilum
from medgan.phantoms.thorax_tree import Tree, grow
from medgan.phantoms.thorax_tubes import Tubes

Floats = NDArray[np.float32]

END_RADIUS_MM = 0.5
"""Radius of the last vessels drawn: about 1 mm wide before they taper."""

_VEINS_SHARE = 0.7
_AIRWAY_FLOW = 14
_PLEURAL_GAP_MM = 3.0


class HasLungs(Protocol):
    """What the trees grow in."""

    frame: ThoraxFrame

    def lung_mm(self, points_mm: ArrayLike) -> Floats:
        """Signed distance to the nearer lung's surface at (N, 3) RAS mm, negative inside."""
        ...


class LungTrees:
    """Arteries with the airways beside them, and veins between, of both lungs; RAS mm.

    Args:
        rng: draws them.
        body: where the lungs are.

    Attributes:
        arteries: tubes.
        veins: tubes.
        airways: the lumen of the bronchi, tubes.
        inside: (N, 3) float32 RAS mm, points spread evenly through the lungs.
    """

    def __init__(self, rng: np.random.Generator, body: HasLungs) -> None:
        ends = int(rng.integers(2600, 3600))
        right, left = _points_inside(rng, body, int(ends * (1 + _VEINS_SHARE)))
        arteries, veins, airways = [], [], []
        for hilum, points in zip(HILA, (right, left), strict=True):
            roots = body.frame.to_world(np.stack([hilum.artery, hilum.vein, hilum.bronchus]))
            arterial = grow(roots[0], points[: int(len(points) / (1 + _VEINS_SHARE))], rng)
            venous = grow(roots[1], points[int(len(points) / (1 + _VEINS_SHARE)) :], rng)
            arteries.append(arterial.tubes(END_RADIUS_MM, rng))
            veins.append(venous.tubes(END_RADIUS_MM, rng))
            airways.append(_beside(arterial, roots[2], hilum))
        self.arteries, self.veins = Tubes.joined(*arteries), Tubes.joined(*veins)
        self.airways = Tubes.joined(*airways)
        self.inside = np.concatenate([right, left])


def _points_inside(rng: np.random.Generator, body: HasLungs, count: int) -> tuple[Floats, Floats]:
    """Points in the right lung and in the left, ``count`` in all, none close to the pleura."""
    low, high = np.array([-125.0, -85, -150]), np.array([125.0, 85, 90])
    atlas = rng.uniform(low, high, (count * 5, 3))
    world = body.frame.to_world(atlas)
    kept = np.flatnonzero(body.lung_mm(world) < -_PLEURAL_GAP_MM)[:count]
    right = atlas[kept, 0] > 0
    return world[kept[right]], world[kept[~right]]


def _beside(arteries: Tree, root_mm: Floats, hilum: Hilum) -> Tubes:
    """Airways along the wider arteries: lung arteries and bronchi run in pairs, of like width."""
    radius = arteries.radii(END_RADIUS_MM)
    kept = arteries.flow >= _AIRWAY_FLOW
    aside = hilum.bronchus - hilum.artery
    offset: Floats = (aside / np.linalg.norm(aside) * 1.9).astype(np.float32)
    before: Floats = np.where(arteries.parent < 0, radius, radius[arteries.parent])
    start: Floats = arteries.start + before[:, None] * offset
    start[arteries.parent < 0] = root_mm
    end: Floats = arteries.end + radius[:, None] * offset
    return Tubes(
        start[kept],
        end[kept],
        (0.62 * np.minimum(before, radius * 1.15))[kept].astype(np.float32),
        (0.62 * radius)[kept].astype(np.float32),
    )


class Parenchyma:
    """The tissue of the lungs: air and capillaries, denser where it hangs down.

    Args:
        rng: draws density, gradient and texture.
        inspiration: -1 (shallow) to 1 (full): full lungs are less dense.
    """

    def __init__(self, rng: np.random.Generator, inspiration: float) -> None:
        self._mean = np.float32(-862 - 18 * inspiration + rng.normal(0, 8))
        self._slope = np.float32(rng.uniform(0.25, 0.7))
        self._slow = PlaneWaves(rng, (40, 120), 8)
        self._quick = PlaneWaves(rng, (9, 22), 24)
        self._slow_hu, self._quick_hu = (
            np.float32(rng.uniform(6, 14)),
            np.float32(rng.uniform(5, 12)),
        )
        self._fissure_hu = np.float32(rng.uniform(-700, -560))
        self._bend = PlaneWaves(rng, (50, 130), 6)
        self._tilt = np.float32(rng.uniform(0.85, 1.15))

    def hu(self, points: Floats, atlas: Floats) -> Floats:
        """HU at (N, 3) world and atlas positions."""
        level: Floats = self._mean - self._slope * atlas[:, 1]
        return level + self._slow_hu * self._slow(points) + self._quick_hu * self._quick(points)

    def paint_fissures(self, canvas: ThoraxCanvas, lung_mm: Floats) -> None:
        """Both oblique fissures, and the horizontal one of the right lung, 1 mm thin."""
        atlas = canvas.coarse_atlas
        x, y, z = atlas.T
        bend = 5 * self._bend(atlas)
        oblique = (z + 22 + self._tilt * y + bend) * np.float32(0.7)
        level = z + 12 - np.float32(0.1) * y + bend
        fine = canvas.lattice.fine
        oblique_mm = fine(oblique)
        first = np.maximum(np.abs(oblique_mm) - np.float32(0.5), lung_mm)
        limit = np.maximum(np.float32(1) - oblique_mm, fine(np.float32(2) - x))
        second = np.maximum(np.maximum(np.abs(fine(level)) - np.float32(0.5), limit), lung_mm)
        canvas.veil(first, self._fissure_hu)
        canvas.veil(second, self._fissure_hu)
