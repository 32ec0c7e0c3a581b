"""From the images of a phantom to a training sample in [-1, 1]."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medgan.config import PreparationConfig
from medgan.data.samples import PhantomSample
from medgan.phantoms.visit import PhantomImages
from medgan.volumes.intensity import PercentileScale, WindowScale

Image = NDArray[np.float32]

CT_NOISE_HU = 25.0
"""Largest standard deviation of the noise of a CT that is translated."""

MR_GAIN = (0.85, 1.25)
"""What the percentile of a whole scan may be, relative to that of the part in a sample."""


@dataclass(frozen=True)
class SampleScales:
    """What brings one phantom's images to [-1, 1]; its neighbours are treated alike.

    Attributes:
        window: of the CT.
        mr: of every contrast.
        noise_hu: standard deviation of the noise added to a CT that is translated.
    """

    window: WindowScale
    mr: tuple[PercentileScale, ...]
    noise_hu: float

    def mr_of(self, images: PhantomImages) -> Image:
        """The MR, (C, *S), air at -1."""
        return _scaled(images.mr, self.mr, images.mask)

    def noisy_ct_of(self, images: PhantomImages, rng: np.random.Generator) -> Image:
        """The CT as a scanner might give it, (1, *S)."""
        return _noisy(images, self.window, self.noise_hu, rng)


def scaled_sample(
    images: PhantomImages,
    preparation: PreparationConfig,
    rng: np.random.Generator,
    depth_mm: float | None,
) -> tuple[PhantomSample, SampleScales]:
    """The sample that a phantom's images make, as prepared scans are scaled.

    Args:
        images: MR and CT.
        preparation: scales of MR and CT.
        rng: draws the CT's noise, and what part of a scan cannot know of the whole scan's scale.
        depth_mm: of the images' middle below the vertex; None where that is not known.

    Returns:
        The sample without neighbours, and the scales for those.
    """
    window = WindowScale(*preparation.window_hu)
    noise_hu = rng.uniform(0.0, CT_NOISE_HU)
    noisy_ct = _noisy(images, window, noise_hu, rng)
    percentile = preparation.mr_percentile
    fitted = _fitted(images.mr, images.mask, percentile)
    mr = tuple(PercentileScale(f.high * rng.uniform(*MR_GAIN), f.percentile) for f in fitted)
    standard = _fitted(images.standard_mr, images.mask, percentile)
    sample = PhantomSample(
        mr=_scaled(images.mr, mr, images.mask),
        ct=window.forward(images.ct)[None],
        noisy_ct=noisy_ct,
        standard_mr=_scaled(images.standard_mr, standard, images.mask),
        body=images.mask[None],
        depth_mm=depth_mm,
    )
    return sample, SampleScales(window, mr, noise_hu)


def _noisy(
    images: PhantomImages, window: WindowScale, noise_hu: float, rng: np.random.Generator
) -> Image:
    noise = rng.normal(0.0, noise_hu, images.ct.shape)
    return window.forward(np.where(images.mask, images.ct + noise, images.ct))[None]


def _fitted(mr: Image, body: NDArray[np.bool_], percentile: float) -> tuple[PercentileScale, ...]:
    if not body.any():
        # the brain has about this signal, should a neighbour show some
        return (PercentileScale(1.0, percentile),) * len(mr)
    return tuple(PercentileScale.fit(channel, body, percentile) for channel in mr)


def _scaled(mr: Image, scales: tuple[PercentileScale, ...], body: NDArray[np.bool_]) -> Image:
    scaled = [scale.forward(channel) for scale, channel in zip(scales, mr, strict=True)]
    return np.where(body, np.stack(scaled), np.float32(-1.0))
