"""MR and CT images of 3-D patches of a label volume."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from medgan.phantoms.ct import correlated_noise
from medgan.phantoms.mr import add_rician_noise, smooth_field
from medgan.phantoms.tissues import N_LABELS, Tissue
from medgan.phantoms.visit import (
    CT_NOISE_HU,
    HU_TEXTURE,
    SIGNAL_TEXTURE,
    Image,
    PhantomImages,
    Pose,
    Texture,
    Visit,
)

T = TypeVar("T", bound=np.generic)

SUBSAMPLES = 2
"""Points along each axis of a voxel, averaged for partial volume."""

_TEXTURE_MM = 1.6
_TEXTURE_LEVEL = 0.78
"""Detail of the texture: Gaussian that makes it and its deviation, as slices have it at 1 mm."""

_SLOW_TEXTURE_MM = 23.0
_LEAST_BLUR = 0.3
"""In voxels; with the averaging over a voxel that is as much as slices are blurred at least."""


def patch_visit(
    rng: np.random.Generator,
    contrasts: Sequence[str],
    *,
    pose: Callable[[np.random.Generator], Pose],
    shape: tuple[int, int, int],
    spacing_mm: tuple[float, float, float],
) -> Visit:
    """A random visit whose images are patches of a volume.

    Args:
        rng: draws everything.
        contrasts: of the MR: ``"t1"``, ``"t2"`` or ``"any"``.
        pose: draws where the patch lies.
        shape: (X, Y, Z) of the patch.
        spacing_mm: its voxel size.

    Raises:
        ConfigError: a contrast is unknown.
    """
    return Visit.draw(
        rng,
        contrasts,
        texture=lambda rng: _texture(shape, spacing_mm, rng),
        pose=pose,
        least_blur_mm=_LEAST_BLUR * min(spacing_mm),
    )


def render_patch(
    visit: Visit,
    labels: NDArray[np.uint8],
    rng: np.random.Generator,
    *,
    spacing_mm: tuple[float, float, float],
    hu: NDArray[np.int16] | None = None,
) -> PhantomImages:
    """Image a patch of a label volume as MR and CT.

    Args:
        visit: everything but anatomy and noise; its pose leads from the patch to ``labels``.
        labels: (X, Y, Z) uint8, values of ``Tissue``; beyond them is air.
        rng: draws the noise.
        spacing_mm: voxel size of the patch.
        hu: HU of the labels' shape as measured by a scanner; None: drawn from the tissues.
    """
    points = _SubVoxels.of(labels, visit.pose)
    texture = visit.texture.values

    def blurred(image: Image, blur_mm: float) -> Image:
        sigma = [blur_mm / step for step in spacing_mm]
        gaussian_filter(image, sigma, output=image, mode="nearest", truncate=3)
        return image

    mr, standard = [], []
    for look in visit.looks:
        image = points.mean(look.signal)
        image += look.texture * texture * points.mean(look.signal * SIGNAL_TEXTURE)
        image = blurred(np.maximum(image, 0), look.blur_mm) * look.bias
        mr.append(add_rician_noise(image, rng, look.noise))
        standard.append(blurred(points.mean(look.standard), look.standard_blur_mm))
    if hu is None:
        ct = points.mean(visit.hu) + texture * points.mean(HU_TEXTURE)
    else:
        ct = points.mean_of(hu, outside=-1000)
    ct = blurred(ct, visit.ct_blur_mm)
    mask = points.mean(_IS_HEAD) >= 0.5
    level = rng.uniform(*CT_NOISE_HU)
    ct += mask * correlated_noise(ct.shape, rng, level)
    ct = np.maximum(ct, np.float32(-1000))
    return PhantomImages(np.stack(mr), np.stack(standard), ct, level, mask)


_IS_HEAD = (np.arange(N_LABELS) != Tissue.AIR).astype(np.float32)


@dataclass(frozen=True, eq=False)
class _SubVoxels:
    """The tissue at some points of every voxel of a patch.

    Attributes:
        box: the part of the label volume that the patch needs.
        index: (X', Y', Z') int32, where in the box, made one voxel larger on all sides and flat,
            each point lies.
        labels: (X', Y', Z') uint8, the tissue there.
    """

    box: tuple[slice, ...]
    index: NDArray[np.int32]
    labels: NDArray[np.uint8]

    @classmethod
    def of(cls, volume: NDArray[np.uint8], pose: Pose) -> "_SubVoxels":
        fine = tuple(SUBSAMPLES * size for size in pose.shape)
        middle = pose.offset + pose.matrix @ ((np.array(pose.shape) - 1) / 2)
        fine_pose = Pose.about(middle, pose.matrix / SUBSAMPLES, fine)
        reach = np.abs(fine_pose.matrix) @ (np.array(fine) / 2)
        low = np.clip(np.floor(middle - reach), 0, np.array(volume.shape) - 1).astype(int)
        high = np.clip(np.ceil(middle + reach) + 1, low + 1, volume.shape).astype(int)
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        index = _nearest(fine_pose, low, tuple(high - low))
        return cls(box, index, _padded(volume[box], Tissue.AIR)[index])

    def mean(self, table: Image) -> Image:
        """What tissues have on average in every voxel, of a table (N_LABELS,)."""
        return _pooled(table[self.labels])

    def mean_of(self, volume: NDArray[np.int16], outside: int) -> Image:
        """The average of a volume on the labels' grid in every voxel."""
        return _pooled(_padded(volume[self.box], outside)[self.index].astype(np.float32))


def _nearest(pose: Pose, low: NDArray[np.int_], shape: tuple[int, ...]) -> NDArray[np.int32]:
    """Flat index of the nearest voxel of a box that begins at ``low``; around it lies one more."""
    index = np.zeros(pose.shape, np.int32)
    grid = [np.arange(size, dtype=np.float32) for size in pose.shape]
    for axis, size in enumerate(shape):
        row = pose.matrix[axis].astype(np.float32)
        # half a voxel more, as casting rounds down, and one for the margin
        start = np.float32(pose.offset[axis] - low[axis] + 1.5)
        along = (row[0] * grid[0] + start)[:, None, None] + (row[1] * grid[1])[:, None]
        where = along + row[2] * grid[2]
        np.clip(where, 0, size + 1, out=where)
        index *= size + 2
        index += where.astype(np.int32)
    return index


def _padded(values: NDArray[T], outside: int) -> NDArray[T]:
    return np.pad(values, 1, constant_values=outside).reshape(-1)


def _pooled(fine: Image) -> Image:
    """The mean over the points of every voxel."""
    for axis in range(fine.ndim):
        before = (slice(None),) * axis
        points = (slice(point, None, SUBSAMPLES) for point in range(SUBSAMPLES))
        fine = reduce(np.add, (fine[*before, point] for point in points))
    return fine * np.float32(1 / SUBSAMPLES**fine.ndim)


def _texture(
    shape: tuple[int, int, int],
    spacing_mm: tuple[float, float, float],
    rng: np.random.Generator,
) -> Texture:
    width = _TEXTURE_MM / float(np.mean(spacing_mm))
    longest = max(size * step for size, step in zip(shape, spacing_mm, strict=True))
    knots = max(2, round(longest / _SLOW_TEXTURE_MM))
    return Texture(
        correlated_noise(shape, rng, _TEXTURE_LEVEL, width), smooth_field(shape, rng, knots)
    )
