"""The face and the base of the skull: orbits, nose, sinuses, jaws, teeth, muscles and airway."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from medgan.phantoms.canvas import Part
from medgan.phantoms.noise import PlaneWaves
from medgan.phantoms.shapes import Arch, Box, Cone, Ellipsoid, Leaf, Shape, Vector, smooth_union
from medgan.phantoms.tissues import Tissue

Points = NDArray[np.float32]
SIDES = (1, -1)

T = Tissue


class Face:
    """One subject's face.

    Args:
        rng: draws sizes, present sinuses and the opening of the mouth.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._nose = rng.uniform(0.85, 1.15)
        self._cheek = rng.uniform(-2.0, 5.0)
        self._chin = rng.uniform(-4.0, 4.0)
        self._ear = rng.uniform(0.85, 1.15)
        gape = rng.uniform(0, 8) if rng.random() < 0.3 else 0.0
        self.parts: list[Part] = [
            *_muscles(rng),
            *_base(rng),
            *_maxilla(rng),
            *_mandible(rng, gape),
            *_mouth(rng, gape),
            *_zygomas(rng),
            *_paranasal_sinuses(rng),
            *_nasal_cavity(rng),
            *_orbits(rng),
            *_ears(rng, self._ear),
        ]

    def envelope(self, points: Points) -> Points:
        """Approximate signed distance to the skin of face, nose and ears, (N,) mm."""
        nose, cheek, chin = self._nose, self._cheek, self._chin
        distance = Ellipsoid((0, 36, -46), (61 + cheek, 56, 58)).distance(points)
        jaw = Ellipsoid((0, 42, -98), (50 + cheek, 50 + chin, 33)).distance(points)
        distance = smooth_union(distance, jaw, 14)
        joined: list[tuple[Shape, float]] = [
            (Cone((0, 88, -22), (0, 88 + 15 * nose, -56), 6, 8 * nose), 9),
            (Ellipsoid((0, 90, -86), (24, 9, 14)), 8),
            (Ellipsoid((0, 84 + chin, -113), (18, 9, 11)), 10),
        ]
        for side in SIDES:
            joined += [
                (Ellipsoid((side * 10, 94, -62), (8 * nose, 9, 7)), 5),
                (Ellipsoid((side * 31, 72, -27), (15, 14.5, 13)), 6),
                (Ellipsoid((side * 46, 58, -44), (17, 16, 16)), 12),
                (Cone((side * 54, 14, -96), (side * 58, 16, -62), 9, 11), 14),
                (Ellipsoid((side * 25, 72, -11), (26, 12, 9)), 10),
                (Ellipsoid((side * 53, -8, -64), (17, 30, 36)), 14),
                (_pinna(side, self._ear, 0.0), 4),
            ]
        for shape, radius in joined:
            low, high = shape.bounds()
            near = np.flatnonzero(
                ((points > low - radius - 4) & (points < high + radius + 4)).all(axis=1)
            )
            if near.size:
                distance[near] = smooth_union(distance[near], shape.distance(points[near]), radius)
        return distance


def _mirrored(rng: np.random.Generator, spread: float = 1.0) -> list[tuple[int, float, Vector]]:
    """For each side its sign, a size factor and a displacement in mm."""
    return [
        (
            side,
            float(rng.uniform(0.9, 1.1)),
            (
                float(rng.normal(0, spread)),
                float(rng.normal(0, spread)),
                float(rng.normal(0, spread)),
            ),
        )
        for side in SIDES
    ]


