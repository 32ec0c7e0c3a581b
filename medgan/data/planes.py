"""Randomly tilted slices through a head."""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

FINE_MM = 1.0
FINE_SIZE = 256
MAX_TILT_DEGREES = (12.0, 6.0)
"""Largest pitch and roll of a slice against the head."""


def tilted_plane(rng: np.random.Generator, height_mm: tuple[float, float]) -> NDArray[np.float32]:
    """Points of a fine slice in random pose.

    Args:
        rng: draws height, pitch and roll.
        height_mm: range of heights about the head's centre.

    Returns:
        (256 * 256, 3) float32, RAS mm about the head's centre, 1 mm apart.
    """
    axis = (np.arange(FINE_SIZE) - (FINE_SIZE - 1) / 2) * FINE_MM
    plane = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    tilt = [rng.uniform(-limit, limit) for limit in MAX_TILT_DEGREES]
    points = np.column_stack([plane, np.zeros(len(plane))])
    points = Rotation.from_euler("xy", tilt, degrees=True).apply(points)
    points[:, 2] += rng.uniform(*height_mm)
    return points.astype(np.float32)
