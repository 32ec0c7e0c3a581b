"""The large surfaces of a thorax: chest wall, lungs, heart, diaphragm."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from medgan.phantoms.noise import PlaneWaves
from medgan.phantoms.shapes import Ellipsoid, bump, smooth_cut, smooth_union

Floats = NDArray[np.float32]
Heights = NDArray[np.floating]

HALF_WIDTH_MM, HALF_DEPTH_MM, APEX_MM = 121.0, 79.0, 88.0
"""Half axes of the chest cavity below the heart, and its top, in the atlas."""

_WIDEST_MM = -90.0
_ROUND = 2.3
_TAPER = 2.6
_HEART_MM = (-16.0, 24.0, -58.0)
_PLEURA_MM = 1.0


@dataclass(frozen=True)
class Surfaces:
    """Signed distances in mm, negative inside, at (N,) points each.

    Attributes:
        cavity: to the inner side of the ribs.
        lung: to the nearer lung.
        diaphragm: height above it, negated: positive below the diaphragm.
        heart: to the outer side of the heart's muscle.
        skin: to the body's surface.
        muscle: to what holds muscle in the chest wall.
    """

    cavity: Floats
    lung: Floats
    diaphragm: Floats
    heart: Floats
    skin: Floats
    muscle: Floats

    def times(self, factor: float) -> "Surfaces":
        """All distances in another unit."""
        scaled = (getattr(self, field.name) * np.float32(factor) for field in fields(self))
        return Surfaces(*scaled)


class ThoraxSurfaces:
    """One person's surfaces as functions of the position in the atlas.

    Args:
        rng: draws inspiration, the sizes of the heart and of the layers of the wall.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self.inspiration = float(rng.uniform(-1, 1))
        breath = 9 * self.inspiration
        self._dome = np.array([-70.0, -79.0], np.float32) - np.float32(breath)
        self._dome += rng.normal(0, 3, 2).astype(np.float32)
        self._heart_turn = Rotation.from_euler(
            "zy", [rng.uniform(25, 45), rng.uniform(-35, -15)], degrees=True
        ).as_matrix()
        big = rng.uniform(0.9, 1.1)
        radii = (60 * big, 38 * big, 40 * big * rng.uniform(0.95, 1.1))
        self._heart = Ellipsoid((0, 0, 0), radii)
        self._wall = rng.uniform([24, 14, 24], [38, 30, 38]).astype(np.float32)
        self._fat = np.float32(rng.uniform(3, 13))
        self._lean = np.float32(rng.uniform(0.75, 1.2))
        self._fascia = PlaneWaves(rng, (20, 55), 10)
        self._kidney = np.float32(rng.uniform(0.02, 0.10))

    def at(self, points: Floats) -> Surfaces:
        """Every surface at atlas positions (N, 3)."""
        cavity = self._cavity(points)
        diaphragm = self._diaphragm(points)
        heart = self._heart.distance(self.in_heart(points))
        middle = self._mediastinum(points, heart)
        lung = smooth_cut(
            smooth_cut(cavity + _PLEURA_MM, -middle, 8), diaphragm + np.float32(2.5), 5
        )
        skin = self._skin(points)
        return Surfaces(cavity, lung, diaphragm, heart, skin, self._muscle(points, cavity, skin))

    def in_heart(self, points: Floats) -> Floats:
        """Positions in the heart's own axes (N, 3): x to its right and base, from its middle."""
        turned: Floats = (points - np.array(_HEART_MM, np.float32)) @ self._heart_turn.astype(
            np.float32
        )
        return turned

    def heart_to_atlas(self, points: NDArray[np.floating]) -> Floats:
        """The inverse of ``in_heart``."""
        return (np.asarray(points) @ self._heart_turn.T + _HEART_MM).astype(np.float32)

    def _cavity(self, points: Floats) -> Floats:
        x, y, z = points.T
        front = (y - cavity_shift(z)) / np.float32(HALF_DEPTH_MM)
        wide = np.float32(HALF_WIDTH_MM) * (1 - self._kidney * np.clip(front, -1, 1))
        side = np.abs(x) / wide
        power = np.float32(_ROUND)
        around = np.maximum(side**power + np.abs(front) ** power, 1e-4) ** (1 / power)
        height = np.float32(APEX_MM - _WIDEST_MM)
        up = np.maximum(z - np.float32(_WIDEST_MM), 0) / height
        level = np.sqrt(around**2 + up ** np.float32(_TAPER))
        steep = around ** (1 - power) * around / level
        slope = np.sqrt(
            (steep * side ** (power - 1) / wide) ** 2
            + (steep * np.abs(front) ** (power - 1) / np.float32(HALF_DEPTH_MM)) ** 2
            + (np.float32(_TAPER / 2) * up ** np.float32(_TAPER - 1) / level / height) ** 2
        )
        distance: Floats = (level - 1) / np.maximum(slope, np.float32(0.004))
        return distance

    def _diaphragm(self, points: Floats) -> Floats:
        x, y, z = points.T
        right = self._dome[0] - ((x - 56) / 68) ** 2 * 30 - ((y - 14) / 80) ** 2 * 46
        left = self._dome[1] - ((x + 56) / 68) ** 2 * 30 - ((y - 12) / 80) ** 2 * 46
        dome = -smooth_union(-right, -left, 14)
        aside = np.where(x > 0, x - 56, x + 56) * np.float32(60 / 68**2)
        slope = np.hypot(aside, (y - 13) * np.float32(92 / 80**2))
        below: Floats = (dome - z) / np.sqrt(1 + slope**2)
        return below

    def _mediastinum(self, points: Floats, heart: Floats) -> Floats:
        x, y, z = points.T
        spine = np.hypot(x, y - spine_mm(z)) - 25
        upper = Ellipsoid((1, -4, 42), (29, 48, 86)).distance(points)
        lower = Ellipsoid((-2, -24, -60), (22, 42, 140)).distance(points)
        sheet = np.maximum(np.abs(x + 6) - np.float32(1.5), -y)
        hila = np.minimum(
            Ellipsoid((33, -12, -16), (17, 18, 26)).distance(points),
            Ellipsoid((-36, -12, -12), (17, 18, 24)).distance(points),
        )
        aorta = np.maximum(np.hypot(x + 22, y - spine_mm(z) - 22) - 15, z - 40)
        middle = smooth_union(smooth_union(spine, aorta, 8), smooth_union(upper, lower, 14), 8)
        middle = smooth_union(smooth_union(middle, hila, 10), sheet, 8)
        return smooth_union(middle, heart - 3, 10)

    def _skin(self, points: Floats) -> Floats:
        x, y, z = points.T
        side, front, back = self._wall
        width = HALF_WIDTH_MM + side - np.float32(0.10) * np.maximum(z - 50, 0)
        half = HALF_DEPTH_MM + (front + back) / 2
        middle = (front - back) / 2 + np.float32(0.6) * cavity_shift(z)
        across, along = np.abs(x) / width, np.abs(y - middle) / half
        power = np.float32(2.5)
        level = np.maximum(across**power + along**power, 1e-4) ** (1 / power)
        steep = np.maximum(level, 0.05) ** (1 - power)
        slope = steep * np.hypot(across ** (power - 1) / width, along ** (power - 1) / half)
        distance: Floats = (level - 1) / np.maximum(slope, np.float32(0.004))
        return distance

    def _muscle(self, points: Floats, cavity: Floats, skin: Floats) -> Floats:
        sides = np.stack([np.abs(points[:, 0]), points[:, 1], points[:, 2]], axis=1)
        thick = 9 + self._lean * (
            15 * bump(sides, (62, 72, 25), (32, 40, 32))
            + 24 * bump(sides, (30, -100, 0), (20, 40, 400))
            + 26 * bump(sides, (85, -75, 25), (38, 40, 50))
        )
        thick += 70 / (1 + np.exp(np.float32(0.16) * (72 - points[:, 2])))
        streaks = np.float32(1.4) - 16 * np.abs(self._fascia(points))
        muscle: Floats = np.maximum(np.maximum(cavity - thick, skin + self._fat), streaks)
        return muscle


def cavity_shift(z: Floats) -> Floats:
    """How far forward the middle of the chest lies at a height, mm: the apex leans back."""
    shift: Floats = np.float32(-0.16) * np.maximum(z + 20, 0)
    return shift


def spine_mm(z: Heights) -> Heights:
    """Where the middle of the vertebral bodies lies from front to back at a height, mm."""
    bent: Heights = (
        np.float32(-HALF_DEPTH_MM + 17)
        - ((z + 20) / 100) ** 2 * 7
        - np.float32(0.06) * np.maximum(z - 20, 0)
    )
    return bent
