"""What is inside the cranial cavity: cerebrum, ventricles, cerebellum, brainstem and fluid."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from medgan.phantoms.canvas import Canvas, Part
from medgan.phantoms.noise import PlaneWaves
from medgan.phantoms.shapes import Box, Cone, Ellipsoid
from medgan.phantoms.tissues import Tissue

Points = NDArray[np.float32]
_FAR = np.float32(1e3)
_MIDDLE = np.array([0, -2, 2], dtype=np.float32)


class Compartments(NamedTuple):
    """Depths below the surfaces of cerebrum and cerebellum, and distances to dural folds, mm."""

    cerebrum: Points
    cerebellum: Points
    dura: Points


class Brain:
    """One subject's brain.

    Args:
        rng: draws atrophy, folding and the size of the ventricles.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._atrophy = float(np.clip(rng.gamma(2.0, 0.35), 0.15, 3.0))
        self._gap = 0.8 + 0.5 * self._atrophy
        self._sulcus = 0.3 + 0.28 * self._atrophy
        self._cortex = rng.uniform(2.3, 3.0)
        self._folding = PlaneWaves(rng, (14, 20), 30)
        self._bend = PlaneWaves(rng, (30, 70), 8, channels=3)
        self._depth = PlaneWaves(rng, (25, 60), 8, channels=3)
        self._folia_period = rng.uniform(4.0, 5.5)
        self._sylvian_tilt = rng.uniform(-0.35, -0.15)
        ventricle_size = 0.7 + 0.28 * self._atrophy + rng.uniform(0, 0.4)
        self._parts = [*_brainstem(rng), *_nuclei(rng), *_ventricles(rng, ventricle_size)]

    def paint(self, labels: NDArray[np.uint8], points: Points, distance: Points) -> None:
        """Label points inside the cavity in place.

        Args:
            labels: (N,) uint8, written everywhere.
            points: (N, 3) canonical mm, all inside the cavity.
            distance: (N,) signed mm to the cavity's wall, negative.
        """
        labels[:] = Tissue.CSF
        gap_noise, depth_noise, sheet_noise = self._depth.vectors(points).T
        space = self._compartments(points, -distance, gap_noise)
        labels[(np.abs(space.dura) < 0.5) | (distance > -0.5)] = Tissue.FIBROUS
        self._paint_cerebrum(labels, points, space.cerebrum, depth_noise)
        self._paint_cerebellum(labels, points, space.cerebellum, sheet_noise)
        inner = distance < -1.5
        Canvas(points, labels, inner, inner).paint(self._parts)
        _paint_sinuses(labels, points, -distance)

    def _compartments(self, points: Points, depth: Points, noise: Points) -> Compartments:
        x, y, z = points.T
        side = np.abs(x - noise * np.float32(0.8))
        gap = self._gap * (1 + np.float32(0.25) * noise) + np.maximum(z - 30, 0) * np.float32(0.02)
        callosum = (np.sqrt(((y - 3) / 44) ** 2 + ((z - 3) / 25) ** 2) - 1) * 26
        fissure = np.maximum(side - np.float32(0.9 + 0.5 * self._atrophy), -callosum)
        tent = -32 + 27 * np.exp(-((x / 28) ** 2)) * np.clip((y + 84) / 50, 0, 1)
        behind = 4 - np.float32(0.45) * side - y
        above_tent = np.where(behind > 0, z - tent, _FAR)
        cistern = np.where(y > -36, np.maximum(side - 12, z + 10), _FAR)
        cerebrum = np.minimum(
            np.minimum(depth - gap, fissure), np.minimum(above_tent - 1.3, cistern)
        )
        below = np.minimum(np.minimum(tent - z - 1.3, depth - gap), behind - 6)
        # The brainstem's cisterns and the vallecula keep the hemispheres off the midline.
        stem = np.hypot(x, y + 10) - np.where(y > -34, np.float32(15), np.float32(0))
        notch = np.where((y < -60) & (side < 3), side - 3, _FAR)
        tonsils = z + 60 - np.minimum(side, 12) * np.float32(0.4)
        cerebellum = np.minimum(np.minimum(below, stem - 6), np.minimum(notch, tonsils))
        falx = np.where((callosum > 8) & (z > tent) & (depth < 45) & (z > -12), side, _FAR)
        tentorium = np.where((behind > 8) & (np.hypot(x, y + 12) > 26), z - tent, _FAR)
        dura = np.where(falx < np.abs(tentorium), falx, tentorium)
        return Compartments(cerebrum, cerebellum, dura)

    def _paint_cerebrum(
        self, labels: NDArray[np.uint8], points: Points, depth: Points, noise: Points
    ) -> None:
        index = np.flatnonzero(depth > 0)
        points, depth, noise = points[index], depth[index], noise[index]
        labels[index] = Tissue.WHITE_MATTER
        near = np.flatnonzero(depth < 32)
        index, points, depth, noise = index[near], points[near], depth[near], noise[near]
        reach = np.clip(14 + 5 * noise, 6, 24)
        bend = 3 * self._bend.vectors(points)
        sheet = np.hypot(self._sulcal_distance(points + bend), np.maximum(depth - reach, 0))
        sylvian = self._sylvian_distance(points + bend)
        grey = np.minimum(np.minimum(depth, sheet), sylvian)
        labels[index[grey < self._cortex]] = Tissue.GREY_MATTER
        width = self._sulcus * np.clip((reach - depth) / reach * 1.8, 0.25, 1.3)
        fluid = ((sheet < width) & (depth < reach)) | (sylvian < 0.8 + 0.5 * self._atrophy)
        labels[index[fluid]] = Tissue.CSF

    def _sulcal_distance(self, points: Points) -> Points:
        """Distance to the nearest sulcal sheet: zero set of noise made nearly radial."""
        offset = points - _MIDDLE
        radius = np.sqrt(np.einsum("ij,ij->i", offset, offset)) + np.float32(1)
        stretch = (np.float32(62) / radius) ** np.float32(0.7)
        field = self._folding.with_gradient(offset * stretch[:, None])
        slope = np.sqrt(np.einsum("ij,ij->i", field.gradient, field.gradient))
        gap: Points = np.abs(field.value) / ((slope + np.float32(0.1)) * stretch)
        return gap

    def _sylvian_distance(self, points: Points) -> Points:
        x, y, z = points.T
        side = np.abs(x)
        plane = z + 6 - self._sylvian_tilt * (y - 20)
        floor = np.maximum(39 - side, np.maximum(y - 34, -38 - y))
        cleft = np.hypot(plane, np.maximum(floor, 0))
        insula = np.hypot(
            side - 39 - np.float32(0.004) * plane**2,
            np.maximum(np.maximum(np.abs(plane - 3) - 13, np.abs(y - 3) - 23), 0),
        )
        nearest: Points = np.minimum(cleft, insula)
        return nearest

    def _paint_cerebellum(
        self, labels: NDArray[np.uint8], points: Points, depth: Points, noise: Points
    ) -> None:
        index = np.flatnonzero(depth > 0)
        x, y, z = points[index].T
        depth, noise = depth[index], noise[index]
        fan = np.arctan2(z + 36, -(y + 24)) * 26 + np.float32(0.12) * np.abs(x) + 2.0 * noise
        wave = np.cos(fan * np.float32(2 * np.pi / self._folia_period))
        labels[index] = Tissue.GREY_MATTER
        core = depth > 10 + 2 * noise
        labels[index[core | ((wave > 0.72) & (depth > 2.5))]] = Tissue.WHITE_MATTER
        labels[index[(wave < -0.93 + 0.07 * self._atrophy) & (depth < 7)]] = Tissue.CSF


