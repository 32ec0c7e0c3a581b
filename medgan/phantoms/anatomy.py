"""A whole head as a pure function of a seed and of position."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medgan.errors import DataError
from medgan.phantoms.brain import Brain
from medgan.phantoms.canvas import Canvas
from medgan.phantoms.face import Face
from medgan.phantoms.neck import Neck
from medgan.phantoms.noise import PlaneWaves
from medgan.phantoms.shapes import smooth_union
from medgan.phantoms.tissues import Tissue
from medgan.phantoms.vault import Vault, cavity, temple

Points = NDArray[np.float32]

CHUNK = 32768
"""Points evaluated together: about the size at which temporaries stay in the cache."""

_LOW = np.array([-100, -125, -200], dtype=np.float32)
_HIGH = np.array([100, 135, 110], dtype=np.float32)
_INNER_TABLE_MM = 1.6


class HeadAnatomy:
    """The anatomy of one person, which can be asked for the tissue at any point.

    The same seed gives the same head, whatever grid it is sampled on.

    Args:
        seed: of ``numpy.random.default_rng``; an integer or a sequence of integers.
    """

    def __init__(self, seed: int | list[int]) -> None:
        rng = np.random.default_rng(seed)
        size = np.clip(rng.normal(1.015, 0.022), 0.975, 1.06)
        self._scale = (size * rng.normal(1.0, 0.018, 3)).astype(np.float32)
        self._asymmetry = np.float32(rng.normal(0, 0.012))
        self._warp = PlaneWaves(rng, (90, 240), 6, channels=3)
        self._warp_mm = np.float32(rng.uniform(0.8, 2.2))
        self._ripple = PlaneWaves(rng, (12, 40), 10, channels=3)
        self._ripple_mm = np.float32(rng.uniform(0.35, 0.75))
        self._fascia = PlaneWaves(rng, (8, 26), 12)
        self._face_fat = rng.uniform(1.5, 7.0)
        self._vault = Vault(rng)
        self._brain = Brain(rng)
        self._face = Face(rng)
        self._neck = Neck(rng)

    def labels(self, points_mm: ArrayLike) -> NDArray[np.uint8]:
        """The tissue at every point.

        Args:
            points_mm: (N, 3), RAS mm relative to the middle of the cranial cavity.

        Returns:
            (N,) uint8, values of ``Tissue``.

        Raises:
            DataError: the points are not (N, 3).
        """
        points = np.asarray(points_mm, dtype=np.float32)
        if points.ndim != 2 or points.shape[1] != 3:
            raise DataError("points come as rows of three", measured=points.shape, limit="(N, 3)")
        labels = np.zeros(len(points), dtype=np.uint8)
        for start in range(0, len(points), CHUNK):
            chunk = points[start : start + CHUNK]
            near = np.flatnonzero(((chunk > _LOW) & (chunk < _HIGH)).all(axis=1))
            if near.size:
                labels[start + near] = self._chunk(chunk[near])
        return labels

    def _canonical(self, points: Points) -> Points:
        """Where in the average head each point lies."""
        moved = points / self._scale
        moved[:, 0] *= 1 + self._asymmetry * np.tanh(moved[:, 0] / np.float32(15))
        moved += self._warp_mm * self._warp.vectors(moved)
        moved += self._ripple_mm * self._ripple.vectors(moved)
        return moved

    def _chunk(self, points: Points) -> NDArray[np.uint8]:
        labels = np.zeros(len(points), dtype=np.uint8)
        points = self._canonical(points)
        distance = cavity(points)
        inside = np.flatnonzero(distance < 0)
        outside = np.flatnonzero((distance >= 0) & ((distance < 36) | (points[:, 2] < -5)))
        if outside.size:
            labels[outside] = self._outside(points[outside], distance[outside])
        if inside.size:
            part = labels[inside]
            self._brain.paint(part, points[inside], distance[inside])
            labels[inside] = part
        everywhere = np.flatnonzero(points[:, 2] < -45)
        if everywhere.size:
            part, lower = labels[everywhere], points[everywhere]
            allowed = part != Tissue.AIR
            allowed &= ~((distance[everywhere] < 0) & (lower[:, 2] > -54))
            Canvas(lower, part, allowed, allowed).paint(self._neck.canal)
            labels[everywhere] = part
        return labels

    def _outside(self, points: Points, distance: Points) -> NDArray[np.uint8]:
        layers = self._vault.layers(points)
        skin = distance - layers.skull - layers.scalp
        low = np.flatnonzero(points[:, 2] < 5)
        if low.size:
            lower = points[low]
            below = smooth_union(self._face.envelope(lower), self._neck.envelope(lower), 18)
            below = smooth_union(below, temple(lower) - layers.fat[low] - 6, 8)
            skin[low] = smooth_union(skin[low], below, 10)
        labels = np.zeros(len(points), dtype=np.uint8)
        kept = np.flatnonzero(skin < 0)
        points, distance, skin = points[kept], distance[kept], skin[kept]
        layers = type(layers)(*(layer[kept] for layer in layers))
        part = np.full(len(kept), Tissue.FAT, dtype=np.uint8)
        if len(kept):
            deep = np.flatnonzero(-skin > self._vault.skin + self._face_fat + layers.fat)
            x, y, z = points[deep].T
            # Behind the face muscle leaves little room for fat.
            lean = (y < 44) & (z < -24) & (np.abs(x) < 60)
            part[deep[self._fascia(points[deep]) > 0.3 - 1.2 * lean]] = Tissue.MUSCLE
            self._vault.paint(part, points, distance, layers)
            under_skin = skin < -self._vault.skin
            clear = distance > _INNER_TABLE_MM
            part[~under_skin & (distance > layers.skull)] = Tissue.SKIN
            canvas = Canvas(points, part, clear & under_skin, clear)
            canvas.paint(self._neck.parts)
            canvas.paint(self._face.parts)
        labels[kept] = part
        return labels
