"""A whole thorax as a function of a seed, and its CT on any grid."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medgan.phantoms.noise import PlaneWaves
from medgan.phantoms.thorax_bones import ThoraxBones
from medgan.phantoms.thorax_canvas import ThoraxCanvas
from medgan.phantoms.thorax_frame import ThoraxFrame
from medgan.phantoms.thorax_lattice import Lattice
from medgan.phantoms.thorax_lungs import LungTrees, Parenchyma
from medgan.phantoms.thorax_organs import (
    Blood,
    airways,
    belly,
    chambers,
    great_vessels,
    gullet,
)
from medgan.phantoms.thorax_surfaces import Surfaces, ThoraxSurfaces
from medgan.phantoms.thorax_tubes import Tubes, covered
from medgan.volumes.geometry import Grid

Floats = NDArray[np.float32]

_SKIN_MM = 2.0
_OVER_BONE_MM = 4.0


@dataclass(frozen=True, eq=False)
class ThoraxImage:
    """A noiseless CT of a thorax.

    Attributes:
        hu: (X, Y, Z) float32 HU.
        lung_mm: (X, Y, Z) float32, signed distance to the nearer lung's surface, negative inside.
    """

    hu: Floats
    lung_mm: Floats


class ThoraxAnatomy:
    """One person's thorax in one position.

    Args:
        seed: of ``numpy.random.default_rng``.
    """

    def __init__(self, seed: int | list[int]) -> None:
        self._seed = seed
        rng = np.random.default_rng(seed)
        self.frame = ThoraxFrame(rng)
        self._surfaces = ThoraxSurfaces(rng)
        self._bones = ThoraxBones(rng)
        self._blood = Blood.drawn(rng)
        self._spongy = rng.uniform(110, 240)
        self._cortical = rng.uniform(450, 750)
        self._belly = belly(rng, self._blood.enhanced)
        self._great = self._placed(great_vessels(rng))
        self._airways = self._placed(airways(rng))
        self._gullet = self._placed(gullet())
        self._lumps = PlaneWaves(rng, (18, 40), 10)
        self._parenchyma = Parenchyma(rng, self._surfaces.inspiration)

    @cached_property
    def trees(self) -> LungTrees:
        """The vessels and airways of the lungs, RAS mm."""
        return LungTrees(np.random.default_rng([*np.atleast_1d(self._seed), 7]), self)

    def surfaces(self, points_mm: ArrayLike) -> Surfaces:
        """Every large surface at world positions (N, 3) RAS mm."""
        return self._surfaces.at(self.frame.to_atlas(points_mm)).times(self.frame.size)

    def lung_mm(self, points_mm: ArrayLike) -> Floats:
        """Signed distance to the nearer lung's surface, (N,) mm, negative inside."""
        return self.surfaces(points_mm).lung

    def image(self, grid: Grid) -> ThoraxImage:
        """The CT on a grid, without noise."""
        lattice = Lattice(grid)
        points = lattice.coarse_points()
        canvas = ThoraxCanvas(lattice, self.frame.to_atlas(points))
        surfaces = self._surfaces.at(canvas.coarse_atlas).times(self.frame.size)
        cavity = lattice.fine(surfaces.cavity)
        skin = lattice.fine(surfaces.skin)
        self._paint_wall(canvas, surfaces, cavity, skin)
        self._paint_bones(canvas, cavity, skin)
        self._paint_belly(canvas, surfaces, cavity)
        self._paint_mediastinum(canvas, surfaces)
        lung = lattice.fine(surfaces.lung)
        canvas.paint(lung, lattice.fine(self._parenchyma.hu(points, canvas.coarse_atlas)))
        self._parenchyma.paint_fissures(canvas, lung)
        self._paint_trees(canvas)
        return ThoraxImage(canvas.hu, lung)

    def _placed(self, tubes: Tubes) -> Tubes:
        return Tubes(
            self.frame.to_world(tubes.start),
            self.frame.to_world(tubes.end),
            tubes.start_radius * np.float32(self.frame.size),
            tubes.end_radius * np.float32(self.frame.size),
        )

    def _paint_wall(
        self, canvas: ThoraxCanvas, surfaces: Surfaces, cavity: Floats, skin: Floats
    ) -> None:
        canvas.paint(skin, 15)
        canvas.paint(skin + np.float32(_SKIN_MM), self._blood.fat)
        lumps = self._lumps(canvas.coarse_atlas)
        canvas.paint(canvas.lattice.fine(surfaces.muscle), self._blood.muscle)
        canvas.paint(cavity, self._blood.fat)
        nodes = np.maximum(surfaces.cavity, (np.float32(1.15) - lumps) * 6)
        canvas.paint(canvas.lattice.fine(nodes), 35)

    def _paint_bones(self, canvas: ThoraxCanvas, cavity: Floats, skin: Floats) -> None:
        near = (np.abs(cavity - 11) < 26) | canvas.near_spine()
        where = np.flatnonzero(near & (skin < -_OVER_BONE_MM))
        size = np.float32(self.frame.size)
        bones = self._bones.at(canvas.atlas(where), cavity.ravel()[where] / size)
        canvas.paint_at(where, bones.cartilage * size, 95)
        canvas.paint_at(where, bones.canal * size, 28)
        canvas.paint_at(where, bones.bone * size, self._cortical)
        canvas.paint_at(where, (bones.bone + bones.cortex_mm) * size, self._spongy)

    def _paint_belly(self, canvas: ThoraxCanvas, surfaces: Surfaces, cavity: Floats) -> None:
        below = canvas.lattice.fine(surfaces.diaphragm)
        where = np.flatnonzero((below > -3) & (cavity < 3))
        inside: Floats = np.maximum(cavity.ravel()[where], -below.ravel()[where])
        canvas.paint_at(where, inside - 1.5, self._blood.muscle)
        canvas.paint_at(where, inside + 2, self._blood.fat)
        atlas = canvas.atlas(where)
        for organ in self._belly:
            distance = organ.shape.distance(atlas) * np.float32(self.frame.size)
            canvas.paint_at(where, np.maximum(distance, inside + 2.5), organ.hu)

    def _paint_mediastinum(self, canvas: ThoraxCanvas, surfaces: Surfaces) -> None:
        above = np.maximum(surfaces.heart, surfaces.diaphragm)
        heart = canvas.lattice.fine(above)
        canvas.paint(heart, self._blood.heart)
        where = np.flatnonzero(heart < 0)
        own = self._surfaces.in_heart(canvas.atlas(where))
        for chamber in chambers():
            distance = chamber.distance(own) * np.float32(self.frame.size)
            canvas.paint_at(where, distance, self._blood.vessel)
        grid = canvas.lattice.grid
        canvas.cover(covered(self._gullet, grid), 35)
        canvas.cover(covered(self._great, grid), self._blood.vessel)

    def _paint_trees(self, canvas: ThoraxCanvas) -> None:
        grid, trees = canvas.lattice.grid, self.trees
        canvas.cover(covered(Tubes.joined(trees.arteries, trees.veins), grid), self._blood.vessel)
        lumen = Tubes.joined(self._airways, trees.airways)
        canvas.cover(covered(lumen.scaled(1.12, -0.6), grid), 20)
        canvas.cover(covered(lumen, grid), -990)
