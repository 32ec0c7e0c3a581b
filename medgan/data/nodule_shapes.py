"""Shapes of nodules: drawn by parameters, or taken from a mask."""

import math
from dataclasses import dataclass, replace
from typing import Literal, Self

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from medgan.data.samples import Mask
from medgan.errors import DataError
from medgan.io.luna16 import to_index
from medgan.volumes import Volume
from medgan.volumes.geometry import Grid, apply_affine, lps_to_ras

Density = Literal["solid", "part-solid", "ground-glass"]
DENSITIES: tuple[Density, ...] = ("solid", "part-solid", "ground-glass")

CORE = 0.55
"""Diameter of a part-solid nodule's solid part relative to the whole, where nothing is known of it:
in the middle of what the phantoms draw."""

STEP_MM = 0.5
"""Grid on which the shape of a mask is kept: finer than any voxel of LUNA16."""

MARGIN_MM = 4.0
"""The distance is known this far outside the shape."""


@dataclass(frozen=True, eq=False)
class NoduleShape:
    """A nodule's surface, free of any scan's grid.

    Attributes:
        distance_mm: (X, Y, Z) float32, distance to the surface, negative inside; cubic voxels of
            ``step_mm``, axes to the right, front and head, the shape's centroid in the middle.
        step_mm: size of a voxel.
        density: how the nodule attenuates.
        core: of a part-solid nodule, the diameter of its solid part relative to its own.
    """

    distance_mm: NDArray[np.float32]
    step_mm: float
    density: Density
    core: float = CORE

    @property
    def volume_mm3(self) -> float:
        """Volume, surface voxels counted by the share that is inside."""
        return float(_share(self.distance_mm, self.step_mm).sum() * self.step_mm**3)

    @property
    def diameter_mm(self) -> float:
        """Diameter of the sphere of the same volume, as LUNA16 gives it."""
        return (6 * self.volume_mm3 / math.pi) ** (1 / 3)

    @property
    def solid_part(self) -> Self | None:
        """The whole, its core, or nothing, as the density says; with the same centroid."""
        if self.density == "ground-glass":
            return None
        return self if self.density == "solid" else self.scaled(self.core * self.diameter_mm)

    def scaled(self, diameter_mm: float) -> Self:
        """The same shape in another size.

        Raises:
            DataError: a diameter that is not positive.
        """
        if not diameter_mm > 0:
            raise DataError("a nodule has a positive diameter", measured=diameter_mm)
        factor = diameter_mm / self.diameter_mm
        distance = (self.distance_mm * np.float32(factor)).astype(np.float32)
        return replace(self, distance_mm=distance, step_mm=self.step_mm * factor)

    def turned(self, matrix: NDArray[np.float64]) -> Self:
        """The shape turned or mirrored about its centroid.

        Args:
            matrix: (3, 3) orthogonal, acts on positions.
        """
        centre = (np.asarray(self.distance_mm.shape) - 1) / 2
        inverse = matrix.T
        turned = ndimage.affine_transform(
            self.distance_mm, inverse, centre - inverse @ centre, order=1, mode="nearest"
        )
        return replace(self, distance_mm=turned)

    def share_on(
        self, place: Grid | Volume, position_mm: tuple[float, float, float]
    ) -> NDArray[np.float32]:
        """How much of each voxel the nodule fills when its centroid lies at a position.

        Args:
            place: the voxels' grid, any orientation.
            position_mm: world coordinates, LPS; may lie off the grid.

        Returns:
            (X, Y, Z) float32 in [0, 1]: 1 inside, a ramp of one voxel (h) at the surface, which
            adds about ``(h / diameter)^2`` to the volume.
        """
        grid = Grid(place.shape, place.affine)
        share = np.zeros(grid.shape, np.float32)
        box = self._box(grid, position_mm)
        starts = [side.start for side in box]
        index = np.indices([side.stop - side.start for side in box]).T + starts
        middle = apply_affine(lps_to_ras(np.eye(4)), position_mm)
        offset = apply_affine(grid.affine, index) - middle
        known = offset / self.step_mm + (np.asarray(self.distance_mm.shape) - 1) / 2
        distance = ndimage.map_coordinates(
            self.distance_mm, known.T, order=1, mode="constant", cval=np.inf
        )
        share[box] = _share(distance, float(np.mean(grid.spacing_mm)))
        return share

    def mask_on(self, place: Grid | Volume, position_mm: tuple[float, float, float]) -> Mask:
        """The voxels more than half of which the nodule fills, (X, Y, Z) bool."""
        return self.share_on(place, position_mm) > 0.5

    def _box(self, grid: Grid, position_mm: tuple[float, float, float]) -> tuple[slice, ...]:
        """The grid's voxels that the shape's own array can reach."""
        half = np.asarray(self.distance_mm.shape) * self.step_mm / 2
        reach = np.linalg.norm(half) / np.asarray(grid.spacing_mm) + 1
        index = to_index(grid, position_mm)
        low = np.clip(np.floor(index - reach), 0, grid.shape).astype(int)
        high = np.clip(np.ceil(index + reach) + 1, 0, grid.shape).astype(int)
        return tuple(slice(a, b) for a, b in zip(low.tolist(), high.tolist(), strict=True))