def _muscles(rng: np.random.Generator) -> list[Part]:
    muscle = ((0.8, T.FIBROUS), (0.0, T.MUSCLE))
    parts = []
    for side, size, (dx, dy, dz) in _mirrored(rng):
        parts += [
            Part(Box((side * 54 + dx, 24 + dy, -78), (7.5 * size, 18 * size, 27), 6), muscle),
            Part(Ellipsoid((side * 37, 24 + dy, -62 + dz), (10, 17 * size, 18)), muscle),
            Part(Ellipsoid((side * 59, 28, -30), (13 * size, 26, 20)), muscle),
            Part(Ellipsoid((side * 30, 14, -74), (7 * size, 10, 18)), muscle),
            Part(Cone((side * 61, 26, -22), (side * 53, 32, -62), 13 * size, 5), muscle),
            Part(Ellipsoid((side * 59, 0 + dy, -70), (9 * size, 13, 21)), ((0.0, T.GLAND),)),
            Part(Ellipsoid((side * 26, 52, -116), (9, 16, 6)), ((0.0, T.GLAND),)),
            Part(Cone((side * 24, 66, -46), (side * 34, 88, -86), 2.5, 3.5), muscle),
            Part(Ellipsoid((side * 39, 66, -72), (8, 9, 10)), ((0.0, T.FAT),)),
        ]
    lips = Part(Ellipsoid((0, 90, -86), (24, 6, 12)), ((0.0, T.MUSCLE),))
    return [*parts, lips]


def _base(rng: np.random.Generator) -> list[Part]:
    """Clivus, sphenoid, petrous bones and mastoids, outside the cavity."""
    spongy = ((0.0, T.CORTICAL_BONE), (-1.6, T.MARROW))
    dense = ((0.0, T.CORTICAL_BONE),)
    parts = [
        Part(Cone((0, 12, -38), (0, 2, -62), 11, 7), spongy),
        Part(Ellipsoid((0, 24, -34), (20, 16, 12)), spongy),
    ]
    for side, size, (dx, dy, dz) in _mirrored(rng):
        foam = PlaneWaves(rng, (4, 9), 12)
        parts += [
            Part(Cone((side * 62, -14, -42), (side * 14, 6, -36), 9 * size, 6), dense),
            Part(Cone((side * 24, 2, -38), (side * 14, 8, -38), 5, 4), spongy),
            Part(Cone((side * 20, -12, -60), (side * 19, -24, -68), 7, 6), spongy),
            Part(
                Cone((side * 60, -18 + dy, -46), (side * 58, -12, -68 + dz), 11 * size, 5.5),
                ((0.0, T.CORTICAL_BONE), (-1.8, T.CORTICAL_BONE)),
                foam,
            ),
            Part(Cone((side * 60, -12, -40), (side * 36, -4, -40), 6, 4), dense, foam),
            Part(Box((side * 17, 26, -58), (1.2, 10, 14), 1), dense),
            Part(Box((side * 25 + dx, 25, -58), (1.2, 9, 14), 1), dense),
            Part(Ellipsoid((side * 40, 28, -30), (19, 12, 9)), ((0.0, T.CORTICAL_BONE),)),
        ]
    return parts


def _maxilla(rng: np.random.Generator) -> list[Part]:
    spongy = ((0.0, T.CORTICAL_BONE), (-1.3, T.MARROW))
    thin = rng.uniform(1.2, 2.0)
    parts = [
        Part(Arch(83, 22, 44, -84, -68, 5.5), spongy),
        Part(Box((0, 62, -72), (26, 22, 1.0 + thin), 1), spongy),
        Part(Box((0, 84, -30), (8, 5, 12), 3), ((0.0, T.CORTICAL_BONE),)),
    ]
    for side, size, (_, dy, dz) in _mirrored(rng):
        antrum = Box((side * 28, 53 + dy, -56 + dz), (12.5 * size, 17 * size, 15 * size), 9)
        filled = rng.random() < 0.12
        level = -rng.uniform(1.0, 2.0) if rng.random() < 0.7 else -rng.uniform(3.0, 6.0)
        air = T.MUCOSA if filled else T.INTERNAL_AIR
        parts += [
            Part(Cone((side * 16, 80, -28), (side * 18, 78, -66), 4, 6), spongy),
            Part(antrum, ((1.3, T.CORTICAL_BONE), (0.0, T.MUCOSA), (level, air))),
        ]
    return [*parts, *_teeth(rng, -84, -94, 80.0, 24.0)]


