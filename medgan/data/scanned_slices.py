"""Label slices of real CT scans, for MR of random contrast to be simulated on real anatomy."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from medgan.config import Plane
from medgan.data.planes import FINE_SIZE, SLICE_AXES, tilted_plane
from medgan.phantoms.from_ct import FINE_MM, ScannedAnatomy

SLICES_PER_SCAN = 96
MIN_BODY_SHARE = 0.03
SCAN_STREAM = 7


@dataclass(frozen=True)
class ScannedSlices:
    """Tissues and HU of slices through real heads.

    Attributes:
        labels: (N, 256, 256) uint8 at 1 mm, values of ``Tissue``.
        hu: (N, 256, 256) int16 HU, -1000 outside the body.
    """

    labels: NDArray[np.uint8]
    hu: NDArray[np.int16]

    @classmethod
    def of(cls, anatomies: Sequence[ScannedAnatomy], plane: Plane = "axial") -> Self:
        """Slices at random positions and tilts, the same number of every head.

        Args:
            anatomies: real heads, see `medgan.phantoms.from_ct.anatomy_of`.
            plane: of the slices.
        """
        parts = [_slices(anatomy, seed, plane) for seed, anatomy in enumerate(anatomies)]
        return cls(
            np.concatenate([labels for labels, _ in parts]),
            np.concatenate([hu for _, hu in parts]),
        )


def _slices(
    anatomy: ScannedAnatomy, seed: int, plane: Plane
) -> tuple[NDArray[np.uint8], NDArray[np.int16]]:
    rng = np.random.default_rng([seed, SCAN_STREAM])
    shape_mm = np.array(anatomy.labels.shape) * FINE_MM
    half_mm, middle = shape_mm[SLICE_AXES[plane][2]] / 2, (shape_mm - FINE_MM) / 2
    labels: list[NDArray[np.uint8]] = []
    hu: list[NDArray[np.int16]] = []
    shape = (FINE_SIZE, FINE_SIZE)
    while len(labels) < SLICES_PER_SCAN:
        voxels = (tilted_plane(rng, (-half_mm, half_mm), plane) + middle).T / FINE_MM
        drawn = map_coordinates(anatomy.labels.array, voxels, order=0, cval=0).reshape(shape)
        if (drawn > 0).mean() >= MIN_BODY_SHARE:
            measured = map_coordinates(anatomy.ct.array, voxels, order=1, cval=-1000).reshape(shape)
            labels.append(drawn)
            hu.append(np.round(measured).astype(np.int16))
    return np.stack(labels), np.stack(hu)
