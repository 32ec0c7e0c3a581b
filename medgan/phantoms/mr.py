"""MR images of a label map: signal equations, receive field and noise."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medgan.errors import ConfigError
from medgan.phantoms.tissues import column

Floats = NDArray[np.float64]
Contrast = Literal["t1", "t2"]


@dataclass(frozen=True)
class Relaxation:
    """Relaxation of every tissue, each (N_LABELS,) float64 indexed by label.

    Attributes:
        t1_ms: longitudinal.
        t2_ms: transverse, of a spin echo.
        t2star_ms: transverse, of a gradient echo.
        pd: proton density relative to CSF.
    """

    t1_ms: Floats
    t2_ms: Floats
    t2star_ms: Floats
    pd: Floats


def table_relaxation() -> Relaxation:
    """The relaxation of ``tissues.TISSUES``."""
    return Relaxation(column("t1_ms"), column("t2_ms"), column("t2star_ms"), column("pd"))


@dataclass(frozen=True)
class SpinEcho:
    """A spin echo with repetition and echo time.

    Source: S = PD (1 - exp(-TR/T1)) exp(-TE/T2), for TE much shorter than TR (Brown et al.,
    Magnetic Resonance Imaging, 2nd ed., ch. 8).
    """

    tr_ms: float
    te_ms: float

    def signal(self, tissue: Relaxation) -> Floats:
        """Signal of every tissue, relative to fully relaxed CSF."""
        recovered = 1 - np.exp(-self.tr_ms / tissue.t1_ms)
        strength: Floats = tissue.pd * recovered * np.exp(-self.te_ms / tissue.t2_ms)
        return strength


@dataclass(frozen=True)
class SpoiledGradientEcho:
    """A spoiled gradient echo in the steady state.

    Source: S = PD sin(a) (1 - E1) / (1 - E1 cos(a)) exp(-TE/T2*), E1 = exp(-TR/T1) (Ernst and
    Anderson, Rev Sci Instrum 1966;37:93).
    """

    tr_ms: float
    te_ms: float
    flip_deg: float

    def signal(self, tissue: Relaxation) -> Floats:
        """Signal of every tissue, relative to fully relaxed CSF and a 90 degree pulse."""
        angle = np.deg2rad(self.flip_deg)
        decay = np.exp(-self.tr_ms / tissue.t1_ms)
        steady = np.sin(angle) * (1 - decay) / (1 - np.cos(angle) * decay)
        strength: Floats = tissue.pd * steady * np.exp(-self.te_ms / tissue.t2star_ms)
        return strength


@dataclass(frozen=True)
class InversionRecovery:
    """A magnitude inversion recovery read by an ideal short train of small flip angles.

    This is the simple form of MPRAGE: the train itself is not modelled.

    Source: S = PD |1 - 2 exp(-TI/T1) / (1 + exp(-TR/T1))| exp(-TE/T2*), the adiabatic inversion
    recovery in the steady state (Deichmann et al., NeuroImage 2000;12:112 treats the full train).
    """

    tr_ms: float
    ti_ms: float
    te_ms: float

    def signal(self, tissue: Relaxation) -> Floats:
        """Signal magnitude of every tissue, relative to fully relaxed CSF."""
        inverted = 2 * np.exp(-self.ti_ms / tissue.t1_ms)
        recovered = 1 - inverted / (1 + np.exp(-self.tr_ms / tissue.t1_ms))
        strength: Floats = tissue.pd * np.abs(recovered) * np.exp(-self.te_ms / tissue.t2star_ms)
        return strength


Sequence = SpinEcho | SpoiledGradientEcho | InversionRecovery

PRESETS: dict[str, Sequence] = {
    "t1": SpoiledGradientEcho(tr_ms=18, te_ms=4, flip_deg=30),
    "t2": SpinEcho(tr_ms=4000, te_ms=95),
}
"""A usual sequence of each contrast."""


def preset(contrast: str) -> Sequence:
    """The usual sequence of a contrast.

    Raises:
        ConfigError: the contrast is unknown.
    """
    if contrast not in PRESETS:
        raise ConfigError("unknown contrast", measured=contrast, limit=list(PRESETS))
    return PRESETS[contrast]


def signal(labels: ArrayLike, sequence: Sequence) -> NDArray[np.float32]:
    """The noiseless signal of a label map.

    Args:
        labels: any shape, values of ``Tissue``.
        sequence: how it is imaged.

    Returns:
        float32 of the labels' shape, relative to fully relaxed CSF.
    """
    strength: NDArray[np.float32] = sequence.signal(table_relaxation()).astype(np.float32)[
        np.asarray(labels)
    ]
    return strength


def smooth_field(
    shape: tuple[int, ...], rng: np.random.Generator, knots: int = 4
) -> NDArray[np.float32]:
    """A smooth random field of zero mean and values in about -1..1, float32.

    Args:
        shape: of the result.
        rng: draws the values at the knots.
        knots: control points along each axis.
    """
    coarse = rng.normal(size=(knots,) * len(shape))
    field = coarse
    for axis, size in enumerate(shape):
        field = _stretched(field, axis, size)
    field -= field.mean()
    return (field / max(float(np.abs(field).max()), 1e-6)).astype(np.float32)


def _stretched(values: Floats, axis: int, size: int) -> Floats:
    """Smooth-step interpolation of ``values`` to ``size`` samples along ``axis``."""
    where = np.linspace(0, values.shape[axis] - 1, size)
    low = np.minimum(where.astype(int), values.shape[axis] - 2)
    part = where - low
    weight = part * part * (3 - 2 * part)
    form = [1] * values.ndim
    form[axis] = size
    weight = weight.reshape(form)
    below, above = np.take(values, low, axis), np.take(values, low + 1, axis)
    blended: Floats = below * (1 - weight) + above * weight
    return blended


def bias_field(
    shape: tuple[int, ...], rng: np.random.Generator, strength: float
) -> NDArray[np.float32]:
    """A smooth multiplicative receive field, float32, largest deviation ``strength`` (log)."""
    field: NDArray[np.float32] = np.exp(np.float32(strength) * smooth_field(shape, rng))
    return field


def add_rician_noise(
    image: NDArray[np.float32], rng: np.random.Generator, sigma: float
) -> NDArray[np.float32]:
    """The magnitude of a complex image with Gaussian noise in both channels.

    Args:
        image: magnitude without noise.
        rng: draws the noise.
        sigma: standard deviation of each channel, in the image's unit.

    Source: Gudbjartsson and Patz, MRM 1995;34:910.
    """
    real = rng.standard_normal(image.shape, dtype=np.float32)
    imaginary = rng.standard_normal(image.shape, dtype=np.float32)
    width = np.float32(sigma)
    magnitude: NDArray[np.float32] = np.hypot(image + width * real, width * imaginary)
    return magnitude
