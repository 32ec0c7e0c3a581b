"""Display windows: which values are shown darkest and brightest."""

import numpy as np

from medgan.volumes.volume import Volume

BRAIN_HU = (0.0, 80.0)
"""Centre 40, width 80 HU."""

SOFT_TISSUE_HU = (-160.0, 240.0)
"""Centre 40, width 400 HU, the usual one of the abdomen."""

BONE_HU = (-500.0, 1500.0)
"""Centre 500, width 2000 HU."""

LUNG_HU = (-1350.0, 150.0)
"""Centre -600, width 1500 HU."""

CT_WINDOWS_HU = {
    "Soft tissue": SOFT_TISSUE_HU,
    "Brain": BRAIN_HU,
    "Bone": BONE_HU,
    "Lung": LUNG_HU,
}
"""What a viewer offers, the first one shown at first."""

ERROR_HU = 500.0
"""Largest error that the colours of an error map tell apart, in HU."""

_MR_PERCENTILES = (0.5, 99.5)


def mr_window(volume: Volume) -> tuple[float, float]:
    """Where nearly all values lie: the 0.5 and 99.5 percentiles, in the volume's unit."""
    low, high = np.percentile(volume.array, _MR_PERCENTILES)
    return float(low), float(high) if high > low else float(low) + 1.0


def error_limit(reference: Volume) -> float:
    """The error shown in the strongest colour: 500 HU, or half of what an MR's window spans."""
    if reference.modality == "CT":
        return ERROR_HU
    low, high = mr_window(reference)
    return (high - low) / 2
