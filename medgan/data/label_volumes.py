"""Label volumes of heads, and where patches of them lie."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from medgan.data.cache import default_cache_dir
from medgan.data.phantom_library import LOWEST_MM, library_key, new_array, of_every_head
from medgan.data.vertex import crown, depth_below
from medgan.phantoms.anatomy import HeadAnatomy
from medgan.phantoms.from_ct import FINE_MM, ScannedAnatomy
from medgan.phantoms.visit import Pose

BOX_MM = ((-99.0, 99.0), (-124.0, 134.0), (LOWEST_MM[0], 109.0))
"""What a phantom's volume holds, about the head's centre: any head with the upper neck."""

MAX_TURN_DEGREES = (12.0, 6.0, 15.0)
"""Pitch, roll and yaw of a patch, at most."""

STRETCH = (0.88, 1.12)

_CROWN_STRIDE = 4


@dataclass(frozen=True, eq=False)
class LabelVolume:
    """Tissues of one head.

    Attributes:
        labels: (X, Y, Z) uint8, values of ``Tissue``, axes nearest to RAS; beyond them is air.
        step_mm: voxel size.
        hu: (X, Y, Z) int16 HU where a scanner has measured them, -1000 outside the body.
    """

    labels: NDArray[np.uint8]
    step_mm: float
    hu: NDArray[np.int16] | None = None

    @classmethod
    def of(cls, anatomy: ScannedAnatomy) -> "LabelVolume":
        """The volume of a real head."""
        hu = np.round(anatomy.ct.array).astype(np.int16)
        return cls(np.asarray(anatomy.labels.array), FINE_MM, hu)

    def cut_below(self, lowest: int) -> "LabelVolume":
        """Without what lies below the voxel ``lowest`` of the third axis."""
        hu = None if self.hu is None else self.hu[..., lowest:]
        return LabelVolume(self.labels[..., lowest:], self.step_mm, hu)

    def random_pose(
        self,
        rng: np.random.Generator,
        shape: tuple[int, int, int],
        spacing_mm: tuple[float, float, float],
    ) -> Pose:
        """Where a random patch lies: about any voxel of the body, turned, stretched, mirrored.

        Args:
            rng: draws everything.
            shape: (X, Y, Z) of the patch.
            spacing_mm: its voxel size.
        """
        turn = [rng.uniform(-limit, limit) for limit in MAX_TURN_DEGREES]
        voxels = np.array(spacing_mm) / rng.uniform(*STRETCH, size=3) / self.step_mm
        if rng.random() < 0.5:
            # a head is nearly its own mirror image from left to right
            voxels[0] *= -1
        matrix = Rotation.from_euler("xyz", turn, degrees=True).as_matrix() * voxels
        return Pose.about(self._somewhere(rng).astype(np.float64), matrix, shape)

    def depth_mm(self, pose: Pose, slice_mm: float) -> float | None:
        """How far a patch's middle lies below the vertex along its third axis, if that is known."""
        middle = pose.offset + pose.matrix @ ((np.array(pose.shape) - 1) / 2)
        up = np.linalg.inv(pose.matrix)[2] * slice_mm
        return depth_below(crown(self.labels, _CROWN_STRIDE), up, middle)

    def _somewhere(self, rng: np.random.Generator) -> NDArray[np.int_]:
        """A random voxel of the body."""
        while True:
            voxel = rng.integers(self.labels.shape)
            if self.labels[tuple(voxel)]:
                return voxel


def volume_library(
    seeds: range, step_mm: float, cache: Path | None = None
) -> Sequence[LabelVolume]:
    """Label volumes of phantom heads, made once and mapped from disk.

    Args:
        seeds: one head each.
        step_mm: voxel size.
        cache: folder; medgan's cache by default.
    """
    key = library_key("volumes", seeds, step_mm, BOX_MM)
    path = (cache or default_cache_dir()) / f"phantoms-{key}.npy"
    if not path.is_file():
        shape = tuple(len(axis) for axis in _axes(step_mm))
        with new_array(path, (len(seeds), *shape)) as library:
            for index, labels in enumerate(of_every_head(lambda s: _head(s, step_mm), seeds)):
                library[index] = labels
    library = np.load(path, mmap_mode="r", allow_pickle=False)
    return [LabelVolume(labels, step_mm) for labels in library]


def _axes(step_mm: float) -> list[NDArray[np.float32]]:
    return [np.arange(low, high, step_mm, dtype=np.float32) for low, high in BOX_MM]


def _head(seed: int, step_mm: float) -> NDArray[np.uint8]:
    head = HeadAnatomy(seed)
    x, y, z = _axes(step_mm)
    labels = np.empty((len(x), len(y), len(z)), np.uint8)
    for index, sagittal in enumerate(x):
        grid = np.stack(np.meshgrid(sagittal, y, z, indexing="ij"), axis=-1)
        labels[index] = head.labels(grid.reshape(-1, 3)).reshape(labels.shape[1:])
    return labels
