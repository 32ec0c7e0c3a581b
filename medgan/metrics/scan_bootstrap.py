"""How far a figure would move with other scans: the bootstrap over scans.

Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapters 13 (percentiles) and
16 (tests); the official evaluation program of LUNA16 for the unit (scans) and the indices.
"""

import math

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
"""Share of the resamples inside an interval."""


def resample_scans(n_scans: int, replicates: int, seed: int) -> NDArray[np.int64]:
    """Draw as many scans as there are, with replacement, many times.

    A resample depends on the seed and on its own number only: two detectors that are given the
    same seed are compared on the same scans.

    Returns:
        (replicates, n_scans) how often each scan was drawn.
    """
    weights = np.empty((replicates, n_scans), np.int64)
    for number in range(replicates):
        drawn = np.random.default_rng([seed, number]).integers(n_scans, size=n_scans)
        weights[number] = np.bincount(drawn, minlength=n_scans)
    return weights


def interval(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The percentile interval of `CONFIDENCE`.

    Args:
        values: (replicates, ...); NaN where a resample leaves a figure undefined, as when none of
            its scans has a nodule. Such resamples are left out.

    Returns:
        (..., 2) lower and upper bound: sorted values number floor(n p), counted from 0; NaN
        where nothing is defined.
    """
    ordered = np.sort(values, axis=0)  # NaN last
    defined = np.count_nonzero(~np.isnan(ordered), axis=0)
    tail = (1 - CONFIDENCE) / 2
    bounds = []
    for share in (tail, 1 - tail):
        index = np.floor(share * defined).astype(np.int64)
        bounds.append(
            np.take_along_axis(ordered, index[None], axis=0)[0]
            if len(ordered)
            else np.full(defined.shape, np.nan)
        )
    return np.stack(bounds, axis=-1)


def two_sided_p(differences: NDArray[np.float64]) -> float:
    """Twice the smaller share of resampled differences on one side of zero.

    The sample itself counts as one more resample on either side, so that p is never 0.

    Args:
        differences: (replicates,); NaN is left out.

    Returns:
        In (0, 1]; NaN where nothing is defined.
    """
    defined = differences[~np.isnan(differences)]
    if not len(defined):
        return math.nan
    smaller = min((defined <= 0).sum(), (defined >= 0).sum())
    return min(1.0, 2 * (int(smaller) + 1) / (len(defined) + 1))
