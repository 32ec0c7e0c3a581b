"""Tissues of random contrast, for training networks that must learn anatomy."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from medgan.phantoms.ct import subject_hounsfield
from medgan.phantoms.mr import (
    InversionRecovery,
    Relaxation,
    Sequence,
    SpinEcho,
    SpoiledGradientEcho,
    preset,
    table_relaxation,
)
from medgan.phantoms.tissues import BRAIN, N_LABELS, NO_SIGNAL, Tissue

Image = NDArray[np.float32]

_SPREAD = np.full(N_LABELS, 0.15)
_SPREAD[list(BRAIN)] = 0.07
_SPREAD[[Tissue.MARROW, Tissue.FIBROUS, Tissue.SKIN, Tissue.MUCOSA, Tissue.BLOOD]] = 0.35
"""Log-normal spread of relaxation between subjects and scanners; brain is known best."""

ANY = "any"
"""The contrast that is T1 half of the time, and else that of no sequence at all."""

DARK = (*NO_SIGNAL, Tissue.CORTICAL_BONE, Tissue.TOOTH)
"""What no sequence but an ultrashort echo time can make bright."""

_ANY_SIGNAL = (0.05, 1.2)
"""Range of a tissue's signal in such a contrast, uniform; white matter in T1 has 1."""


class TissueValues(NamedTuple):
    """One scan's tissues: MR signal and HU, each (N_LABELS,) float32 indexed by label."""

    signal: Image
    hu: Image


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


def standard_signal(contrast: str) -> Image:
    """The signal of every tissue in the usual sequence of a contrast; T1 stands for ``"any"``.

    Returns:
        (N_LABELS,) float32, relative to fully relaxed CSF.

    Raises:
        ConfigError: the contrast is unknown.
    """
    sequence = preset("t1" if contrast == ANY else contrast)
    return sequence.signal(table_relaxation()).astype(np.float32)


def random_tissue_values(rng: np.random.Generator, contrast: str) -> TissueValues:
    """MR signal and HU of every tissue in one imagined scan.

    Relaxation is jittered around the table, contrast is stretched or compressed by a power, fat is
    at times suppressed or enhanced, marrow and muscle range from dark to bright. White matter has
    signal 1 in T1, CSF in T2.

    Args:
        rng: draws everything.
        contrast: ``"t1"``, ``"t2"``, or ``"any"``: half of the time as ``"t1"``, else every tissue
            that has a signal draws it for itself, as Billot et al. do (SynthSeg,
            doi:10.1016/j.media.2023.102789); bone and air stay dark, as in every sequence.

    Raises:
        ConfigError: the contrast is unknown.
    """
    if contrast == ANY:
        usual = random_tissue_values(rng, "t1")
        if rng.random() < 0.5:
            return usual
        drawn = rng.uniform(*_ANY_SIGNAL, N_LABELS).astype(np.float32)
        drawn[list(DARK)] = usual.signal[list(DARK)]
        return usual._replace(signal=drawn)
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
