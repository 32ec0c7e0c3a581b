"""The cranial cavity, the skull around it and the scalp: layers measured from the inside out."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from medgan.phantoms.noise import PlaneWaves
from medgan.phantoms.shapes import Cone, Ellipsoid, bump, smooth_cut, smooth_union
from medgan.phantoms.tissues import Tissue

Points = NDArray[np.float32]

PETROUS = tuple(
    Cone((side * 66.0, -16.0, -41.0), (side * 12.0, 5.0, -34.0), 9.5, 5.0) for side in (1, -1)
)
_TEMPORAL = tuple(Ellipsoid((side * 37.0, 12.0, -20.0), (28.0, 37.0, 23.0)) for side in (1, -1))
_POSTERIOR = Ellipsoid((0.0, -42.0, -26.0), (55.0, 40.0, 38.0))
_SIGMOID = tuple(Ellipsoid((side * 47.0, -20.0, -16.0), (19.0, 30.0, 20.0)) for side in (1, -1))
_PITUITARY = Ellipsoid((0.0, 18.0, -24.0), (7.0, 6.0, 8.0))


def cavity(points: Points) -> Points:
    """Approximate signed distance to the inside of the skull, (N,) mm, negative inside.

    The cerebral dome (an egg, wider behind), cut by the floor of the anterior fossa, joined with
    the middle and posterior fossae; the petrous ridges stand out of the floor.
    """
    z = points[:, 2]
    distance = smooth_cut(_dome(points), _anterior_floor(points), 8)
    for lobe in (*_TEMPORAL, *_SIGMOID):
        distance = smooth_union(distance, lobe.distance(points), 9)
    distance = smooth_union(distance, _POSTERIOR.distance(points), 9)
    distance = smooth_union(distance, _PITUITARY.distance(points), 4)
    low = np.flatnonzero((z < -18) & (distance < 12))
    ridge = distance[low]
    for cone in PETROUS:
        ridge = smooth_cut(ridge, -cone.distance(points[low]), 5)
    distance[low] = ridge
    return distance


def _dome(points: Points) -> Points:
    x, y, z = points.T
    front = np.clip((y + 15) / 90, -0.6, 1.05)
    width = 65 * (1 - 0.14 * front * np.abs(front))
    side = np.abs(x) / width
    ahead = np.abs(y + 1) / 81
    above = np.abs(z - 7) / 66
    level = (side**2.4 + ahead**2.4 + above**2.4) ** np.float32(1 / 2.4)
    offset = np.sqrt(x * x + (y + 1) ** 2 + (z - 7) ** 2)
    signed: Points = offset * (1 - 1 / np.maximum(level, np.float32(1e-3)))
    return signed


def _anterior_floor(points: Points) -> Points:
    x, y, z = points.T
    roof_of_orbits = -15 + np.minimum(np.abs(x), 40) * np.float32(0.16)
    height: Points = roof_of_orbits + np.minimum(y + 10, 0) * np.float32(0.25) - z
    return height


def temple(points: Points) -> Points:
    """Signed distance to the side of the head below the dome, around ear and mastoid, (N,) mm."""
    x, y, z = points.T
    level = np.sqrt((x / 67) ** 2 + ((y + 12) / 70) ** 2 + ((z + 12) / 66) ** 2)
    radius = np.sqrt(x * x + (y + 12) ** 2 + (z + 12) ** 2)
    signed: Points = radius * (1 - 1 / np.maximum(level, np.float32(1e-3)))
    return signed


class Layers(NamedTuple):
    """Local thicknesses, (N,) mm: skull, whole scalp, its fat, and temporal muscle."""

    skull: Points
    scalp: Points
    fat: Points
    temporalis: Points


class Vault:
    """One subject's skull and scalp.

    Args:
        rng: draws thicknesses and sutures.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._thickness = rng.uniform(4.8, 7.2)
        self._variation = rng.uniform(0.5, 1.2)
        self._fat = float(np.exp(rng.uniform(np.log(1.2), np.log(4.5))))
        self.skin = rng.uniform(1.5, 2.2)
        self._galea = rng.uniform(0.6, 1.2)
        self._muscle = rng.uniform(5.0, 10.0)
        self._table = rng.uniform(1.2, 1.9)
        self._smooth = PlaneWaves(rng, (45, 120), 8, channels=2)
        self._rough = PlaneWaves(rng, (5, 16), 10)
        self._wiggle = PlaneWaves(rng, (5, 14), 8)
        self._bregma = rng.uniform(12, 24)
        self._lambda = rng.uniform(-74, -64)
        self._fusion = rng.uniform(0.2, 0.75)

    def layers(self, points: Points) -> Layers:
        """Thickness of each layer along the way out from ``points``."""
        z = points[:, 2]
        skull_noise, fat_noise = self._smooth.vectors(points).T
        sides = points.copy()
        sides[:, 0] = np.abs(sides[:, 0])
        squama = bump(sides, (72.0, 8.0, -14.0), (22.0, 28.0, 24.0))
        y = points[:, 1]
        start = -18 + np.float32(9) * np.clip((y - 8) / 20, 0, 1)
        base = np.clip((start - z) / 12, 0, 1) * np.clip((y + 76) / 20, 0, 1)
        skull = (
            self._thickness
            + self._variation * skull_noise
            + 2.2 * bump(points, (0.0, 88.0, 10.0), (34.0, 16.0, 26.0))
            + 2.4 * bump(points, (0.0, -88.0, -6.0), (26.0, 16.0, 30.0))
            - 3.0 * squama
            - 3.2 * base
        )
        fat = np.maximum(self._fat * (1 + np.float32(0.28) * fat_noise), 0.8)
        fat += 1.5 * bump(points, (0.0, -90.0, -30.0), (50.0, 25.0, 30.0))
        temporalis = self._muscle * bump(sides, (68.0, 32.0, -16.0), (24.0, 26.0, 28.0))
        temporalis = np.maximum(temporalis - np.float32(1.0), 0)
        scalp = self._galea + fat + self.skin + temporalis
        return Layers(np.maximum(skull, 2.2), scalp, fat, temporalis)

    def paint(
        self, labels: NDArray[np.uint8], points: Points, distance: Points, layers: Layers
    ) -> None:
        """Label skull, galea and temporal muscle in place.

        Args:
            labels: (N,) uint8, changed where the skull or what lies on it is.
            points: (N, 3) canonical mm, all outside the cavity.
            distance: (N,) mm from the cavity.
            layers: thicknesses at the points.
        """
        above = distance - layers.skull
        table = np.minimum(np.float32(self._table), layers.skull * np.float32(0.34))
        bone = above < 0
        cover = ~bone & (points[:, 2] > -40) & (above < layers.temporalis + self._galea)
        labels[cover] = Tissue.FIBROUS
        labels[cover & (above < layers.temporalis)] = Tissue.MUSCLE
        labels[bone] = Tissue.CORTICAL_BONE
        spongy = np.flatnonzero(bone & (distance > table) & (above < -table) & (layers.skull > 4.2))
        ragged = np.float32(0.35) * self._rough(points[spongy])
        deep = np.minimum(distance[spongy] - table[spongy], -table[spongy] - above[spongy])
        labels[spongy[deep > ragged]] = Tissue.MARROW
        seam = np.flatnonzero(bone & (points[:, 2] > -22))
        labels[seam[self._on_suture(points[seam], distance[seam])]] = Tissue.FIBROUS

    def _on_suture(self, points: Points, distance: Points) -> NDArray[np.bool_]:
        x, y, z = points.T
        wiggle = self._wiggle(points)
        coronal = np.abs(y - self._bregma + 0.12 * np.abs(x) + 1.6 * wiggle)
        lambdoid_line = self._lambda + 0.42 * (45 - z) * (z < 45) - 0.1 * np.abs(x)
        lambdoid = np.abs(y - lambdoid_line + 1.6 * wiggle)
        between = (y < self._bregma) & (y > self._lambda) & (z > 20)
        sagittal = np.where(between, np.abs(x + 1.6 * wiggle), np.float32(9))
        nearest = np.minimum(np.minimum(coronal, lambdoid), sagittal)
        # Sutures close from the inner table outwards with age.
        seam: NDArray[np.bool_] = (nearest < 0.55) & (distance > self._fusion * (3 + wiggle))
        return seam
