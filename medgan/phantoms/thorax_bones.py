"""The bones of a thorax, as functions of the position in the atlas and in the chest wall."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medgan.phantoms.shapes import Cone
from medgan.phantoms.thorax_surfaces import HALF_DEPTH_MM, HALF_WIDTH_MM, cavity_shift, spine_mm

Floats = NDArray[np.float32]

_RIB_DEPTH_MM, _RIB_HALF_MM, _RIB_TALL_MM = 6.0, 3.6, 6.5
_CARTILAGE_FROM = 2.35
_CLAVICLE_RADIUS_MM = 5.5


@dataclass(frozen=True)
class Bones:
    """Signed distances in mm, negative inside, (N,) each.

    Attributes:
        bone: to the nearest bone's surface.
        cartilage: to the nearest disc or costal cartilage.
        canal: to the spinal canal.
        cortex_mm: thickness of the cortical layer of the bone that is near.
    """

    bone: Floats
    cartilage: Floats
    canal: Floats
    cortex_mm: Floats


class ThoraxBones:
    """One person's ribs, spine, sternum, shoulder blades and collar bones.

    Args:
        rng: draws the spacing of ribs and vertebrae.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._rib_step = np.float32(rng.uniform(22.5, 25.5))
        self._first_rib = np.float32(rng.uniform(68, 76))
        self._drop = np.float32(rng.uniform(50, 68))
        self._vertebra = np.float32(rng.uniform(23.5, 26.5))
        self._phase = np.float32(rng.uniform(0, 26))
        rise = rng.uniform(4, 22)
        self._clavicles = [
            Cone((s * 17, 45, 62), (s * 118, -5, 78 + rise), _CLAVICLE_RADIUS_MM, 5.0)
            for s in (1, -1)
        ]

    def at(self, points: Floats, cavity: Floats) -> Bones:
        """Bones at atlas positions (N, 3), of known distance to the cavity (N,) in atlas mm."""
        angle = np.arctan2(
            np.abs(points[:, 0]) / np.float32(HALF_WIDTH_MM),
            -(points[:, 1] - cavity_shift(points[:, 2])) / np.float32(HALF_DEPTH_MM),
        )
        rib, costal = self._ribs(points, cavity, angle)
        vertebra, disc, canal = self._spine(points)
        plates = np.minimum(_sternum(points, cavity), _scapula(points, cavity, angle))
        clavicle = np.minimum(*(cone.distance(points) for cone in self._clavicles))
        bone = np.minimum(np.minimum(rib, plates), np.minimum(vertebra, clavicle))
        cortex = np.where(bone == vertebra, np.float32(0.9), np.float32(1.3))
        cartilage = np.maximum(np.minimum(costal, disc), -bone)
        return Bones(bone, cartilage, canal, cortex)

    def _ribs(self, points: Floats, cavity: Floats, angle: Floats) -> tuple[Floats, Floats]:
        """Bony and cartilaginous ribs: they slope forwards and down, their cartilage up again."""
        height = points[:, 2] + self._drop * (angle / np.float32(np.pi) + (1 - np.cos(angle)) / 2)
        height -= 70 * np.maximum(angle - np.float32(_CARTILAGE_FROM), 0)
        number = np.clip(np.rint((self._first_rib - height) / self._rib_step), 0, 11)
        away = height - (self._first_rib - number * self._rib_step)
        # Ribs begin beside the spine and their heads lie deeper than their shafts.
        depth = cavity - _RIB_DEPTH_MM + 6 * np.exp(-((angle / np.float32(0.35)) ** 2))
        across = np.hypot(depth / np.float32(_RIB_HALF_MM), away / np.float32(_RIB_TALL_MM))
        bar = (across - 1) * np.float32(_RIB_HALF_MM)
        forward = (angle - np.float32(_CARTILAGE_FROM)) * 80
        gap = np.maximum(16 - np.abs(points[:, 0]), 0)
        rib = np.maximum(np.maximum(bar, forward), gap)
        costal = np.maximum(np.maximum(bar, -forward), gap)
        return rib, np.where(number < 9, costal, np.float32(99))

    def _spine(self, points: Floats) -> tuple[Floats, Floats, Floats]:
        """Vertebrae with their arches, discs and the canal."""
        x, y, z = points.T
        side, back = np.abs(x), y - spine_mm(z)
        level = (z + self._phase) % self._vertebra - self._vertebra / 2
        waist = np.float32(1.8) * (1 - (level / 10) ** 2)
        body = np.hypot(x / (18.5 - waist), (back) / (15.5 - waist)) * 16 - 16
        flat = np.abs(level) - (self._vertebra / 2 - np.float32(2.4))
        canal = np.hypot(x, back + 23) - 8
        ring = np.maximum(np.hypot(x, back + 23) - 12.5, np.abs(level) - 8.5)
        spike = np.maximum(side - 3, np.abs(level + 4 - (back + 34) * np.float32(0.35)) - 6)
        spike = np.maximum(spike, np.abs(back + 42) - 10)
        wing = np.maximum(np.abs(back + 26 + np.float32(0.35) * side) - 4.5, np.abs(level - 2) - 5)
        wing = np.maximum(wing, np.abs(side - 20) - 14)
        arch = np.maximum(np.minimum(np.minimum(ring, spike), wing), -canal)
        bone = np.minimum(np.maximum(np.maximum(body, flat), -canal), arch)
        disc = np.maximum(np.maximum(body + 1, -flat), -canal)
        return bone, disc, canal


def _sternum(points: Floats, cavity: Floats) -> Floats:
    x, y, z = points.T
    wide = np.where(z > 32, np.float32(26), 15 + np.float32(0.03) * (z + 60))
    flat = np.maximum(np.abs(cavity - 7) - 1.5, 0)
    plate = np.hypot(flat, np.maximum(np.abs(x) - wide + 4, 0)) - 4
    ends = np.maximum(np.abs(z + 5) - 68, 1.0 - np.abs(z - 32))
    bone: Floats = np.maximum(np.maximum(plate, ends), -y)
    return bone


def _scapula(points: Floats, cavity: Floats, angle: Floats) -> Floats:
    """A thin plate behind the ribs, with its ridge."""
    z = points[:, 2]
    inner = np.float32(0.50) + np.float32(0.0035) * np.maximum(10 - z, 0)
    plate = np.maximum(np.abs(cavity - 19) - 2.0, (np.abs(angle - 0.85 - inner / 4) - 0.42) * 90)
    plate = np.maximum(plate, np.abs(z - 18) - 58)
    ridge = np.abs(z - 45 - 40 * (angle - np.float32(0.85))) - 2.5
    ridge = np.maximum(np.maximum(ridge, np.abs(cavity - 25) - 7), np.abs(angle - 0.95) * 90 - 28)
    shape: Floats = np.minimum(plate, ridge)
    return shape