def _teeth(
    rng: np.random.Generator, neck: float, edge: float, front: float, curvature: float
) -> list[Part]:
    """Teeth along a dental arch: roots in the bone beyond ``neck``, crowns down to ``edge``."""
    missing = rng.uniform(0, 0.25)
    root = neck + (neck - edge) * 0.9
    parts = []
    for side in SIDES:
        x = 3.8
        for _ in range(8):
            y = front - x * x / curvature
            width = 3.0 + 1.6 * min(x / 22, 1)
            if y > 42 and rng.random() > missing:
                crown = Cone((side * x, y, neck), (side * x, y, edge), width, width * 0.8)
                stem = Cone((side * x, y, neck), (side * x, y, root), width * 0.8, 1.2)
                parts += [Part(stem, ((0.5, T.FIBROUS), (0.0, T.TOOTH)))]
                parts += [Part(crown, ((0.0, T.TOOTH),))]
            slope = 2 * x / curvature
            x += 2 * width / float(np.hypot(1, slope))
    return parts


def _mandible(rng: np.random.Generator, gape: float) -> list[Part]:
    spongy = ((0.0, T.CORTICAL_BONE), (-1.9, T.MARROW))
    low = -118 - gape
    parts = [Part(Arch(82, 25, 30, low, low + 17, 5.5), spongy)]
    for side, size, (dx, dy, _) in _mirrored(rng):
        out = side * 47 + dx
        parts += [
            Part(Box((side * 41, 26, low + 12), (6, 16, 12), 5), spongy),
            Part(Box((out, 18 + dy, -88), (4.2, 15 * size, 26), 3.5), spongy),
            Part(Cone((out, 10 + dy, -66), (side * 51, 4, -50), 4.5, 6), spongy),
            Part(Cone((out, 28 + dy, -70), (out + side * 2, 32, -54), 4, 2.5), spongy),
        ]
    return [*parts, *_teeth(rng, low + 17, low + 26, 79.0, 25.0)]


def _mouth(rng: np.random.Generator, gape: float) -> list[Part]:
    size = rng.uniform(0.93, 1.07)
    lumen = ((1.5, T.MUCOSA), (0.0, T.INTERNAL_AIR))
    slit = rng.uniform(0.3, 1.0) + gape * 0.6
    narrow = rng.uniform(0.7, 1.3)
    return [
        Part(Ellipsoid((0, 46, -96 - gape), (23 * size, 32 * size, 20)), ((0.0, T.MUSCLE),)),
        Part(Ellipsoid((0, 54, -79), (17, 24, 2 + slit)), ((0.0, T.MUSCLE),)),
        Part(Box((0, 54, -78), (16, 20, slit), 0.3), ((0.0, T.INTERNAL_AIR),)),
        Part(
            Box((0, 92, -88), (20, 8, 0.4 + gape * 0.5), 0.3), ((0.0, T.INTERNAL_AIR),), None, True
        ),
        Part(Cone((0, 20, -50), (0, 16, -74), 8 * narrow, 7 * narrow), lumen),
        Part(Cone((0, 14, -74), (0, 12, -104), 7 * narrow, 8 * narrow), lumen),
        Part(Cone((0, 12, -104), (0, 20, -150), 7 * narrow, 8), lumen),
        Part(Cone((0, 30, -72), (0, 18, -88), 4, 3), ((0.0, T.MUSCLE),)),
        Part(
            Cone((0, 20, -128), (0, 22, -170), 11, 11), ((0.0, T.CARTILAGE), (-2.5, T.INTERNAL_AIR))
        ),
    ]


