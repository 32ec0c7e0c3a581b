"""Errors of a synthetic CT by the tissue they occur in.

A mean over the head hides bone, a small part of the volume and the part that MR shows least.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]

AIR_BELOW_HU = -300.0
"""Halfway between air and fat: what is darker in the reference counts as air."""

BONE_ABOVE_HU = 150.0
"""What is brighter in the reference counts as bone; between the two limits lies soft tissue."""

HEAD_WINDOW_HU = (-1000.0, 2000.0)
"""What a head model can express; the truth is never clipped to it, only counted against it."""


def tissue_measures(prediction: Array, reference: Array, mask: Mask) -> dict[str, float]:
    """Mean absolute error by tissue, overlap of bone, and what the window cannot hold.

    Args:
        prediction: (X, Y, Z) HU, float64.
        reference: (X, Y, Z) HU, float64; its values decide the tissue of a voxel.
        mask: (X, Y, Z) bool; nothing outside it counts.

    Returns:
        ``mae_air``, ``mae_soft``, ``mae_bone`` in HU, ``bone_dice`` and ``saturated_share`` (of
        the reference, at the head window), both in [0, 1]. NaN where a tissue does not occur.
    """
    truth = reference[mask]
    error = np.abs(prediction[mask] - truth)
    air, bone = truth < AIR_BELOW_HU, truth > BONE_ABOVE_HU
    return {
        "mae_air": _mean(error[air]),
        "mae_soft": _mean(error[~air & ~bone]),
        "mae_bone": _mean(error[bone]),
        "bone_dice": bone_dice(prediction, reference, mask),
        "saturated_share": saturated_share(reference, mask),
    }


def bone_dice(
    prediction: Array, reference: Array, mask: Mask, threshold_hu: float = BONE_ABOVE_HU
) -> float:
    """Dice coefficient of what exceeds the threshold, 2|A and B| / (|A| + |B|), inside the mask.

    NaN where neither image has any bone. Arguments as ``tissue_measures``.

    Source: Dice 1945, doi:10.2307/1932409.
    """
    first, second = prediction[mask] > threshold_hu, reference[mask] > threshold_hu
    total = int(first.sum()) + int(second.sum())
    return 2 * int((first & second).sum()) / total if total else float("nan")


def saturated_share(
    array: Array, mask: Mask, window_hu: tuple[float, float] = HEAD_WINDOW_HU
) -> float:
    """Share in [0, 1] of the masked voxels that clipping to the window would change.

    Args:
        array: (X, Y, Z) HU.
        mask: (X, Y, Z) bool, at least one voxel.
        window_hu: lowest and highest value that survive.
    """
    values = array[mask]
    return float(((values < window_hu[0]) | (values > window_hu[1])).mean())


def _mean(values: Array) -> float:
    return float(values.mean()) if values.size else float("nan")
