"""What lies between and below the lungs: heart, great vessels, airways, gullet, belly."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medgan.phantoms.shapes import Ellipsoid, Shape
from medgan.phantoms.thorax_surfaces import spine_mm
from medgan.phantoms.thorax_tubes import Tubes

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Organ:
    """A shape in the atlas and its CT number, HU."""

    shape: Shape
    hu: float


@dataclass(frozen=True, eq=False)
class Hilum:
    """Where a lung's trees begin, (3,) atlas mm each."""

    artery: NDArray[np.float64]
    vein: NDArray[np.float64]
    bronchus: NDArray[np.float64]


HILA = (
    Hilum(np.array([40.0, -8, -16]), np.array([30.0, 4, -34]), np.array([36.0, -19, -19])),
    Hilum(np.array([-42.0, -12, -4]), np.array([-34.0, 0, -32]), np.array([-40.0, -21, -20])),
)
"""Of the right lung and of the left."""


def chambers() -> tuple[Ellipsoid, ...]:
    """The heart's four chambers, in its own axes: left and right ventricle, then the atria."""
    return (
        Ellipsoid((-22, -12, 0), (28, 17, 19)),
        Ellipsoid((-8, 20, -8), (30, 13, 22)),
        Ellipsoid((36, -16, 6), (17, 19, 21)),
        Ellipsoid((34, 18, -2), (19, 15, 22)),
    )


def great_vessels(rng: np.random.Generator) -> Tubes:
    """Aorta with the branches of its arch, venae cavae, pulmonary trunk and arteries, atlas mm."""
    wide = rng.uniform(0.9, 1.15)
    down = np.linspace(20, -150, 12)
    aorta = [(2, 8, -42), (12, 20, -20), (13, 22, 8), (6, 10, 29), (-9, -18, 34), (-20, -38, 22)]
    descending = np.stack([np.where(down < -80, -13, -21), spine_mm(down) + 24, down], axis=1)
    paths = [
        ([*aorta, *descending], [14.5, 16, 15.5, 14, 12.5, 12.5] + [12.0] * len(down)),
        ([(27, 12, 48), (27, 12, 0), (27, 14, -40)], [8.5, 9.5, 10]),
        ([(27, 12, 46), (-22, 22, 56)], [7, 6]),
        ([(28, 12, 46), (34, 0, 110)], [7, 6]),
        ([(-22, 22, 56), (-34, 0, 110)], [6, 6]),
        ([(4, 8, 34), (16, 0, 66), (26, -8, 112)], [6, 5.5, 4.5]),
        ([(-5, -4, 38), (-14, -4, 70), (-22, -8, 112)], [4.5, 4, 4]),
        ([(-11, -17, 38), (-24, -14, 75), (-50, -14, 95)], [4.8, 4.5, 4]),
        ([(-18, 36, -30), (-18, 24, -6), (-20, 8, 0)], [13.5, 14, 12.5]),
        ([(-20, 8, 0), (6, -1, -8), (40, -8, -16)], [11.5, 11, 9]),
        ([(-20, 8, 0), (-34, -6, 1), (-42, -12, -4)], [11.5, 10, 9]),
        ([(24, 8, -75), (22, -2, -100), (20, -6, -150)], [11, 12, 12]),
        ([(30, 4, -34), (8, -2, -38)], [7.5, 8]),
        ([(-34, 0, -32), (-6, -2, -38)], [7, 8]),
    ]
    chains = [Tubes.chain(np.array(nodes), np.array(radii) * wide) for nodes, radii in paths]
    return Tubes.joined(*chains)


def airways(rng: np.random.Generator) -> Tubes:
    """Lumen of windpipe and main bronchi, atlas mm."""
    wide = rng.uniform(0.85, 1.15)
    right, left = (hilum.bronchus for hilum in HILA)
    paths = [
        ([(0, -8, 125), (1, -14, 60), (1, -20, 8), (1, -21, -2)], [8.5, 8.7, 8.5, 8.2]),
        ([(1, -21, -1), (16, -22, -12), right], [7, 6.5, 5.2]),
        ([(1, -21, -1), (-20, -23, -14), left], [6, 5.6, 4.8]),
    ]
    chains = [Tubes.chain(np.array(nodes), np.array(radii) * wide) for nodes, radii in paths]
    return Tubes.joined(*chains)


def gullet() -> Tubes:
    """The oesophagus as a full tube, atlas mm."""
    heights = np.linspace(120, -150, 14)
    side, depth = np.where(heights < -60, -10, -4), np.maximum(spine_mm(heights) + 25, -38)
    return Tubes.chain(np.stack([side, depth, heights], axis=1), np.full(len(heights), 6.5))


def belly(rng: np.random.Generator, enhanced: bool) -> tuple[Organ, ...]:
    """Organs below the diaphragm; the stomach's gas lies in front, as in people on their back."""
    liver = rng.uniform(95, 120) if enhanced else rng.uniform(50, 64)
    fill = rng.uniform(0, 22)
    return (
        Organ(Ellipsoid((48, 0, -128), (98, 90, 110)), liver),
        Organ(Ellipsoid((-82, -36, -122), (42, 38, 46)), liver),
        Organ(Ellipsoid((-52, 22, -116), (44, 36, 36)), 42),
        Organ(Ellipsoid((-52, 22, -116), (40, 32, 32)), fill),
        Organ(Ellipsoid((-52, 40, -114), (26, 13, 20)), -985),
        Organ(Ellipsoid((-30, -52, -150), (26, 24, 40)), 35),
    )


@dataclass(frozen=True)
class Blood:
    """CT numbers of one person's soft tissues, HU.

    Attributes:
        enhanced: whether contrast agent was given.
        vessel: blood.
        heart: muscle of the heart.
        muscle: muscle of the wall.
        fat: fat.
    """

    enhanced: bool
    vessel: float
    heart: float
    muscle: float
    fat: float

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> "Blood":
        """Draw a person; about half of the scans of LIDC-IDRI are of the order of enhanced."""
        enhanced = bool(rng.random() < 0.5)
        return cls(
            enhanced,
            rng.uniform(130, 280) if enhanced else rng.uniform(36, 50),
            rng.uniform(85, 120) if enhanced else rng.uniform(42, 52),
            rng.uniform(45, 62),
            rng.uniform(-112, -92),
        )