def drawn_shape(
    diameter_mm: float,
    rng: np.random.Generator,
    *,
    lobulation: float = 0.15,
    spiculation: float = 0.0,
    elongation: float = 0.15,
    density: Density = "solid",
) -> NoduleShape:
    """A nodule drawn at random: an ellipsoid, its radius modulated over the directions.

    The surface in direction u lies at ``R e(u) (1 + lobulation w(u) + spiculation s(u))`` from the
    centre: e is an ellipsoid of unit volume, w a sum of long waves of unit variance, s five to
    eleven peaks of height 1 and 10 degrees half width. R follows from the volume.

    Args:
        diameter_mm: of the sphere of its volume.
        rng: draws the shape.
        lobulation: standard deviation of the waves, relative to the radius; 0 to 0.3.
        spiculation: height of the spikes, relative to the radius; 0 to 1.
        elongation: standard deviation of the logarithm of the three axes.
        density: passed on.

    Raises:
        DataError: a diameter that is not positive, or a parameter out of its range.
    """
    limits = {"lobulation": (lobulation, 0.3), "spiculation": (spiculation, 1.0)}
    for name, (value, highest) in limits.items():
        if not 0 <= value <= highest:
            raise DataError(f"{name} is out of its range", measured=value, limit=f"0 to {highest}")
    if not diameter_mm > 0:
        raise DataError("a nodule has a positive diameter", measured=diameter_mm)
    surface = _Surface.draw(rng, lobulation, spiculation, elongation)
    step = max(0.25, diameter_mm / 30)
    half = math.ceil((0.5 * diameter_mm * surface.highest + MARGIN_MM) / step)
    offset = step * np.arange(-half, half + 1, dtype=np.float32)
    places = np.stack(np.meshgrid(offset, offset, offset, indexing="ij"), -1)
    radius = np.linalg.norm(places, axis=-1)
    relative = radius / surface.at(places / np.maximum(radius, step)[..., None])
    # Of all voxels, ordered by R, as many are inside as the volume has.
    count = max(1, round(math.pi / 6 * (diameter_mm / step) ** 3))
    inside = relative <= np.partition(relative.ravel(), count - 1)[count - 1]
    return _of_mask(inside, step, density).scaled(diameter_mm)


