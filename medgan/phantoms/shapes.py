"""Solid shapes given by (approximate) signed distances: negative inside, in mm."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float32]
Vector = tuple[float, float, float]


class Shape(Protocol):
    """Something with a signed distance and a box that holds it."""

    def bounds(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Lowest and highest corner of an axis-aligned box around the shape, (3,) mm each."""
        ...

    def distance(self, points: Points) -> Points:
        """Signed distance at points (N, 3), mm, negative inside."""
        ...


def _vector(values: Vector) -> NDArray[np.float32]:
    return np.asarray(values, dtype=np.float32)


@dataclass(frozen=True)
class Ellipsoid:
    """An axis-aligned ellipsoid, its distance exact to first order at the surface."""

    centre: Vector
    radii: Vector

    def bounds(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See ``Shape.bounds``."""
        centre, radii = _vector(self.centre), _vector(self.radii)
        return centre - radii, centre + radii

    def distance(self, points: Points) -> Points:
        """See ``Shape.distance``."""
        radii = _vector(self.radii)
        scaled = (points - _vector(self.centre)) / radii
        steep = scaled / radii
        level = np.sqrt(np.einsum("ij,ij->i", scaled, scaled))
        slope = np.sqrt(np.einsum("ij,ij->i", steep, steep))
        signed: Points = level * (level - 1) / np.maximum(slope, np.float32(1e-6))
        return signed


@dataclass(frozen=True)
class Cone:
    """A rod with round ends whose radius goes linearly from one end to the other."""

    start: Vector
    end: Vector
    start_radius: float
    end_radius: float

    def bounds(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See ``Shape.bounds``."""
        start, end = _vector(self.start), _vector(self.end)
        radius = np.float32(max(self.start_radius, self.end_radius))
        return np.minimum(start, end) - radius, np.maximum(start, end) + radius

    def distance(self, points: Points) -> Points:
        """See ``Shape.distance``."""
        start = _vector(self.start)
        axis = _vector(self.end) - start
        offset = points - start
        along = np.clip(offset @ axis / np.dot(axis, axis), 0, 1)
        offset -= along[:, None] * axis
        radius = np.float32(self.start_radius) + along * np.float32(
            self.end_radius - self.start_radius
        )
        signed: Points = np.sqrt(np.einsum("ij,ij->i", offset, offset)) - radius
        return signed


@dataclass(frozen=True)
class Box:
    """A box with rounded edges; its half sizes include the rounding."""

    centre: Vector
    half_sizes: Vector
    rounding: float

    def bounds(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See ``Shape.bounds``."""
        centre, half = _vector(self.centre), _vector(self.half_sizes)
        return centre - half, centre + half

    def distance(self, points: Points) -> Points:
        """See ``Shape.distance``."""
        inner = _vector(self.half_sizes) - np.float32(self.rounding)
        excess = np.abs(points - _vector(self.centre)) - inner
        outside = np.maximum(excess, 0)
        signed: Points = (
            np.sqrt(np.einsum("ij,ij->i", outside, outside))
            + np.minimum(excess.max(axis=1), 0)
            - np.float32(self.rounding)
        )
        return signed


@dataclass(frozen=True)
class Leaf:
    """An ellipsoidal disc that stands off sideways, more so towards its back, as an ear does.

    Attributes:
        centre: middle, mm.
        radii: half thickness, half depth and half height, mm.
        shear: how far it moves in x for every mm in y.
    """

    centre: Vector
    radii: Vector
    shear: float

    def bounds(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See ``Shape.bounds``."""
        centre, radii = _vector(self.centre), _vector(self.radii)
        radii[0] += abs(self.shear) * radii[1]
        return centre - radii, centre + radii

    def distance(self, points: Points) -> Points:
        """See ``Shape.distance``."""
        upright = points.copy()
        upright[:, 0] -= np.float32(self.shear) * (points[:, 1] - np.float32(self.centre[1]))
        return Ellipsoid(self.centre, self.radii).distance(upright)


@dataclass(frozen=True)
class Arch:
    """A horseshoe-shaped bar in an axial slab, open backwards: the form of a dental arch.

    Attributes:
        front: y of its middle line at x = 0, mm.
        curvature: y of the middle line falls by x**2 / curvature, mm.
        back: y where it ends, mm.
        bottom: lowest z.
        top: highest z.
        half_width: half its thickness across the middle line, mm.
    """

    front: float
    curvature: float
    back: float
    bottom: float
    top: float
    half_width: float

    def bounds(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See ``Shape.bounds``."""
        side = np.sqrt((self.front - self.back) * self.curvature) + self.half_width
        low = (-side, self.back, self.bottom)
        return _vector(low), _vector((side, self.front + self.half_width, self.top))

    def distance(self, points: Points) -> Points:
        """See ``Shape.distance``."""
        x, y, z = points.T
        slope = np.float32(2 / self.curvature) * x
        across = (y - np.float32(self.front) + x * slope / 2) / np.sqrt(1 + slope * slope)
        bar = np.abs(across) - np.float32(self.half_width)
        middle = np.float32((self.top + self.bottom) / 2)
        slab = np.abs(z - middle) - np.float32((self.top - self.bottom) / 2)
        signed: Points = np.maximum(np.maximum(bar, slab), np.float32(self.back) - y)
        return signed


def smooth_union(first: Points, second: Points, radius: float) -> Points:
    """Union of two signed distances with a fillet of the given radius, mm.

    Source: quadratic polynomial smooth minimum (I. Quilez, "smooth minimum").
    """
    overlap = np.maximum(np.float32(radius) - np.abs(first - second), 0) / np.float32(radius)
    joined: Points = np.minimum(first, second) - overlap * overlap * np.float32(radius / 4)
    return joined


def smooth_cut(first: Points, second: Points, radius: float) -> Points:
    """Intersection of two signed distances with a rounded edge of the given radius, mm."""
    return -smooth_union(-first, -second, radius)


def bump(points: Points, centre: Vector, radii: Vector) -> Points:
    """A Gaussian hill of height 1 at ``centre`` with standard deviations ``radii``, (N,)."""
    scaled = (points - _vector(centre)) / _vector(radii)
    hill: Points = np.exp(np.float32(-0.5) * np.einsum("ij,ij->i", scaled, scaled))
    return hill
