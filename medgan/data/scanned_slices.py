"""Label slices of real CT scans, for MR of random contrast to be simulated on real anatomy."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from medgan.config import Plane
from medgan.data.label_slices import MIN_BODY_SHARE, LabelSlices
from medgan.data.planes import FINE_SIZE, SLICE_AXES, tilted_plane
from medgan.data.vertex import crown, depth_below
from medgan.phantoms.from_ct import FINE_MM, ScannedAnatomy

SLICES_PER_SCAN = 96
SCAN_STREAM = 7

_CROWN_STRIDE = 4


def scanned_slices(
    anatomies: Sequence[ScannedAnatomy],
    plane: Plane = "axial",
    offsets_mm: tuple[float, ...] = (0.0,),
) -> LabelSlices:
    """Tissues and HU of slices through real heads, at random positions and tilts.

    Args:
        anatomies: real heads, see `medgan.phantoms.from_ct.anatomy_of`; 96 slices are made of each.
        plane: of the slices.
        offsets_mm: where each slice and those beside it lie, see ``slab_offsets``.
    """
    parts = [_slices(anatomy, seed, plane, offsets_mm) for seed, anatomy in enumerate(anatomies)]
    return LabelSlices(
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.depth_mm for part in parts]),
        np.concatenate([part.hu for part in parts if part.hu is not None]),
    )


def _slices(
    anatomy: ScannedAnatomy, seed: int, plane: Plane, offsets_mm: tuple[float, ...]
) -> LabelSlices:
    rng = np.random.default_rng([seed, SCAN_STREAM])
    shape_mm = np.array(anatomy.labels.shape) * FINE_MM
    half_mm, middle = shape_mm[SLICE_AXES[plane][2]] / 2, (shape_mm - FINE_MM) / 2
    surface = np.empty((0, 3))
    if plane == "axial":
        surface = crown(anatomy.labels.array, _CROWN_STRIDE) * FINE_MM - middle
    shape = (len(offsets_mm), FINE_SIZE, FINE_SIZE)
    labels: list[NDArray[np.uint8]] = []
    hu: list[NDArray[np.int16]] = []
    depths: list[float | None] = []
    while len(labels) < SLICES_PER_SCAN:
        tilted = tilted_plane(rng, (-half_mm, half_mm), plane)
        points = np.concatenate([tilted.moved(away) for away in offsets_mm])
        voxels = (points + middle).T / FINE_MM
        drawn = map_coordinates(anatomy.labels.array, voxels, order=0, cval=0).reshape(shape)
        if (drawn[len(drawn) // 2] > 0).mean() >= MIN_BODY_SHARE:
            measured = map_coordinates(anatomy.ct.array, voxels, order=1, cval=-1000).reshape(shape)
            labels.append(drawn)
            hu.append(np.round(measured).astype(np.int16))
            depths.append(depth_below(surface, tilted.normal, tilted.middle))
    return LabelSlices(np.stack(labels), np.array(depths, np.float64), np.stack(hu))
