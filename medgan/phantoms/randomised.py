"""Phantom slices of random contrast, for training networks that must learn anatomy."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform, gaussian_filter

from medgan.phantoms.ct import correlated_noise, subject_hounsfield
from medgan.phantoms.mr import (
    InversionRecovery,
    Relaxation,
    Sequence,
    SpinEcho,
    SpoiledGradientEcho,
    add_rician_noise,
    bias_field,
    preset,
    signal,
    smooth_field,
    table_relaxation,
)
from medgan.phantoms.tissues import BRAIN, N_LABELS, NO_SIGNAL, Tissue

Image = NDArray[np.float32]

_SPREAD = np.full(N_LABELS, 0.15)
_SPREAD[list(BRAIN)] = 0.07
_SPREAD[[Tissue.MARROW, Tissue.FIBROUS, Tissue.SKIN, Tissue.MUCOSA, Tissue.BLOOD]] = 0.35
"""Log-normal spread of relaxation between subjects and scanners; brain is known best."""

_TEXTURE = np.full(N_LABELS, 0.04, dtype=np.float32)
_TEXTURE[[Tissue.FAT, Tissue.MUSCLE, Tissue.SKIN, Tissue.GLAND]] = 0.12
_TEXTURE[[Tissue.MARROW, Tissue.MUCOSA, Tissue.BLOOD]] = 0.3
"""Relative variation of signal within a tissue."""

_TEXTURE_HU = np.zeros(N_LABELS, dtype=np.float32)
_TEXTURE_HU[[Tissue.MARROW, Tissue.CORTICAL_BONE, Tissue.TOOTH]] = (120, 110, 150)
_TEXTURE_HU[[Tissue.FAT, Tissue.MUSCLE, Tissue.SKIN, Tissue.MUCOSA]] = 8


class TissueValues(NamedTuple):
    """One scan's tissues: MR signal and HU, each (N_LABELS,) float32 indexed by label."""

    signal: Image
    hu: Image


@dataclass(frozen=True)
class PhantomSlice:
    """Registered MR and CT images of one slice.

    Attributes:
        mr: (H, W) float32, arbitrary unit, air near 0 and the brain of the order of 1.
        standard_mr: the same in the usual contrast of the table, without texture, field or noise.
        ct: (H, W) float32 HU, -1000 outside the head.
        labels: (H, W) uint8, tissue at each pixel's centre.
        mask: (H, W) bool, the head.
    """

    mr: Image
    standard_mr: Image
    ct: Image
    labels: NDArray[np.uint8]
    mask: NDArray[np.bool_]


def random_sequence(rng: np.random.Generator, contrast: str) -> Sequence:
    """A sequence of the given contrast with parameters drawn as hospitals vary them.

    Args:
        rng: draws kind and parameters.
        contrast: ``"t1"`` or ``"t2"``.

    Raises:
        ConfigError: the contrast is unknown.
    """
    preset(contrast)
    if contrast == "t2":
        return SpinEcho(tr_ms=rng.uniform(2500, 6000), te_ms=rng.uniform(70, 130))
    kind = rng.integers(3)
    if kind == 0:
        return SpinEcho(tr_ms=rng.uniform(350, 700), te_ms=rng.uniform(8, 20))
    if kind == 1:
        return SpoiledGradientEcho(
            tr_ms=rng.uniform(7, 30), te_ms=rng.uniform(2, 8), flip_deg=rng.uniform(12, 40)
        )
    return InversionRecovery(
        tr_ms=rng.uniform(1600, 2600), ti_ms=rng.uniform(750, 1100), te_ms=rng.uniform(2, 5)
    )


def random_tissue_values(rng: np.random.Generator, contrast: str) -> TissueValues:
    """MR signal and HU of every tissue in one imagined scan.

    Relaxation is jittered around the table, contrast is stretched or compressed by a power, fat is
    at times suppressed or enhanced, marrow and muscle range from dark to bright. White matter has
    signal 1 in T1, CSF in T2.

    Args:
        rng: draws everything.
        contrast: ``"t1"`` or ``"t2"``.

    Raises:
        ConfigError: the contrast is unknown.
    """
    table = table_relaxation()

    def jittered(values: NDArray[np.float64], factor: float = 1.0) -> NDArray[np.float64]:
        return values * np.exp(factor * _SPREAD * np.clip(rng.normal(size=N_LABELS), -2, 2))

    tissue = Relaxation(
        jittered(table.t1_ms),
        jittered(table.t2_ms),
        jittered(table.t2star_ms),
        jittered(table.pd, 0.5),
    )
    values = random_sequence(rng, contrast).signal(tissue)
    values /= values[Tissue.WHITE_MATTER] if contrast == "t1" else values[Tissue.CSF]
    values **= rng.uniform(0.8, 1.25)
    fat = rng.uniform(0.2, 0.8) if rng.random() < 0.25 else np.exp(rng.normal(0, 0.2))
    values[Tissue.FAT] *= fat
    values[Tissue.MARROW] *= fat * rng.uniform(0.35, 1.2)
    values[Tissue.BLOOD] *= rng.uniform(0.2, 1.3)
    values[Tissue.SKIN] *= rng.uniform(0.7, 1.4)
    values[list(NO_SIGNAL)] = 0
    return TissueValues(values.astype(np.float32), subject_hounsfield(rng))