def _paint_sinuses(labels: NDArray[np.uint8], points: Points, depth: Points) -> None:
    """The superior sagittal and transverse venous sinuses, in the dura against the skull."""
    x, y, z = points.T
    sagittal = (np.abs(x) < 5.5 - depth) & (depth > 0.5) & ((z > 5) | (y < -60)) & (z > -30)
    transverse = (np.abs(z + 31) < 3.5) & (depth < 6) & (depth > 0.5) & (y < -22)
    labels[sagittal | transverse] = Tissue.BLOOD


def _brainstem(rng: np.random.Generator) -> list[Part]:
    solid = ((0.0, Tissue.WHITE_MATTER),)
    size = rng.uniform(0.93, 1.07)
    pons = Ellipsoid((0, -12, -33), (17 * size, 13 * size, 14 * size))
    return [
        Part(Cone((8, 2, 0), (5, -7, -22), 9 * size, 8 * size), solid),
        Part(Cone((-8, 2, 0), (-5, -7, -22), 9 * size, 8 * size), solid),
        Part(pons, solid),
        *(Part(Cone((side * 8, -16, -32), (side * 24, -42, -38), 7, 5), solid) for side in (1, -1)),
        Part(Cone((0, -14, -44), (0, -17, -70), 8.5 * size, 6.0), ((0.0, Tissue.CORD),)),
    ]


def _nuclei(rng: np.random.Generator) -> list[Part]:
    parts = []
    for side in (1, -1):
        size = rng.uniform(0.92, 1.08)
        grey = ((0.0, Tissue.DEEP_GREY),)
        parts += [
            Part(Ellipsoid((side * 14, 29, 7), (5 * size, 10 * size, 9 * size)), grey),
            Part(Cone((side * 15, 25, 13), (side * 19, -10, 19), 4 * size, 2.2), grey),
            Part(Ellipsoid((side * 26, 17, -1), (6 * size, 16 * size, 10 * size)), grey),
            Part(Ellipsoid((side * 10.5, 0, 3), (9 * size, 14 * size, 9 * size)), grey),
            Part(Ellipsoid((side * 24, 6, -24), (8, 8, 6)), ((0.0, Tissue.GREY_MATTER),)),
            Part(
                Cone((side * 27, 2, -22), (side * 27, -28, -4), 4.5, 4),
                ((0.0, Tissue.GREY_MATTER),),
            ),
        ]
    return parts


def _ventricles(rng: np.random.Generator, size: float) -> list[Part]:
    fluid = ((0.0, Tissue.CSF),)
    parts = []
    for side in (1, -1):
        scale = size * rng.uniform(0.85, 1.15)
        nodes = [(9, 42, 4, 2.5), (7, 30, 11, 4), (8, 8, 19, 4.2), (12, -16, 20, 4.5)]
        nodes += [(25, -33, 9, 6), (26, -56, 3, 2.5)]
        horn = [(25, -33, 9, 5), (32, -22, -12, 2.2), (31, 4, -19, 1.8)]
        for chain in (nodes, horn):
            parts += [
                Part(
                    Cone(
                        (side * a[0], a[1], a[2]),
                        (side * b[0], b[1], b[2]),
                        a[3] * scale,
                        b[3] * scale,
                    ),
                    fluid,
                )
                for a, b in pairwise(chain)
            ]
    septum = Part(Box((0, 22, 10), (0.9, 20, 9), 0.4), ((0.0, Tissue.WHITE_MATTER),))
    third = Part(Box((0, 2, -3), (1.2 + 1.0 * size, 15, 9), 1.0), fluid)
    fourth = Part(Ellipsoid((0, -28, -34), (7 * size**0.5, 5, 10)), fluid)
    return [*parts, septum, third, fourth, Part(Cone((0, -12, -8), (0, -26, -28), 1, 1.3), fluid)]
