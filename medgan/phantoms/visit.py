"""One imagined visit to MR and CT: everything about its images but anatomy and noise."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from medgan.phantoms.mr import bias_field
from medgan.phantoms.randomised import random_tissue_values, standard_signal
from medgan.phantoms.tissues import N_LABELS, Tissue

Image = NDArray[np.float32]

SIGNAL_TEXTURE = np.full(N_LABELS, 0.04, dtype=np.float32)
SIGNAL_TEXTURE[[Tissue.FAT, Tissue.MUSCLE, Tissue.SKIN, Tissue.GLAND]] = 0.12
SIGNAL_TEXTURE[[Tissue.MARROW, Tissue.MUCOSA, Tissue.BLOOD]] = 0.3
"""Relative variation of signal within a tissue."""

HU_TEXTURE = np.zeros(N_LABELS, dtype=np.float32)
HU_TEXTURE[[Tissue.MARROW, Tissue.CORTICAL_BONE, Tissue.TOOTH]] = (120, 110, 150)
HU_TEXTURE[[Tissue.FAT, Tissue.MUSCLE, Tissue.SKIN, Tissue.MUCOSA]] = 8

CT_NOISE_HU = (1.0, 6.0)
"""Range of the noise that is left in what counts as the true CT."""


@dataclass(frozen=True, eq=False)
class Texture:
    """Variation within tissues, of unit order, on any grid: detail on top of slow variation."""

    fine: Image
    slow: Image

    @property
    def values(self) -> Image:
        """Both together."""
        return self.fine + self.slow


@dataclass(frozen=True, eq=False)
class Pose:
    """Where the images lie: an affine map from their indices to those of the labels.

    Attributes:
        matrix: (D, D) float64.
        offset: (D,) float64, label indices of the images' first sample.
        shape: (D,) of the images.
    """

    matrix: NDArray[np.float64]
    offset: NDArray[np.float64]
    shape: tuple[int, ...]

    @classmethod
    def about(
        cls,
        middle: NDArray[np.float64],
        matrix: NDArray[np.float64],
        shape: tuple[int, ...],
    ) -> Self:
        """The pose that brings label index ``middle`` to the middle of the images."""
        return cls(matrix, middle - matrix @ ((np.array(shape) - 1) / 2), shape)


@dataclass(frozen=True, eq=False)
class Look:
    """One MR contrast of a visit. ``S`` stands for the images' axes.

    Attributes:
        signal: (N_LABELS,) float32, what tissues show.
        standard: (N_LABELS,) float32, what they show in the usual sequence.
        texture: how far signal varies within tissues, about 0..1.
        blur_mm: standard deviation of the Gaussian that blurs the image.
        standard_blur_mm: the same of the image in the usual sequence.
        bias: (*S) float32, the receive field.
        noise: standard deviation of the receiver's noise, in the unit of ``signal``.
    """

    signal: Image
    standard: Image
    texture: float
    blur_mm: float
    standard_blur_mm: float
    bias: Image
    noise: float


@dataclass(frozen=True, eq=False)
class Visit:
    """What MR and CT of one visit have in common, whatever slice of the anatomy is looked at.

    All images share one resolution, drawn at random from sharp to that of a smoothed template, so
    that the CT holds no detail which the MR cannot show.

    Attributes:
        looks: one for every MR contrast.
        hu: (N_LABELS,) float32.
        ct_blur_mm: standard deviation of the Gaussian that blurs the CT.
        texture: of the tissues.
        pose: where the images lie.
    """

    looks: tuple[Look, ...]
    hu: Image
    ct_blur_mm: float
    texture: Texture
    pose: Pose

    @classmethod
    def draw(
        cls,
        rng: np.random.Generator,
        contrasts: Sequence[str],
        *,
        texture: Callable[[np.random.Generator], Texture],
        pose: Callable[[np.random.Generator], Pose],
        least_blur_mm: float,
    ) -> Self:
        """Imagine a visit.

        Args:
            rng: draws everything.
            contrasts: of the MR: ``"t1"``, ``"t2"`` or ``"any"``, each drawn for itself.
            texture: draws the tissues' texture.
            pose: draws where the images lie.
            least_blur_mm: what sampling asks for.

        Raises:
            ConfigError: a contrast is unknown.
        """
        values = [random_tissue_values(rng, contrast) for contrast in contrasts]
        drawn = texture(rng)
        amounts = [rng.uniform(0.3, 1.0) for _ in contrasts]
        sigma_mm = np.exp(rng.uniform(np.log(0.4), np.log(2.5)))
        place = pose(rng)

        def blur() -> float:
            return float(max(sigma_mm * rng.uniform(0.9, 1.1), least_blur_mm))

        mr_blurs, standard_blurs = [blur() for _ in contrasts], [blur() for _ in contrasts]
        ct_blur = blur()
        fields = [bias_field(place.shape, rng, rng.uniform(0, 0.4)) for _ in contrasts]
        noise = [1 / np.exp(rng.uniform(np.log(10), np.log(80))) for _ in contrasts]
        looks = map(
            Look,
            [drawn_values.signal for drawn_values in values],
            [standard_signal(contrast) for contrast in contrasts],
            amounts,
            mr_blurs,
            standard_blurs,
            fields,
            noise,
        )
        return cls(tuple(looks), values[0].hu, ct_blur, drawn, place)


@dataclass(frozen=True, eq=False)
class PhantomImages:
    """Registered MR and CT images of one anatomy. ``S`` stands for their axes.

    Attributes:
        mr: (C, *S) float32, arbitrary unit, air near 0 and the brain of the order of 1.
        standard_mr: (C, *S), the same in the usual contrasts, without texture, field or noise.
        ct: (*S) float32 HU, -1000 outside the head.
        ct_noise_hu: standard deviation of the noise in ``ct``.
        mask: (*S) bool, the head.
    """

    mr: Image
    standard_mr: Image
    ct: Image
    ct_noise_hu: float
    mask: NDArray[np.bool_]
