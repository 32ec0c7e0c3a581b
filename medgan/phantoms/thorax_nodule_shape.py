"""Shapes of nodules: round, lobulated or spiculated bodies of exactly known volume."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from medgan.phantoms.thorax_lattice import voxel_of
from medgan.volumes.geometry import Grid, apply_affine

Floats = NDArray[np.float64]

_DIRECTIONS = 20000
_FINE_MM = 0.4
_EDGE_VOXELS = 1.0


@dataclass(frozen=True, eq=False)
class NoduleShape:
    """A body seen whole from its middle: an ellipsoid with lobes and spicules on it.

    Its surface lies in direction u at ``r(u) = s e(u) (1 + sum_k h_k exp(q_k (u.v_k - 1)))``, where
    e is the ellipsoid and s makes the volume that of a ball of ``diameter_mm``.

    Attributes:
        diameter_mm: of the ball of equal volume.
        axes: (3, 3), rows: the ellipsoid's half axes relative to one another.
        directions: (K, 3) unit vectors v of lobes and spicules.
        heights: (K,) h, relative to the body's radius.
        sharpness: (K,) q: some 5 for a lobe, some 200 for a spicule.
    """

    diameter_mm: float
    axes: Floats
    directions: Floats
    heights: Floats
    sharpness: Floats

    @classmethod
    def drawn(
        cls,
        rng: np.random.Generator,
        diameter_mm: float,
        *,
        lobules: int = 0,
        spicules: int = 0,
        elongation: float = 1.25,
    ) -> "NoduleShape":
        """Draw a shape.

        Args:
            rng: draws it.
            diameter_mm: of the ball of equal volume.
            lobules: number of broad bulges.
            spicules: number of fine spikes.
            elongation: largest quotient of two half axes.
        """
        stretch = np.sqrt(elongation) ** np.concatenate([[1.0, -1.0], rng.uniform(-1, 1, 1)])
        turn = Rotation.from_rotvec(rng.normal(size=3) * 2).as_matrix()
        directions = rng.normal(size=(lobules + spicules, 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        heights = [rng.uniform(0.12, 0.40, lobules), rng.uniform(0.25, 0.9, spicules)]
        sharpness = [rng.uniform(3, 9, lobules), rng.uniform(90, 260, spicules)]
        return cls(
            float(diameter_mm),
            turn * stretch[:, None],
            directions,
            np.concatenate(heights),
            np.concatenate(sharpness),
        )

    def sized(self, diameter_mm: float) -> "NoduleShape":
        """The same form in another size."""
        return replace(self, diameter_mm=float(diameter_mm))

    @property
    def volume_mm3(self) -> float:
        """Volume of the whole body."""
        return float(np.pi / 6 * self.diameter_mm**3)

    @property
    def reach_mm(self) -> float:
        """Radius of a ball round the middle that holds the body."""
        return float(self.radius_mm(self.directions_all).max()) * 1.02

    @cached_property
    def directions_all(self) -> Floats:
        """Directions spread evenly over the sphere, lobes and spicules among them."""
        index = np.arange(_DIRECTIONS) + 0.5
        height = 1 - 2 * index / _DIRECTIONS
        turn = np.pi * (1 + np.sqrt(5)) * index
        flat = np.sqrt(1 - height**2)
        return np.stack([flat * np.cos(turn), flat * np.sin(turn), height], axis=1)

    @cached_property
    def _scale(self) -> float:
        # The volume of a body seen whole from its middle is a third of the integral of r**3.
        cube = float((self._relative(self.directions_all) ** 3).mean())
        return self.diameter_mm / 2 / cube ** (1 / 3)

    def radius_mm(self, directions: Floats) -> Floats:
        """Distance of the surface from the middle in directions (N, 3): (N,) mm."""
        return self._scale * self._relative(directions)

    def _relative(self, directions: Floats) -> Floats:
        inverse = np.linalg.inv(self.axes)
        ellipsoid = 1 / np.linalg.norm(directions @ inverse, axis=1)
        lifted = np.exp(self.sharpness * (directions @ self.directions.T - 1)) @ self.heights
        relative: Floats = ellipsoid * (1 + lifted)
        return relative


@dataclass(frozen=True, eq=False)
class Share:
    """How much of each voxel of a box a body fills.

    Attributes:
        box: slices of the grid's array.
        share: of the box's shape, float32 in 0..1.
    """

    box: tuple[slice, slice, slice]
    share: NDArray[np.float32]


def filled(shape: NoduleShape, centre_mm: Floats, grid: Grid) -> Share:
    """The share of every voxel that a body fills, from samples some 0.4 mm apart.

    Args:
        shape: the body.
        centre_mm: (3,) RAS mm of its middle.
        grid: the voxels; what lies beyond them is left out.
    """
    middle = voxel_of(grid, centre_mm)
    reach = shape.reach_mm / np.array(grid.spacing_mm) + _EDGE_VOXELS
    low = np.clip(np.floor(middle - reach), 0, grid.shape).astype(int)
    high = np.clip(np.ceil(middle + reach) + 1, 0, grid.shape).astype(int)
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    size = np.maximum(high - low, 0)
    finer = np.maximum(np.rint(np.array(grid.spacing_mm) / _FINE_MM), 1).astype(int)
    axes = [low[a] + (np.arange(size[a] * finer[a]) + 0.5) / finer[a] - 0.5 for a in range(3)]
    index = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    offset: Floats = apply_affine(grid.affine, index) - centre_mm
    far = np.linalg.norm(offset, axis=1)
    inside = np.zeros(len(offset), dtype=np.float32)
    near = np.flatnonzero(far < shape.reach_mm)
    direction = offset[near] / np.maximum(far[near], 1e-9)[:, None]
    inside[near] = far[near] < shape.radius_mm(direction)
    split = [n for a in range(3) for n in (int(size[a]), int(finer[a]))]
    share = inside.reshape(split).mean(axis=(1, 3, 5), dtype=np.float32)
    return Share((box[0], box[1], box[2]), share)
