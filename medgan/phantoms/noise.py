"""Band-limited noise that can be evaluated at any point."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float32]


class Field(NamedTuple):
    """Noise and its gradient: value (N,), gradient (N, 3) per mm."""

    value: Points
    gradient: Points


class PlaneWaves:
    """A sum of plane waves of random direction and phase: a smooth random field of unit variance.

    A pure function of the generator's state at construction and of position, so that any grid,
    slice or set of points sees the same field.

    Args:
        rng: draws directions, wavelengths and phases.
        wavelength_mm: shortest and longest wavelength.
        count: number of waves; cost is proportional.
        channels: number of independent fields sharing the waves.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        wavelength_mm: tuple[float, float],
        count: int = 10,
        channels: int = 1,
    ) -> None:
        direction = rng.normal(size=(count, 3))
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        wavenumber = 2 * np.pi / rng.uniform(*wavelength_mm, size=(count, 1))
        self._waves = (direction * wavenumber).astype(np.float32)
        self._phase = rng.uniform(0, 2 * np.pi, size=count).astype(np.float32)
        weights = rng.normal(size=(count, channels))
        weights /= np.sqrt((weights**2).sum(axis=0) / 2)
        self._weights = weights.astype(np.float32)

    def __call__(self, points: Points) -> Points:
        """The field at points (N, 3) in mm: (N,) float32."""
        values: Points = np.cos(points @ self._waves.T + self._phase) @ self._weights[:, 0]
        return values

    def vectors(self, points: Points) -> Points:
        """Every channel at points (N, 3) in mm: (N, channels) float32."""
        values: Points = np.cos(points @ self._waves.T + self._phase) @ self._weights
        return values

    def with_gradient(self, points: Points) -> Field:
        """The first channel and its gradient at points (N, 3) in mm."""
        phase = points @ self._waves.T + self._phase
        weights = self._weights[:, 0]
        return Field(np.cos(phase) @ weights, -(np.sin(phase) * weights) @ self._waves)
