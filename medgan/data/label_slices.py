"""Label slices of phantom heads, each with the slices beside it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medgan.config import Plane
from medgan.data.cache import default_cache_dir
from medgan.data.phantom_library import LOWEST_MM, library_key, new_array, of_every_head
from medgan.data.planes import FINE_MM, FINE_SIZE, MAX_TILT_DEGREES, TiltedPlane, tilted_plane
from medgan.data.vertex import crown, depth_below
from medgan.io.files import writing
from medgan.phantoms.anatomy import HeadAnatomy

OFFSET_MM: dict[Plane, tuple[float, float]] = {
    "axial": (-105.0, 100.0),  # from the upper neck to above the vertex
    "sagittal": (-75.0, 75.0),
    "coronal": (-95.0, 95.0),
}
"""Range of slice positions along the normal about the head's centre."""

MIN_BODY_SHARE = 0.03
PHANTOM_STREAM = 5

_UPPER_HEAD_MM = ((-100.0, 100.0), (-125.0, 135.0), (20.0, 112.0))
"""Box that holds the upper surface of every head, about its centre."""

_STEPS_MM = (4.0, 4.0, 1.0)
"""How finely that surface is looked at."""


@dataclass(frozen=True, eq=False)
class LabelSlices:
    """Tissues of slices through heads, each with the slices beside it.

    Attributes:
        labels: (N, L, 256, 256) uint8 at 1 mm, values of ``Tissue``; the slice itself is in the
            middle of L, the lowest is the first.
        depth_mm: (N,) float64, of its middle below the vertex; NaN where that is not known.
        hu: (N, L, 256, 256) int16 HU where a scanner has measured them, -1000 outside the body.
    """

    labels: NDArray[np.uint8]
    depth_mm: NDArray[np.float64]
    hu: NDArray[np.int16] | None = None


def label_library(
    seeds: range,
    slices: int,
    plane: Plane = "axial",
    offsets_mm: tuple[float, ...] = (0.0,),
    cache: Path | None = None,
) -> LabelSlices:
    """Label slices of phantom heads at random positions and tilts, made once.

    Args:
        seeds: one head each.
        slices: per head.
        plane: of the slices.
        offsets_mm: where each slice and those beside it lie, see ``slab_offsets``.
        cache: folder; medgan's cache by default.

    Returns:
        Read-only; the labels are mapped from disk.
    """
    geometry = (FINE_MM, FINE_SIZE, plane, OFFSET_MM[plane], LOWEST_MM, MAX_TILT_DEGREES)
    key = library_key(seeds, slices, geometry, *(offsets_mm if len(offsets_mm) > 1 else ()))
    folder = cache or default_cache_dir()
    path, depth_path = folder / f"phantoms-{key}.npy", folder / f"phantoms-{key}-depth.npy"
    if not (path.is_file() and depth_path.is_file()):
        shape = (len(seeds), slices * len(offsets_mm), FINE_SIZE, FINE_SIZE)
        depths = []
        with new_array(path, shape) as library:
            heads = of_every_head(lambda s: _head_slices(s, slices, plane, offsets_mm), seeds)
            for index, head in enumerate(heads):
                library[index] = head.labels.reshape(shape[1:])
                depths.append(head.depth_mm)
        with writing(depth_path) as temporary:
            np.save(temporary, np.concatenate(depths), allow_pickle=False)
    labels = np.load(path, mmap_mode="r", allow_pickle=False)
    return LabelSlices(
        labels.reshape(-1, len(offsets_mm), FINE_SIZE, FINE_SIZE),
        np.load(depth_path, mmap_mode="r", allow_pickle=False),
    )


def _head_slices(seed: int, count: int, plane: Plane, offsets_mm: tuple[float, ...]) -> LabelSlices:
    head = HeadAnatomy(seed)
    rng = np.random.default_rng([seed, PHANTOM_STREAM])
    surface = crown_of(head) if plane == "axial" else np.empty((0, 3))
    made: list[NDArray[np.uint8]] = []
    depths: list[float | None] = []
    while len(made) < count:
        tilted = tilted_plane(rng, OFFSET_MM[plane], plane)
        lowest = -np.inf if plane == "axial" else rng.uniform(*LOWEST_MM)
        middle = _labels(head, tilted, 0.0, lowest)
        if (middle > 0).mean() >= MIN_BODY_SHARE:
            slab = [_labels(head, tilted, away, lowest) if away else middle for away in offsets_mm]
            made.append(np.stack(slab))
            depths.append(depth_below(surface, tilted.normal, tilted.middle))
    return LabelSlices(np.stack(made), np.array(depths, np.float64))


def _labels(
    head: HeadAnatomy, tilted: TiltedPlane, away_mm: float, lowest_mm: float
) -> NDArray[np.uint8]:
    points = tilted.moved(away_mm)
    labels = head.labels(points)
    labels[points[:, 2] < lowest_mm] = 0
    return labels.reshape(FINE_SIZE, FINE_SIZE)


def crown_of(head: HeadAnatomy) -> NDArray[np.float64]:
    """Points all over the upper surface of a phantom head, (N, 3) RAS mm about its centre."""
    axes = [
        np.arange(*limits, step) for limits, step in zip(_UPPER_HEAD_MM, _STEPS_MM, strict=True)
    ]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    labels = head.labels(grid.reshape(-1, 3)).reshape(grid.shape[:3])
    return crown(labels) * _STEPS_MM + [low for low, _ in _UPPER_HEAD_MM]
