"""Where a point of the patient lies in the average thorax."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

from medgan.phantoms.noise import PlaneWaves

Floats = NDArray[np.float32]


class ThoraxFrame:
    """One person's size, asymmetry and position on the table.

    Atlas coordinates are RAS mm from a point between the lungs at the height of the carina.

    Args:
        rng: draws them.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        size = np.clip(rng.normal(1.0, 0.03), 0.94, 1.05)
        self._scale = size * np.clip(rng.normal(1.0, 0.025, 3), 0.95, 1.05)
        self._warp = PlaneWaves(rng, (90, 220), 6, channels=3)
        self._warp_mm = np.float32(rng.uniform(1.0, 2.5))
        angles = np.clip(rng.normal(0, [2.0, 2.0, 2.5]), -5, 5)
        self._turn = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
        self.centre_mm = np.round(rng.uniform([-8, -180, -320], [8, 10, 120]), 2)

    @property
    def size(self) -> float:
        """How many mm in the patient a mm of the atlas is, on average."""
        return float(np.mean(self._scale))

    def to_atlas(self, points_mm: ArrayLike) -> Floats:
        """Atlas positions of world positions, both (N, 3) RAS mm."""
        body = ((np.asarray(points_mm) - self.centre_mm) @ self._turn).astype(np.float32)
        body += self._warp_mm * self._warp.vectors(body)
        return body / self._scale.astype(np.float32)

    def to_world(self, atlas_mm: ArrayLike) -> Floats:
        """World positions of atlas positions, both (N, 3) RAS mm, to better than 0.01 mm."""
        target = (np.asarray(atlas_mm) * self._scale).astype(np.float32)
        body = target
        for _ in range(5):
            body = target - self._warp_mm * self._warp.vectors(body)
        return (body @ self._turn.T + self.centre_mm).astype(np.float32)
