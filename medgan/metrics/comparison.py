"""Two models on the same cases: which is better, by how much, and how sure is that."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from medgan.errors import DataError
from medgan.metrics.statistics import Interval, difference_interval, wilcoxon_p

HIGHER_IS_BETTER = ("psnr", "ssim", "ms_ssim", "correlation", "bone_dice")
LOWER_IS_BETTER = ("mae", "mae_air", "mae_soft", "mae_bone")


@dataclass(frozen=True)
class Comparison:
    """One measure of two models, case by case.

    Attributes:
        cases: cases in which the measure is defined for both.
        higher_is_better: the sense of the measure.
        mean_difference: first model minus second, in the measure's unit.
        median_difference: likewise.
        interval: confidence interval of the mean difference; its ``method`` depends on ``cases``.
        wilcoxon_p: two-sided; NaN for fewer than 6 cases.
        first_better: cases in which the first model is better.
        second_better: cases in which the second is.
    """

    cases: int
    higher_is_better: bool
    mean_difference: float
    median_difference: float
    interval: Interval
    wilcoxon_p: float
    first_better: int
    second_better: int


def compare_cases(
    first: Sequence[Mapping[str, float]], second: Sequence[Mapping[str, float]]
) -> dict[str, Comparison]:
    """Compare two models on every measure that has a better and a worse.

    Args:
        first: values by measure, one mapping a case.
        second: those of the other model, the same cases in the same order.

    Returns:
        By measure. Nothing is corrected for the number of measures.

    Raises:
        DataError: the numbers of cases differ.
    """
    if len(first) != len(second):
        raise DataError(
            "two models are compared on the same cases", measured=len(first), limit=len(second)
        )
    return {
        measure: _compare(
            np.array([case.get(measure, np.nan) for case in first]),
            np.array([case.get(measure, np.nan) for case in second]),
            measure in HIGHER_IS_BETTER,
        )
        for measure in (*LOWER_IS_BETTER, *HIGHER_IS_BETTER)
        if any(measure in case for case in first) and any(measure in case for case in second)
    }


def _compare(first: np.ndarray, second: np.ndarray, higher_is_better: bool) -> Comparison:
    # Two identical images score infinitely many decibels each: equal, not undefined.
    differences = np.zeros_like(first)
    np.subtract(first, second, out=differences, where=first != second)
    differences = differences[~np.isnan(differences)]
    gains = differences if higher_is_better else -differences
    return Comparison(
        cases=differences.size,
        higher_is_better=higher_is_better,
        mean_difference=float(np.mean(differences)) if differences.size else float("nan"),
        median_difference=float(np.median(differences)) if differences.size else float("nan"),
        interval=difference_interval(differences),
        wilcoxon_p=wilcoxon_p(differences),
        first_better=int((gains > 0).sum()),
        second_better=int((gains < 0).sum()),
    )
