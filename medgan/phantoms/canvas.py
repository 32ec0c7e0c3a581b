"""A set of points on which anatomical parts are painted in order."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medgan.phantoms.noise import PlaneWaves
from medgan.phantoms.shapes import Shape
from medgan.phantoms.tissues import Tissue

Points = NDArray[np.float32]

_CELL_WALL = 0.35
"""Noise level below which a foam is wall, not air; about a quarter of its volume."""


@dataclass(frozen=True)
class Part:
    """A shape and the tissues of its layers.

    Attributes:
        shape: the form.
        layers: (offset_mm, tissue) from the outermost inwards: points whose signed distance is
            below ``offset_mm`` become ``tissue``.
        foam: away from the zeros of this noise the innermost layer is internal air instead.
        over_skin: may replace skin (nostrils, ear canals, mouth).
    """

    shape: Shape
    layers: tuple[tuple[float, Tissue], ...]
    foam: PlaneWaves | None = None
    over_skin: bool = False


@dataclass
class Canvas:
    """Points and their labels so far.

    Attributes:
        points: (N, 3) float32, canonical mm.
        labels: (N,) uint8, changed in place.
        free: (N,) bool: deep to the skin and outside the inner table of the skull.
        open: (N,) bool: as ``free``, and also in the skin.
    """

    points: Points
    labels: NDArray[np.uint8]
    free: NDArray[np.bool_]
    open: NDArray[np.bool_]

    def __post_init__(self) -> None:
        self._columns = np.ascontiguousarray(self.points.T)
        self._low = self._columns.min(axis=1)
        self._high = self._columns.max(axis=1)

    def paint(self, parts: Sequence[Part]) -> None:
        """Paint ``parts`` in order, later ones over earlier ones."""
        for part in parts:
            self._paint(part)

    def _paint(self, part: Part) -> None:
        margin = np.float32(max(part.layers[0][0], 0.0))
        low, high = part.shape.bounds()
        low, high = low - margin, high + margin
        if (low > self._high).any() or (high < self._low).any():
            return
        inside = (self.open if part.over_skin else self.free).copy()
        for column, first, last, least, most in zip(
            self._columns, low, high, self._low, self._high, strict=True
        ):
            if least < first:
                inside &= column >= first
            if most > last:
                inside &= column <= last
        index = np.flatnonzero(inside)
        if index.size == 0:
            return
        points = self.points[index]
        distance = part.shape.distance(points)
        for offset, tissue in part.layers:
            self.labels[index[distance < offset]] = tissue
        if part.foam is not None:
            hollow = np.flatnonzero(distance < part.layers[-1][0])
            cells = np.abs(part.foam(points[hollow])) > _CELL_WALL
            self.labels[index[hollow[cells]]] = Tissue.INTERNAL_AIR
