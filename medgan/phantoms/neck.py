"""The neck: cervical spine, cord, muscles and vessels."""

import numpy as np
from numpy.typing import NDArray

from medgan.phantoms.canvas import Part
from medgan.phantoms.shapes import Box, Cone, Ellipsoid, Vector
from medgan.phantoms.tissues import Tissue

Points = NDArray[np.float32]
T = Tissue


class Neck:
    """One subject's neck.

    Args:
        rng: draws its girth and the curve of the spine.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._girth = rng.uniform(52, 62)
        self._depth = rng.uniform(0.92, 1.06)
        curve = rng.uniform(-3, 4)
        self.parts: list[Part] = [
            *_muscles(rng),
            *_spine(rng, curve),
            *_vessels(rng),
        ]
        self.canal = (
            Part(Cone((0, -18, -56), (0, -20, -86), 12, 9), ((0.0, T.FIBROUS), (-0.8, T.CSF))),
            Part(
                Cone((0, -20, -86), (0, -22 - curve, -190), 8.5, 8.0),
                ((0.0, T.FIBROUS), (-0.8, T.CSF)),
            ),
            Part(Cone((0, -17, -50), (0, -19, -86), 6.0, 5.2), ((0.0, T.CORD),)),
            Part(Cone((0, -19, -86), (0, -21 - curve, -190), 5.2, 5.2), ((0.0, T.CORD),)),
        )

    def envelope(self, points: Points) -> Points:
        """Approximate signed distance to the skin of the neck, (N,) mm."""
        x, y, z = points.T
        centre = -22 + np.clip(-z - 90, 0, 80) * np.float32(0.06)
        flare = np.clip(-z - 130, 0, 60) ** 2 * np.float32(0.012)
        across = np.hypot(x, (y - centre) / np.float32(self._depth)) - self._girth - flare
        signed: Points = np.maximum(across, z + 58)
        return signed


def _muscles(rng: np.random.Generator) -> list[Part]:
    muscle = ((0.5, T.FAT), (0.0, T.MUSCLE))
    parts = [Part(Box((0, 6, -116), (14, 6, 52), 4), muscle)]
    for side in (1, -1):
        size = float(rng.uniform(0.88, 1.08))
        parts += [
            Part(Cone((side * 13, -52, -62), (side * 14, -52, -190), 10 * size, 12), muscle),
            Part(Cone((side * 32, -46, -60), (side * 30, -44, -190), 9 * size, 12), muscle),
            Part(Cone((side * 14, -34, -72), (side * 13, -38, -190), 9 * size, 9), muscle),
            Part(Cone((side * 14, -66, -52), (side * 24, -64, -190), 5 * size, 10), muscle),
            Part(Cone((side * 44, -28, -62), (side * 42, -22, -190), 8 * size, 12), muscle),
            Part(Cone((side * 58, -20, -66), (side * 30, 26, -180), 8 * size, 9), muscle),
            Part(Cone((side * 24, -6, -72), (side * 28, -6, -190), 8, 10), muscle),
        ]
    return parts


def _spine(rng: np.random.Generator, curve: float) -> list[Part]:
    spongy = ((0.0, T.CORTICAL_BONE), (-1.3, T.MARROW))
    size = float(rng.uniform(0.92, 1.08))
    parts = [
        # Atlas: a ring of two masses and two arches; then the dens inside it.
        Part(Cone((18, -10, -76), (19, -20, -76), 7 * size, 7), spongy),
        Part(Cone((-18, -10, -76), (-19, -20, -76), 7 * size, 7), spongy),
        Part(Cone((16, -3, -75), (-16, -3, -75), 4, 4), spongy),
        *(
            Part(Cone((side * 18, -22, -76), (side * 2, -40, -76), 4, 3.5), spongy)
            for side in (1, -1)
        ),
        *(
            Part(Cone((side * 20, -14, -76), (side * 36, -14, -76), 5, 3), spongy)
            for side in (1, -1)
        ),
        Part(Cone((0, -10, -70), (0, -8, -88), 5, 6), ((1.0, T.FIBROUS), *spongy)),
    ]
    for level in range(6):
        z = -92.0 - 17 * level
        parts += _vertebra((0.0, -6.0 + 0.15 * level * curve, z), size, spinous=18 + 2.0 * level)
    return parts


def _vertebra(centre: Vector, size: float, spinous: float) -> list[Part]:
    spongy = ((0.0, T.CORTICAL_BONE), (-1.2, T.MARROW))
    _, y, z = centre
    parts = [
        Part(Box((0, y, z), (10.5 * size, 8 * size, 6.2), 2), spongy),
        Part(Box((0, y, z - 8.5), (9.5 * size, 7.5 * size, 2.6), 1.5), ((0.0, T.CARTILAGE),)),
        Part(Cone((0, y - 27, z - 2), (0, y - 27 - spinous, z - 10), 4, 3), spongy),
    ]
    for side in (1, -1):
        parts += [
            Part(Cone((side * 17, y - 8, z + 3), (side * 17, y - 12, z - 4), 6, 6), spongy),
            Part(Cone((side * 16, y - 14, z), (side * 3, y - 27, z - 2), 3.5, 3.5), spongy),
            Part(Cone((side * 11, y - 2, z), (side * 24, y - 4, z), 3.5, 2.5), spongy),
            Part(Ellipsoid((side * 17, y - 4, z), (2.6, 2.6, 9)), ((0.0, T.BLOOD),)),
        ]
    return parts


def _vessels(rng: np.random.Generator) -> list[Part]:
    parts = []
    for side in (1, -1):
        wide = float(rng.uniform(0.7, 1.3))
        blood = ((1.2, T.FAT), (0.0, T.BLOOD))
        parts += [
            Part(Cone((side * 26, 4, -46), (side * 28, 12, -190), 2.8, 3.5), blood),
            Part(Cone((side * 32, -4, -50), (side * 36, 12, -190), 4 * wide, 6 * wide), blood),
        ]
    return parts
