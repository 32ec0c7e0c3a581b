"""Structural similarity over five resolutions (MS-SSIM), as published and as SynthRAD2025 has it.

Both share window, weights, resolutions and mask; they differ in where luminance counts and in
whether the weight is applied to every voxel or to the mean of a resolution.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import uniform_filter

from medgan.errors import DataError
from medgan.metrics.intensity import (
    SSIM_WINDOW,
    Array,
    Mask,
    Range,
    above_floor,
    inner_mask,
    window_box,
)

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents from the finest resolution to the coarsest. Source: Wang et al. 2003, section 3.2."""

SMALLEST_EDGE = (SSIM_WINDOW - 1) * 2 ** (len(WEIGHTS) - 1) + 1
"""Voxels below which an axis is padded, so that the coarsest resolution holds a window: 97."""

K1, K2 = 0.01, 0.03
_SAMPLE = SSIM_WINDOW**3 / (SSIM_WINDOW**3 - 1)
"""From the mean over a window to the sample covariance."""


@dataclass(frozen=True, eq=False)
class _Level:
    """Similarity terms at the counted voxels of one resolution, each (voxels,) float64."""

    luminance: Array
    contrast_structure: Array


def ms_ssim_synthrad2025(prediction: Array, reference: Array, mask: Mask, limits: Range) -> float:
    """MS-SSIM as the code of SynthRAD2025 computes it: luminance counts at every resolution.

    At each resolution the mean over the mask of (l c s) ** weight, every factor cut off at 0; then
    the product over the resolutions. It can only be compared with other values of the same code.

    Args:
        prediction: (X, Y, Z) float64.
        reference: (X, Y, Z) float64.
        mask: (X, Y, Z) bool; axes are halved from index 0, so store images in one orientation.
        limits: range that both images are clipped to; outside the mask both are the lower limit.

    Returns:
        0 to 1, 1 for equal images.

    Raises:
        DataError: at some resolution no voxel of the mask is three voxels from every face.

    Source: SynthRAD2025/metrics.
    """
    means = [
        np.mean((level.luminance * np.maximum(level.contrast_structure, 0)) ** weight)
        for weight, level in zip(WEIGHTS, _levels(prediction, reference, mask, limits), strict=True)
    ]
    return float(np.prod(np.clip(means, 0, 1)))


def ms_ssim_wang2003(prediction: Array, reference: Array, mask: Mask, limits: Range) -> float:
    """MS-SSIM of the textbook: luminance counts at the coarsest resolution alone.

    The product over the resolutions of mean(c s) ** weight, at the coarsest mean(l c s) ** weight;
    negative means count as 0. Windows, mask and padding are those of ``ms_ssim_synthrad2025``.
    Arguments, result and errors as there.

    Source: Wang, Simoncelli and Bovik 2003, doi:10.1109/ACSSC.2003.1292216, eq. 7.
    """
    levels = list(_levels(prediction, reference, mask, limits))
    means = [np.mean(level.contrast_structure) for level in levels[:-1]]
    means.append(np.mean(levels[-1].luminance * levels[-1].contrast_structure))
    return float(np.prod(np.maximum(means, 0) ** np.array(WEIGHTS)))


def _levels(prediction: Array, reference: Array, mask: Mask, limits: Range) -> Iterator[_Level]:
    pads = [_padding(size) for size in mask.shape]
    first, second = (
        np.pad(above_floor(image, mask, limits), pads, mode="edge")
        for image in (reference, prediction)
    )
    mask = np.pad(mask, pads, mode="edge")
    for number in range(len(WEIGHTS)):
        if number:
            first, second, mask = _halved(first), _halved(second), mask[::2, ::2, ::2]
        try:
            yield _level(first, second, mask, limits[1] - limits[0])
        except DataError as error:
            raise DataError(
                "the mask is too small for MS-SSIM: nothing is left of it at a coarse resolution",
                measured=f"resolution {number + 1} of {len(WEIGHTS)}, "
                f"{' x '.join(map(str, mask.shape))} voxels",
                remedy="Use a larger mask, or a protocol without MS-SSIM",
            ) from error


def _level(first: Array, second: Array, mask: Mask, width: float) -> _Level:
    inner = inner_mask(mask)
    box = window_box(inner)
    counted = inner[box]
    x, y = first[box], second[box]

    def windowed(image: Array) -> Array:
        return uniform_filter(image, SSIM_WINDOW)[counted]

    mean_x, mean_y = windowed(x), windowed(y)
    variances = _SAMPLE * (windowed(x * x) - mean_x**2 + windowed(y * y) - mean_y**2)
    covariance = _SAMPLE * (windowed(x * y) - mean_x * mean_y)
    c1, c2 = (K1 * width) ** 2, (K2 * width) ** 2
    return _Level(
        (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1),
        (2 * covariance + c2) / (variances + c2),
    )


def _padding(size: int) -> tuple[int, int]:
    missing = max(0, SMALLEST_EDGE - size)
    return missing // 2, missing - missing // 2


def _halved(image: Array) -> Array:
    """Every second voxel of the mean over each voxel and its lower neighbours; 0 lies outside."""
    return uniform_filter(image, 2, mode="constant")[::2, ::2, ::2]