def _zygomas(rng: np.random.Generator) -> list[Part]:
    spongy = ((0.0, T.CORTICAL_BONE), (-1.6, T.MARROW))
    parts = []
    for side, size, (dx, dy, dz) in _mirrored(rng):
        nodes = [(50, 58, -44, 5.0), (62, 42, -44, 3.2), (67, 22, -42, 2.8), (64, 2, -38, 3.6)]
        parts += [
            Part(
                Cone(
                    (side * a[0] + dx, a[1] + dy, a[2] + dz),
                    (side * b[0] + dx, b[1] + dy, b[2] + dz),
                    a[3] * size,
                    b[3] * size,
                ),
                spongy,
            )
            for a, b in pairwise(nodes)
        ]
        parts += [
            Part(Ellipsoid((side * 45 + dx, 62, -45 + dz), (11, 8 * size, 9)), spongy),
            Part(Cone((side * 49, 60, -40), (side * 47, 66, -14), 4.0, 4.0), spongy),
            Part(Cone((side * 14, 82, -12), (side * 46, 68, -13), 4.5, 4.5), spongy),
            Part(Cone((side * 44, 64, -44), (side * 16, 76, -42), 3.5, 2.5), spongy),
        ]
    return parts


def _paranasal_sinuses(rng: np.random.Generator) -> list[Part]:
    parts = []
    for side, size, (dx, dy, dz) in _mirrored(rng):
        inner = T.MUCOSA if rng.random() < 0.07 else T.INTERNAL_AIR
        walls = ((1.4, T.CORTICAL_BONE), (0.0, T.MUCOSA), (-0.6, inner))
        if rng.random() < 0.88:
            width = rng.uniform(5, 15)
            parts.append(
                Part(
                    Ellipsoid(
                        (side * (width * 0.8 + 1.5), 86 + dy, -8 + width * 0.35 + dz),
                        (width, rng.uniform(3.5, 6.5), width * rng.uniform(0.8, 1.3)),
                    ),
                    walls,
                )
            )
        parts.append(
            Part(
                Ellipsoid(
                    (side * 8.5 + dx, 25 + dy, -36),
                    (8.5 * size, 13 * size, rng.uniform(7, 11)),
                ),
                walls,
            )
        )
        parts.append(
            Part(
                Box((side * 9.5, 54, -30), (7, 23, 10 * size), 3),
                ((1.0, T.CORTICAL_BONE), (0.0, T.MUCOSA)),
                PlaneWaves(rng, (9, 18), 10),
            )
        )
    return parts


def _nasal_cavity(rng: np.random.Generator) -> list[Part]:
    bend = rng.normal(0, 1.5)
    parts = [
        Part(
            Box((0, 56, -46), (8, 32, 22), 6),
            ((1.2, T.CORTICAL_BONE), (0.0, T.MUCOSA), (-1.2, T.INTERNAL_AIR)),
        ),
        Part(
            Box((0, 56, -61), (14, 33, 10), 6),
            ((1.2, T.CORTICAL_BONE), (0.0, T.MUCOSA), (-1.2, T.INTERNAL_AIR)),
        ),
        Part(Box((0, 56, -46), (6.8, 31, 20), 5), ((0.0, T.INTERNAL_AIR),)),
    ]
    for side, size, (_, dy, dz) in _mirrored(rng):
        swell = rng.uniform(0.8, 1.35)
        turbinate = ((0.0, T.MUCOSA), (-2.8 * swell, T.CORTICAL_BONE))
        low = (side * 8.0, 84 + dy, -62 + dz), (side * 8.0, 32, -63 + dz)
        middle = ((0.0, T.MUCOSA), (-1.7 * swell, T.CORTICAL_BONE))
        parts += [
            Part(Cone(*low, 4.2 * swell, 4.6 * swell), turbinate),
            Part(Box((side * 5.0, 54 + dy, -47 + dz), (2.2 * swell, 23, 7), 1.8), middle),
            Part(Box((side * 4.4, 50, -34), (1.8 * swell, 18, 4), 1.5), middle),
            Part(
                Cone((side * 6, 84, -56), (side * 8, 97, -66), 5.5, 4.0 * size),
                ((0.0, T.INTERNAL_AIR),),
                None,
                True,
            ),
        ]
    septum = Box((bend * 0.3, 58, -52), (1.8, 34, 19), 0.8)
    plate = Box((bend * 0.3, 50, -52), (0.6, 26, 19), 0.3)
    tip = Cone((0, 92, -36), (0, 100, -58), 2.0, 5.0)
    return [
        *parts,
        Part(septum, ((0.0, T.MUCOSA),)),
        Part(plate, ((0.0, T.CORTICAL_BONE),)),
        Part(tip, ((0.0, T.CARTILAGE),)),
        Part(Cone((0, 86, -20), (0, 92, -36), 4, 3), ((0.0, T.CORTICAL_BONE),)),
    ]