def render_slice(
    labels_fine: NDArray[np.uint8],
    rng: np.random.Generator,
    *,
    pixel_mm: float,
    out_pixel_mm: float,
    out_shape: tuple[int, int],
    contrast: str = "t1",
    hu_fine: NDArray[np.int16] | None = None,
) -> PhantomSlice:
    """Image a fine label slice as MR and CT on a coarser grid, in a random pose.

    Both images share one resolution, drawn at random from sharp to that of a smoothed template,
    so that the CT holds no detail which the MR cannot show. Everything follows from ``rng``.

    Args:
        labels_fine: (H, W) uint8, values of ``Tissue``.
        rng: draws contrast, texture, blur, pose, field and noise.
        pixel_mm: pixel size of ``labels_fine``.
        out_pixel_mm: pixel size of the images.
        out_shape: (H, W) of the images; its middle is near the middle of ``labels_fine``.
        contrast: ``"t1"`` or ``"t2"``.
        hu_fine: (H, W) int16 HU as measured by a scanner; None: drawn from the tissues.

    Raises:
        ConfigError: the contrast is unknown.
    """
    values = random_tissue_values(rng, contrast)
    texture = _texture(labels_fine.shape, rng)
    mr = values.signal[labels_fine]
    mr *= np.maximum(1 + rng.uniform(0.3, 1.0) * _TEXTURE[labels_fine] * texture, 0)
    if hu_fine is None:
        ct = values.hu[labels_fine] + _TEXTURE_HU[labels_fine] * texture
    else:
        ct = hu_fine.astype(np.float32)
    sigma_mm = np.exp(rng.uniform(np.log(0.4), np.log(2.5)))
    least_mm = 0.4 * np.sqrt(max(out_pixel_mm**2 - pixel_mm**2, 0.0))
    pose = _random_pose(labels_fine.shape, rng, out_pixel_mm / pixel_mm, out_shape)
    standard = signal(labels_fine, preset(contrast))
    for image in (mr, standard, ct):
        own_mm = max(sigma_mm * rng.uniform(0.9, 1.1), least_mm)
        gaussian_filter(image, own_mm / pixel_mm, output=image, mode="nearest", truncate=3)
    mr, standard = pose.apply(mr, 0.0), pose.apply(standard, 0.0)
    ct = pose.apply(ct, -1000.0)
    labels = pose.pick(labels_fine)
    mr *= bias_field(out_shape, rng, rng.uniform(0, 0.4))
    mr = add_rician_noise(mr, rng, 1 / np.exp(rng.uniform(np.log(10), np.log(80))))
    mask = labels != Tissue.AIR
    ct += mask * correlated_noise(out_shape, rng, rng.uniform(1, 6))
    return PhantomSlice(mr, standard, np.maximum(ct, np.float32(-1000)), labels, mask)


def _texture(shape: tuple[int, ...], rng: np.random.Generator) -> Image:
    """Noise of unit order with detail of a few pixels on top of slow variation."""
    coarse = rng.standard_normal((shape[0] // 2 + 1, shape[1] // 2 + 1), dtype=np.float32)
    coarse = gaussian_filter(coarse, 0.8, mode="wrap") * np.float32(2.2)
    fine = np.repeat(np.repeat(coarse, 2, axis=0), 2, axis=1)[: shape[0], : shape[1]]
    return fine + smooth_field(shape, rng, knots=12)


@dataclass(frozen=True)
class _Pose:
    """An affine map from output pixels to input pixels."""

    matrix: NDArray[np.float64]
    offset: NDArray[np.float64]
    shape: tuple[int, int]

    def apply(self, image: Image, outside: float) -> Image:
        moved: Image = affine_transform(
            image, self.matrix, self.offset, self.shape, order=1, cval=outside, prefilter=False
        )
        return moved

    def pick(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        picked: NDArray[np.uint8] = affine_transform(
            labels, self.matrix, self.offset, self.shape, order=0, cval=0, prefilter=False
        )
        return picked


def _random_pose(
    shape: tuple[int, ...], rng: np.random.Generator, ratio: float, out_shape: tuple[int, int]
) -> _Pose:
    angle = np.deg2rad(rng.uniform(-15, 15))
    scale = ratio / rng.uniform(0.88, 1.12, size=2)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn * scale
    shift = rng.uniform(-0.03, 0.03, size=2) * np.array(shape)
    middle_in, middle_out = (np.array(shape) - 1) / 2, (np.array(out_shape) - 1) / 2
    return _Pose(matrix, middle_in + shift - matrix @ middle_out, out_shape)
