"""Many tapering tubes at once, drawn with the right volume even where thinner than a voxel."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from medgan.phantoms.thorax_lattice import voxel_of
from medgan.volumes.geometry import Grid, apply_affine

Floats = NDArray[np.float32]

_PIECE_VOXELS = 3.0
_CHUNK = 1 << 20


@dataclass(frozen=True, eq=False)
class Tubes:
    """Straight tubes with round ends.

    Attributes:
        start: (N, 3) float32, RAS mm.
        end: (N, 3) float32, RAS mm.
        start_radius: (N,) float32, mm.
        end_radius: (N,) float32, mm.
    """

    start: Floats
    end: Floats
    start_radius: Floats
    end_radius: Floats

    def __len__(self) -> int:
        return len(self.start)

    def __getitem__(self, index: NDArray[np.bool_] | NDArray[np.intp]) -> "Tubes":
        return Tubes(
            self.start[index], self.end[index], self.start_radius[index], self.end_radius[index]
        )

    @classmethod
    def joined(cls, *parts: "Tubes") -> Self:
        """All tubes of several sets."""
        return cls(
            *(
                np.concatenate([getattr(part, name) for part in parts])
                for name in ("start", "end", "start_radius", "end_radius")
            )
        )

    @classmethod
    def chain(cls, nodes: NDArray[np.floating], radii: NDArray[np.floating]) -> Self:
        """Tubes from node to node of a path: nodes (N, 3) mm, radii (N,) mm."""
        nodes, radii = np.asarray(nodes, np.float32), np.asarray(radii, np.float32)
        return cls(nodes[:-1], nodes[1:], radii[:-1], radii[1:])

    def scaled(self, factor: float, less_mm: float = 0.0) -> "Tubes":
        """The same paths, radii times ``factor`` minus ``less_mm``, 0.1 mm at least."""
        start, end = (
            np.maximum(radius * np.float32(factor) - np.float32(less_mm), np.float32(0.1))
            for radius in (self.start_radius, self.end_radius)
        )
        return Tubes(self.start, self.end, start, end)

    def clearance(self, point: NDArray[np.floating]) -> Floats:
        """Distance of a point, (3,) RAS mm, to the surface of every tube, (N,), negative inside."""
        axis = self.end - self.start
        offset = np.asarray(point, dtype=np.float32) - self.start
        length = np.maximum(np.einsum("ij,ij->i", axis, axis), np.float32(1e-6))
        along = np.clip(np.einsum("ij,ij->i", offset, axis) / length, 0, 1)
        offset = offset - along[:, None] * axis
        radius = self.start_radius + along * (self.end_radius - self.start_radius)
        distance: Floats = np.sqrt(np.einsum("ij,ij->i", offset, offset)) - radius
        return distance


def covered(tubes: Tubes, grid: Grid) -> Floats:
    """The share of every voxel that the tubes fill, where they overlap the largest share of one.

    The profile across a tube's axis is a cone's frustum whose integral is the tube's cross-section:
    a tube far thinner than a voxel shows as faintly as it is thin, as in a CT.

    Args:
        tubes: in RAS mm.
        grid: the voxels.

    Returns:
        (X, Y, Z) float32 in 0..1.
    """
    share = np.zeros(int(np.prod(grid.shape)), dtype=np.float32)
    edge = float(abs(np.linalg.det(grid.affine[:3, :3])) ** (1 / 3))
    pieces = _cut(_near(tubes, grid, edge), _PIECE_VOXELS * edge)
    if len(pieces):
        length = np.linalg.norm(pieces.end - pieces.start, axis=1)
        reach = np.maximum(pieces.start_radius, pieces.end_radius) + edge + length / 2
        half = np.ceil(reach / min(grid.spacing_mm)).astype(int)
        for size in np.unique(half):
            _draw(share, pieces[half == size], int(size), grid, edge)
    return share.reshape(grid.shape)


def _near(tubes: Tubes, grid: Grid, edge: float) -> Tubes:
    ends = np.stack([voxel_of(grid, tubes.start), voxel_of(grid, tubes.end)])
    margin = (np.maximum(tubes.start_radius, tubes.end_radius) + edge) / min(grid.spacing_mm)
    low, high = ends.min(axis=0) - margin[:, None], ends.max(axis=0) + margin[:, None]
    return tubes[((high >= 0) & (low <= np.array(grid.shape) - 1)).all(axis=1)]


def _cut(tubes: Tubes, longest_mm: float) -> Tubes:
    length = np.linalg.norm(tubes.end - tubes.start, axis=1)
    counts = np.maximum(np.ceil(length / longest_mm), 1).astype(int)
    which = np.repeat(np.arange(len(tubes)), counts)
    place = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
    low = (place / counts[which]).astype(np.float32)
    high = ((place + 1) / counts[which]).astype(np.float32)
    axis, swell = tubes.end - tubes.start, tubes.end_radius - tubes.start_radius
    return Tubes(
        tubes.start[which] + low[:, None] * axis[which],
        tubes.start[which] + high[:, None] * axis[which],
        tubes.start_radius[which] + low * swell[which],
        tubes.start_radius[which] + high * swell[which],
    )


def _draw(share: Floats, tubes: Tubes, half: int, grid: Grid, edge: float) -> None:
    """Draw tubes that reach at most ``half`` voxels from their middles."""
    span = np.arange(-half, half + 1)
    steps = np.stack(np.meshgrid(span, span, span, indexing="ij"), axis=-1).reshape(-1, 3)
    moves = (steps @ grid.affine[:3, :3].T).astype(np.float32)
    square = np.einsum("ij,ij->i", moves, moves)
    middles = np.rint(voxel_of(grid, (tubes.start + tubes.end) / 2)).astype(int)
    for first in range(0, len(tubes), max(1, _CHUNK // len(steps))):
        part = slice(first, first + max(1, _CHUNK // len(steps)))
        piece, middle = tubes[np.arange(len(tubes))[part]], middles[part]
        offset = (apply_affine(grid.affine, middle) - piece.start).astype(np.float32)
        axis = piece.end - piece.start
        length = np.maximum(np.einsum("ij,ij->i", axis, axis), np.float32(1e-6))[:, None]
        projected = np.einsum("ij,ij->i", offset, axis)[:, None] + axis @ moves.T
        along = np.clip(projected / length, 0, 1)
        distance = np.einsum("ij,ij->i", offset, offset)[:, None] + 2 * (offset @ moves.T) + square
        distance += along * (along * length - 2 * projected)
        distance = np.sqrt(np.maximum(distance, 0))
        radius = (
            piece.start_radius[:, None] + along * (piece.end_radius - piece.start_radius)[:, None]
        )
        which, where = np.nonzero(distance < np.maximum(radius, edge) + edge / 2)
        fill = _profile(distance[which, where], radius[which, where], np.float32(edge))
        index = middle[which] + steps[where]
        inside = ((index >= 0) & (index < grid.shape)).all(axis=1)
        flat = np.ravel_multi_index(tuple(index[inside].T), grid.shape)
        np.maximum.at(share, flat, fill[inside])


def _profile(distance: Floats, radius: Floats, edge: np.float32) -> Floats:
    """Frustum of integral pi radius**2: slopes ``edge`` wide, or a lower cone where too thin."""
    thin = radius < edge / np.sqrt(np.float32(3))
    shrunk = np.sqrt(np.maximum(radius * radius - edge * edge / 12, 0))
    frustum = np.clip(np.float32(0.5) + (shrunk - distance) / edge, 0, 1)
    cone = 3 * (radius / edge) ** 2 * np.clip(1 - distance / edge, 0, 1)
    profile: Floats = np.where(thin, cone, frustum)
    return profile
