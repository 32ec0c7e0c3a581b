"""The planes slices lie in, and randomly tilted slices through a head."""

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


def tilted_plane(
    rng: np.random.Generator, offset_mm: tuple[float, float], plane: Plane = "axial"
) -> NDArray[np.float32]:
    """Points of a fine slice in random pose.

    Args:
        rng: draws offset and tilts.
        offset_mm: range of positions along the normal about the head's centre.
        plane: which way the slice lies, but for the tilt.

    Returns:
        (256 * 256, 3) float32, RAS mm about the head's centre, 1 mm apart; rows and columns run
        along the axes of ``SLICE_AXES``.
    """
    axis = (np.arange(FINE_SIZE) - (FINE_SIZE - 1) / 2) * FINE_MM
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    tilt = [rng.uniform(-limit, limit) for limit in MAX_TILT_DEGREES]
    points = np.column_stack([grid, np.zeros(len(grid))])
    points = Rotation.from_euler("xy", tilt, degrees=True).apply(points)
    points[:, 2] += rng.uniform(*offset_mm)
    return points[:, SLICE_AXES[plane]].astype(np.float32)
