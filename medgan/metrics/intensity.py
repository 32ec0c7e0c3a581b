"""Measures of the difference between two images, voxel by voxel or window by window."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects
from skimage.metrics import structural_similarity

from medgan.errors import DataError

Array = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]
Range = tuple[float, float]

SSIM_WINDOW = 7
"""Edge of the uniform SSIM window in voxels. Source: default of scikit-image, used by SynthRAD."""


def mean_absolute_error(prediction: Array, reference: Array, mask: Mask) -> float:
    """Mean of |prediction - reference| over the mask, without any clipping, in the images' unit.

    Args:
        prediction: (X, Y, Z) float64.
        reference: (X, Y, Z) float64.
        mask: (X, Y, Z) bool, at least one voxel.
    """
    return float(np.abs(prediction[mask] - reference[mask]).mean())


def peak_signal_to_noise(prediction: Array, reference: Array, mask: Mask, limits: Range) -> float:
    """10 log10(L^2 / MSE) over the mask in dB, both images clipped to ``limits``, L their width.

    Infinite for images that are equal after clipping. Arguments as ``mean_absolute_error``.

    Source: SynthRAD2023/metrics.
    """
    difference = np.clip(prediction[mask], *limits) - np.clip(reference[mask], *limits)
    mean_square = float(np.mean(difference**2))
    if mean_square == 0:
        return float("inf")
    return float(10 * np.log10((limits[1] - limits[0]) ** 2 / mean_square))


def masked_ssim(prediction: Array, reference: Array, mask: Mask, limits: Range) -> float:
    """Mean structural similarity over the mask, the three outermost voxels of the image left out.

    Both images are clipped to ``limits`` and set to the lower limit outside the mask. The map is
    3-D with a uniform 7 x 7 x 7 window, sample covariance, K1 = 0.01, K2 = 0.03. Arguments as
    ``mean_absolute_error``.

    Raises:
        DataError: no voxel of the mask is three voxels away from every face of the image.

    Source: SynthRAD2023/metrics; Wang et al. 2004, doi:10.1109/TIP.2003.819861, eq. 13.
    """
    inner = inner_mask(mask)
    # Only windows that hold a mask voxel count, so the map is made on their bounding box alone.
    box = window_box(inner)
    first, second = (
        above_floor(image[box], mask[box], limits) for image in (reference, prediction)
    )
    _, similarity = structural_similarity(
        first, second, data_range=limits[1] - limits[0], win_size=SSIM_WINDOW, full=True
    )
    return float(similarity[inner[box]].mean())


def correlation(prediction: Array, reference: Array, mask: Mask) -> float:
    """Pearson's correlation over the mask; NaN where one of the images is constant there.

    Arguments as ``mean_absolute_error``.
    """
    first, second = prediction[mask], reference[mask]
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    return float(np.clip(np.corrcoef(first, second)[0, 1], -1, 1))


def inner_mask(mask: Mask) -> Mask:
    """The voxels of a mask around which a whole SSIM window lies inside the image.

    Args:
        mask: (X, Y, Z) bool.

    Raises:
        DataError: there is none.
    """
    margin = SSIM_WINDOW // 2
    inner = np.zeros_like(mask)
    core = (slice(margin, -margin),) * 3
    inner[core] = mask[core]
    if not inner.any():
        raise DataError(
            "SSIM has no voxel to average: the mask lies within the outer voxels of the image",
            measured=mask.shape,
            limit=f"mask voxels at least {margin} voxels from every face",
            remedy="Use a larger mask, or images of more slices",
        )
    return inner


def window_box(inner: Mask) -> tuple[slice, ...]:
    """The box of all windows around the voxels that ``inner_mask`` returned."""
    margin = SSIM_WINDOW // 2
    return tuple(
        slice(part.start - margin, part.stop + margin)
        for part in find_objects(inner.astype(np.uint8))[0]
    )


def above_floor(image: Array, mask: Mask, limits: Range) -> Array:
    """An image clipped to ``limits``, counted from the lower one, and 0 outside the mask."""
    return np.where(mask, np.clip(image, *limits) - limits[0], 0.0)
