"""Evaluation protocols: which numbers, over which voxels, on which scale.

The same pair of images scores 30 or 36 dB depending on the peak, and 0.49 or 0.96 SSIM depending on
the background. A number is therefore only ever reported together with its protocol.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from medgan.errors import ConfigError, DataError
from medgan.metrics.intensity import (
    Array,
    Mask,
    Range,
    correlation,
    masked_ssim,
    mean_absolute_error,
    peak_signal_to_noise,
)
from medgan.metrics.mask_rules import MaskRule, common_body, reference_body, synthrad_outline
from medgan.metrics.ms_ssim import ms_ssim_synthrad2025, ms_ssim_wang2003
from medgan.metrics.slices import MASKGAN_PEAK, MASKGAN_RANGE_HU, maskgan_measures
from medgan.metrics.tissues import tissue_measures
from medgan.volumes.volume import Modality

Measure = Callable[[Array, Array, Mask], dict[str, float]]
"""(prediction, reference, mask) -> values by name; arrays (X, Y, Z) in LPS, float64, bool."""

SYNTHRAD_RANGE_HU: Range = (-1024.0, 3000.0)
"""Dynamic range of the SynthRAD metrics of both years, L = 4024 HU. Source: SynthRAD2023/metrics.

Website and documentation of 2025 speak of 4000; the code that scored the challenge uses 4024.
"""

MR_PERCENTILES: Range = (0.5, 99.5)
"""Percentiles of the reference inside the mask that become 0 and 1 in ``mr-normalised``."""


@dataclass(frozen=True)
class Protocol:
    """A definition that numbers can be compared under.

    Attributes:
        name: as in ``medgan evaluate --protocol``.
        modality: what both images must be.
        limits: the range that PSNR and SSIM clip to.
        peak: the signal in the peak signal-to-noise ratio.
        unit: of ``limits``, ``peak`` and every mean absolute error.
        averaging: what one number is averaged over.
        mask_rule: the voxels that count where no mask is given.
        measure: the numbers.
    """

    name: str
    modality: Modality
    limits: Range
    peak: float
    unit: str
    averaging: str
    mask_rule: MaskRule
    measure: Measure


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


def _with_ms_ssim(ms_ssim: Callable[[Array, Array, Mask, Range], float]) -> Measure:
    def measure(prediction: Array, reference: Array, mask: Mask) -> dict[str, float]:
        return {
            **_synthrad2023(prediction, reference, mask),
            "ms_ssim": ms_ssim(prediction, reference, mask, SYNTHRAD_RANGE_HU),
        }

    return measure


def _maskgan2024(prediction: Array, reference: Array, mask: Mask) -> dict[str, float]:
    return {
        **maskgan_measures(prediction, reference, mask),
        "correlation": correlation(prediction, reference, mask),
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


def _synthrad(name: str, measure: Measure) -> Protocol:
    width = SYNTHRAD_RANGE_HU[1] - SYNTHRAD_RANGE_HU[0]
    rule = synthrad_outline
    return Protocol(name, "CT", SYNTHRAD_RANGE_HU, width, "HU", _VOLUMES, rule, measure)


_VOLUMES = "3-D: masked voxels of one volume, then mean over volumes"
_SLICES = (
    "2-D: mae, psnr and ssim of whole axial slices of the mask's box, background included, mean "
    "over slices, then over volumes; the other measures 3-D inside the mask"
)

PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        _synthrad("synthrad2023", _synthrad2023),
        _synthrad("synthrad2025", _with_ms_ssim(ms_ssim_synthrad2025)),
        _synthrad("wang2003", _with_ms_ssim(ms_ssim_wang2003)),
        Protocol(
            "maskgan2024",
            "CT",
            MASKGAN_RANGE_HU,
            MASKGAN_PEAK,
            "HU",
            _SLICES,
            common_body,
            _maskgan2024,
        ),
        Protocol(
            "mr-normalised",
            "MR",
            (0.0, 1.0),
            1.0,
            "reference percentiles 0.5 to 99.5 inside the mask",
            _VOLUMES,
            reference_body,
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