def _orbits(rng: np.random.Generator) -> list[Part]:
    wall = rng.uniform(1.0, 1.8)
    parts = []
    for side, size, (dx, dy, dz) in _mirrored(rng, 0.7):
        eye = (side * 31 + dx, 71 + dy, -27 + dz)
        apex = (side * 13.0, 32.0, -23.0)
        gaze = side * rng.uniform(-1, 1)
        globe = 11.8 * (0.97 + 0.3 * (size - 1))
        socket = Cone((eye[0], 68, eye[2]), apex, 18.5, 4)
        parts += [
            Part(socket, ((wall, T.CORTICAL_BONE), (0.0, T.FAT))),
            Part(Cone((eye[0], 84, eye[2]), (eye[0], 72, eye[2]), 13, 17), ((0.0, T.FAT),)),
        ]
        for across, up in ((8.5, 0), (-8.5, 0), (0, 8.5), (0, -8.5)):
            belly = (eye[0] + across * 1.15, 60.0, eye[2] + up * 1.15)
            muscle = ((0.0, T.MUSCLE),)
            front = (eye[0] + across * 1.1, 70.0, eye[2] + up * 1.1)
            parts += [Part(Cone(belly, apex, 2.4 * size, 1.4), muscle)]
            parts += [Part(Cone(front, belly, 1.0, 2.2 * size), muscle)]
        parts += [
            Part(
                Cone((eye[0] - side * 2, 60, eye[2]), apex, 2.0, 2.0),
                ((1.2, T.CSF), (0.0, T.CORD)),
            ),
            Part(Ellipsoid((eye[0] + side * 9, 74, eye[2] + 11), (5, 6, 3)), ((0.0, T.GLAND),)),
            Part(
                Ellipsoid(eye, (globe, globe, globe)),
                ((1.0, T.FIBROUS), (0.0, T.VITREOUS)),
            ),
            Part(
                Ellipsoid((eye[0] + gaze, eye[1] + globe - 4, eye[2]), (4.6, 2.1, 4.6)),
                ((0.0, T.LENS),),
            ),
        ]
    return parts


def _pinna(side: int, size: float, less: float) -> Leaf:
    return Leaf((side * 79.0, -15.0, -37.0), (3.4 - less, 15 * size, 29 * size), side * -0.42)


def _ears(rng: np.random.Generator, pinna: float) -> list[Part]:
    parts = []
    for side, size, (_, dy, dz) in _mirrored(rng):
        parts += [
            Part(_pinna(side, pinna, 2.0), ((0.0, T.CARTILAGE),)),
            Part(
                Cone((side * 82, -6 + dy, -41 + dz), (side * 54, -4, -41), 3.6 * size, 3.2),
                ((1.2, T.CARTILAGE), (0.0, T.INTERNAL_AIR)),
                None,
                True,
            ),
            Part(Ellipsoid((side * 46, -4, -39), (4, 5 * size, 6)), ((0.0, T.INTERNAL_AIR),)),
            Part(Cone((side * 45, -3, -41), (side * 43, -5, -38), 0.9, 0.9), ((0.0, T.TOOTH),)),
            Part(Ellipsoid((side * 38, -4, -38), (3, 3, 3)), ((0.0, T.CSF),)),
        ]
    return parts