@dataclass(frozen=True, eq=False)
class _Surface:
    """Distance of a surface from its centre by direction, for R = 1."""

    axes: NDArray[np.float32]
    waves: NDArray[np.float32]
    phases: NDArray[np.float32]
    spikes: NDArray[np.float32]
    lobulation: float
    spiculation: float

    @classmethod
    def draw(
        cls, rng: np.random.Generator, lobulation: float, spiculation: float, elongation: float
    ) -> Self:
        axes = np.exp(elongation * rng.normal(size=3))
        spikes = rng.normal(size=(rng.integers(5, 12), 3))
        return cls(
            (axes / axes.prod() ** (1 / 3)).astype(np.float32),
            rng.normal(0, 2, (6, 3)).astype(np.float32),
            rng.uniform(0, 2 * np.pi, 6).astype(np.float32),
            (spikes / np.linalg.norm(spikes, axis=1, keepdims=True)).astype(np.float32),
            lobulation,
            spiculation,
        )

    @property
    def highest(self) -> float:
        return float(self.axes.max() * (1 + 3.5 * self.lobulation + self.spiculation))

    def at(self, direction: NDArray[np.float32]) -> NDArray[np.float32]:
        """Directions (..., 3), of length 1 except in the centre, to distances (...)."""
        wave = np.cos(direction @ self.waves.T + self.phases).sum(-1) / math.sqrt(3)
        # of the nearest spike alone: a power of all of them takes most of the time
        peak = np.clip((direction @ self.spikes.T).max(-1), 0, 1) ** 48
        ellipsoid = 1 / np.maximum(np.linalg.norm(direction / self.axes, axis=-1), 1e-3)
        return ellipsoid * np.maximum(1 + self.lobulation * wave + self.spiculation * peak, 0.2)


def shape_of_mask(mask: Volume, density: Density = "solid") -> NoduleShape:
    """The largest connected piece of a mask, such as readers' consensus; it keeps its volume.

    Args:
        mask: LABEL; what is not 0 is nodule. Any orientation.
        density: passed on.

    Raises:
        DataError: an empty mask.
    """
    labels, count = ndimage.label(mask.array != 0)
    if not count:
        raise DataError("the mask of a nodule is empty")
    largest = 1 + int(np.bincount(labels.ravel())[1:].argmax())
    box = ndimage.find_objects(labels)[largest - 1]
    piece = np.pad(labels[box] == largest, 2)
    affine = mask.affine.copy()
    affine[:3, 3] = apply_affine(affine, [side.start - 2 for side in box])
    places = apply_affine(affine, np.argwhere(piece))
    centre = places.mean(axis=0)
    half = math.ceil((np.abs(places - centre).max() + max(mask.spacing_mm)) / STEP_MM)
    offset = STEP_MM * np.arange(-half, half + 1)
    wanted = np.stack(np.meshgrid(offset, offset, offset, indexing="ij"), -1) + centre
    index = apply_affine(np.linalg.inv(affine).astype(np.float64), wanted)
    # The distance is interpolated rather than the mask, so that slices do not show as steps.
    distance = ndimage.map_coordinates(
        _signed_mm(piece, mask.spacing_mm), np.moveaxis(index, -1, 0), order=1, mode="nearest"
    )
    voxels_mm3 = piece.sum() * abs(float(np.linalg.det(affine[:3, :3])))
    return _of_mask(distance < 0, STEP_MM, density).scaled((6 * voxels_mm3 / math.pi) ** (1 / 3))


def _of_mask(inside: Mask, step_mm: float, density: Density) -> NoduleShape:
    """Cropped or padded so that the centroid is the middle, to a voxel."""
    centre = np.rint(np.argwhere(inside).mean(axis=0)).astype(int)
    margin = math.ceil(MARGIN_MM / step_mm)
    half = int(np.abs(np.argwhere(inside) - centre).max()) + margin
    padded = np.pad(inside, half)
    box = tuple(slice(c, c + 2 * half + 1) for c in centre.tolist())
    distance = _signed_mm(padded[box], (step_mm,) * 3)
    return NoduleShape(distance, step_mm, density)


def _signed_mm(mask: Mask, spacing_mm: tuple[float, ...]) -> NDArray[np.float32]:
    """Distance to the faces between inside and outside, negative inside."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(mask.T).view(np.uint8))
    image.SetSpacing(spacing_mm)
    outer, inner = (
        sitk.SignedMaurerDistanceMap(part, squaredDistance=False, useImageSpacing=True)
        for part in (image, 1 - image)
    )
    both = sitk.GetArrayFromImage(outer) - sitk.GetArrayFromImage(inner)
    return np.asarray(0.5 * both.T, np.float32)


def _share(distance_mm: NDArray[np.float32], voxel_mm: float) -> NDArray[np.float32]:
    """Share of a voxel behind a plane at a distance from its centre, as a ramp of one voxel."""
    return np.clip(0.5 - distance_mm / voxel_mm, 0, 1).astype(np.float32)
