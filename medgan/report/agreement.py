"""Agreement of synthetic and true values, tissue by tissue, in regions of the patient."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medgan.metrics.tissues import AIR_BELOW_HU, BONE_ABOVE_HU
from medgan.volumes.masks import Mask
from medgan.volumes.volume import Volume

BLOCK_MM = 16.0
"""Edge of a region: a mean over one is hardly touched by noise, and a head has several hundred."""

LEAST_MM3 = 500.0
"""A tissue is counted in a region of which it fills at least an eighth of a 16 mm block."""

LIMITS_FACTOR = 1.96
"""Standard deviations on either side of the bias that hold 95 % of normal differences."""


@dataclass(frozen=True, eq=False)
class RegionalMeans:
    """Means over regions of one tissue in one case.

    Attributes:
        tissue: "air", "soft" or "bone"; "body" in MR.
        result: (regions,) mean of the synthetic image in each, in its unit.
        reference: (regions,) mean of the truth.
        overall: mean of the synthetic image and of the truth over all of the tissue.
    """

    tissue: str
    result: NDArray[np.float64]
    reference: NDArray[np.float64]
    overall: tuple[float, float]


@dataclass(frozen=True)
class Limits:
    """Bland and Altman's summary of differences.

    Attributes:
        bias: mean difference.
        low: lower limit of agreement; NaN for fewer than two differences.
        high: upper limit.
        regions: number of differences.
    """

    bias: float
    low: float
    high: float
    regions: int


def regional_means(result: Volume, reference: Volume, mask: Mask) -> list[RegionalMeans]:
    """Mean values of both images by tissue, in blocks of 16 mm of the voxel grid.

    Args:
        result: synthetic image.
        reference: the truth on the same grid; in CT its values decide the tissue of a voxel.
        mask: (X, Y, Z) bool; nothing outside it counts.

    Returns:
        One entry a tissue that fills half a cubic centimetre of some block.
    """
    blocks = _blocks(reference)[mask]
    values, truth = (volume.array[mask].astype(np.float64) for volume in (result, reference))
    least = LEAST_MM3 / float(np.prod(reference.spacing_mm))
    found = []
    for tissue, chosen in _tissues(truth, reference.modality).items():
        counts = np.bincount(blocks[chosen])
        kept = counts >= least
        if not kept.any():
            continue
        means = [
            np.bincount(blocks[chosen], weights=each[chosen])[kept] / counts[kept]
            for each in (values, truth)
        ]
        overall = float(values[chosen].mean()), float(truth[chosen].mean())
        found.append(RegionalMeans(tissue, means[0], means[1], overall))
    return found


def by_tissue(cases: Sequence[Sequence[RegionalMeans]]) -> dict[str, list[RegionalMeans]]:
    """The cases' regions in order of tissue, each only of the cases that have it."""
    found: dict[str, list[RegionalMeans]] = {}
    for means in cases:
        for each in means:
            found.setdefault(each.tissue, []).append(each)
    return found


def limits_of_agreement(means: Sequence[RegionalMeans]) -> Limits:
    """Bias and the limits that hold 95 % of the differences, result minus reference.

    Source: J. M. Bland, D. G. Altman, Statistical methods for assessing agreement between two
    methods of clinical measurement, Lancet 1986, doi:10.1016/S0140-6736(86)90837-8.
    """
    differences = np.concatenate([each.result - each.reference for each in means])
    bias = float(differences.mean())
    spread = float(differences.std(ddof=1)) if len(differences) > 1 else float("nan")
    return Limits(
        bias, bias - LIMITS_FACTOR * spread, bias + LIMITS_FACTOR * spread, len(differences)
    )


def _blocks(volume: Volume) -> NDArray[np.int64]:
    """(X, Y, Z) number of the block that each voxel lies in."""
    per_axis = [
        np.arange(size) * spacing // BLOCK_MM
        for size, spacing in zip(volume.shape, volume.spacing_mm, strict=True)
    ]
    x, y, z = (axis.astype(np.int64) for axis in per_axis)
    count_y, count_z = int(y[-1]) + 1, int(z[-1]) + 1
    return (x[:, None, None] * count_y + y[:, None]) * count_z + z


def _tissues(truth: NDArray[np.float64], modality: str) -> dict[str, Mask]:
    if modality != "CT":
        return {"body": np.ones(truth.shape, dtype=bool)}
    air, bone = truth < AIR_BELOW_HU, truth > BONE_ABOVE_HU
    return {"air": air, "soft": ~air & ~bone, "bone": bone}
