"""Evaluation protocols: which numbers, over which voxels, on which scale.

The same pair of images scores 30 or 36 dB depending on the peak, and 0.49 or 0.96 SSIM depending on
the background. A number is therefore only ever reported together with its protocol.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects
from skimage.metrics import structural_similarity

from medgan.errors import ConfigError, DataError
from medgan.metrics.tissues import tissue_measures
from medgan.volumes.volume import Modality

Array = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]
Range = tuple[float, float]

SYNTHRAD_RANGE_HU: Range = (-1024.0, 3000.0)
"""Dynamic range of the SynthRAD2023 metrics, L = 4024 HU. Source: SynthRAD2023/metrics."""

MR_PERCENTILES: Range = (0.5, 99.5)
"""Percentiles of the reference inside the mask that become 0 and 1 in ``mr-normalised``."""

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
    # Only windows that hold a mask voxel count, so the map is made on their bounding box alone.
    box = tuple(
        slice(part.start - margin, part.stop + margin)
        for part in find_objects(inner.astype(np.uint8))[0]
    )
    low = limits[0]
    first, second = (
        np.where(mask[box], np.clip(image[box], *limits), low) - low
        for image in (reference, prediction)
    )
    _, similarity = structural_similarity(
        first, second, data_range=limits[1] - low, win_size=SSIM_WINDOW, full=True
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


def _intensity_measures(
    prediction: Array, reference: Array, mask: Mask, limits: Range
) -> dict[str, float]:
    return {
        "mae": mean_absolute_error(prediction, reference, mask),
        "psnr": peak_signal_to_noise(prediction, reference, mask, limits),
        "ssim": masked_ssim(prediction, reference, mask, limits),
        "correlation": correlation(prediction, reference, mask),
    }


def _synthrad2023(prediction: Array, reference: Array, mask: Mask) -> dict[str, float]:
    return {
        **_intensity_measures(prediction, reference, mask, SYNTHRAD_RANGE_HU),
        **tissue_measures(prediction, reference, mask),
    }


def _mr_normalised(prediction: Array, reference: Array, mask: Mask) -> dict[str, float]:
    low, high = np.percentile(reference[mask], MR_PERCENTILES)
    if high <= low:
        raise DataError(
            "the reference is constant inside the mask and cannot be normalised",
            measured=f"percentiles {MR_PERCENTILES} both {low:g}",
        )
    scaled = [(image - low) / (high - low) for image in (prediction, reference)]
    return _intensity_measures(scaled[0], scaled[1], mask, (0.0, 1.0))


@dataclass(frozen=True)
class Protocol:
    """A definition that numbers can be compared under.

    Attributes:
        name: as in ``medgan evaluate --protocol``.
        modality: what both images must be.
        limits: the range that PSNR and SSIM clip to and take their peak from.
        unit: of ``limits`` and of every mean absolute error.
        averaging: what one number is averaged over.
        measure: (prediction, reference, mask) -> values by name; arrays (X, Y, Z), float64, bool.
    """

    name: str
    modality: Modality
    limits: Range
    unit: str
    averaging: str
    measure: Callable[[Array, Array, Mask], dict[str, float]]


_AVERAGING = "3-D: masked voxels of one volume, then mean over volumes"

PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol("synthrad2023", "CT", SYNTHRAD_RANGE_HU, "HU", _AVERAGING, _synthrad2023),
        Protocol(
            "mr-normalised",
            "MR",
            (0.0, 1.0),
            "reference percentiles 0.5 to 99.5 inside the mask",
            _AVERAGING,
            _mr_normalised,
        ),
    )
}
"""Every protocol by its name."""


def protocol_named(name: str) -> Protocol:
    """The protocol of that name.

    Raises:
        ConfigError: there is none.
    """
    if name not in PROTOCOLS:
        raise ConfigError("unknown protocol", measured=name, limit=", ".join(PROTOCOLS))
    return PROTOCOLS[name]
