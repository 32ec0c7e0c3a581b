"""The planes slices lie in, and randomly tilted slices through a head."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from medgan.config import Plane

SLICE_AXES: dict[Plane, tuple[int, int, int]] = {
    "axial": (0, 1, 2),
    "sagittal": (2, 1, 0),
    "coronal": (0, 2, 1),
}
"""Volume axis (0: X, 1: Y, 2: Z) of a slice's rows, columns and normal.

Each order is its own inverse, and brings every plane of a head into a frame of one shape: the
anterior-posterior axis, the longest, lies along the columns wherever it is in the plane.
"""

FINE_MM = 1.0
FINE_SIZE = 256
MAX_TILT_DEGREES = (12.0, 6.0)
"""Largest tilts of a slice about its rows and its columns; pitch and roll if it is axial."""


@dataclass(frozen=True, eq=False)
class TiltedPlane:
    """A fine slice in some pose.

    Attributes:
        points: (256 * 256, 3) float32, RAS mm about the head's centre, 1 mm apart; rows and
            columns run along the axes of ``SLICE_AXES``.
        middle: (3,) float64, RAS mm.
        normal: (3,) float64 of length 1, towards where its coordinate grows.
    """

    points: NDArray[np.float32]
    middle: NDArray[np.float64]
    normal: NDArray[np.float64]

    def moved(self, away_mm: float) -> NDArray[np.float32]:
        """The points of a slice parallel to it, so far along the normal."""
        return self.points + (away_mm * self.normal).astype(np.float32)


def tilted_plane(
    rng: np.random.Generator, offset_mm: tuple[float, float], plane: Plane = "axial"
) -> TiltedPlane:
    """A fine slice in random pose.

    Args:
        rng: draws offset and tilts.
        offset_mm: range of positions along the normal about the head's centre.
        plane: which way the slice lies, but for the tilt.
    """
    axis = (np.arange(FINE_SIZE) - (FINE_SIZE - 1) / 2) * FINE_MM
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    tilt = [rng.uniform(-limit, limit) for limit in MAX_TILT_DEGREES]
    turn = Rotation.from_euler("xy", tilt, degrees=True)
    points = turn.apply(np.column_stack([grid, np.zeros(len(grid))]))
    offset = rng.uniform(*offset_mm)
    points[:, 2] += offset
    order = list(SLICE_AXES[plane])
    return TiltedPlane(
        points[:, order].astype(np.float32),
        np.array([0.0, 0.0, offset])[order],
        turn.apply([0.0, 0.0, 1.0])[order],
    )


def slab_offsets(neighbours: int, distance_mm: float) -> tuple[float, ...]:
    """Where a slice and those beside it lie along the normal, lowest first, mm from the slice."""
    half = neighbours // 2
    return tuple(distance_mm * step for step in range(-half, half + 1))
