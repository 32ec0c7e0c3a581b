"""Intervals that hold the truth as often as they say, and tests that agree with enumeration."""

import math
from itertools import product

import numpy as np
import pytest

from medgan.errors import DataError
from medgan.metrics.comparison import compare_cases
from medgan.metrics.statistics import MIN_CASES, mean_interval, wilcoxon_p


@pytest.mark.parametrize("size", [6, 15])
@pytest.mark.parametrize("kind", ["normal", "skewed"])
def test_intervals_hold_the_true_mean_about_95_times_in_100(size, kind):
    rng = np.random.default_rng(size)
    hits = 0
    for repetition in range(400):
        values = rng.normal(size=size) if kind == "normal" else rng.gamma(2, size=size) - 2
        interval = mean_interval(values, resamples=1000, seed=repetition)
        hits += interval.low <= 0 <= interval.high
    # Four standard errors of a share of 400; the percentile bootstrap (0.83 to 0.86 at 6) fails.
    assert 0.90 < hits / 400 < 0.98


def test_an_interval_equals_a_naive_studentised_bootstrap():
    values = np.random.default_rng(1).normal(40, 9, 12)
    draws = np.random.default_rng(5).integers(0, 12, (500, 12))
    error = np.std(values, ddof=1) / math.sqrt(12)
    pivots = []
    for draw in draws:
        sample = [values[index] for index in draw]
        scale = math.sqrt(sum((v - np.mean(sample)) ** 2 for v in sample) / 11) / math.sqrt(12)
        pivots.append((np.mean(sample) - values.mean()) / scale)
    interval = mean_interval(values, resamples=500, seed=5, confidence=0.9)
    assert interval.low == pytest.approx(values.mean() - np.quantile(pivots, 0.95) * error)
    assert interval.high == pytest.approx(values.mean() - np.quantile(pivots, 0.05) * error)
    assert interval == mean_interval(values, resamples=500, seed=5, confidence=0.9)


def test_intervals_move_and_stretch_with_the_unit():
    values = np.random.default_rng(2).gamma(3, size=9)
    once, twice = mean_interval(values), mean_interval(10 * values - 7)
    assert (twice.low, twice.high) == pytest.approx((10 * once.low - 7, 10 * once.high - 7))


def test_few_cases_have_no_interval_and_it_says_why():
    interval = mean_interval([1.0, 2.0, 3.0, 4.0, 5.0, math.nan])
    assert (interval.cases, interval.missing) == (5, f"fewer than {MIN_CASES} cases")
    assert math.isnan(interval.low)
    assert mean_interval([math.inf] * 7).missing.startswith("an infinite value")
    assert mean_interval([0.1 + 0.2] * 7).low == pytest.approx(0.3)
    with pytest.raises(DataError, match="between 0 and 1"):
        mean_interval([1.0] * 7, confidence=95)


def test_wilcoxon_equals_counting_all_signs():
    differences = np.random.default_rng(3).normal(0.4, 1, 9)
    ranks = np.argsort(np.argsort(np.abs(differences))) + 1
    seen = ranks[differences > 0].sum()
    sums = [sum(r for r, s in zip(ranks, signs, strict=True) if s)
            for signs in product([0, 1], repeat=9)]  # fmt: skip
    centre = ranks.sum() / 2
    expected = np.mean([abs(total - centre) >= abs(seen - centre) for total in sums])
    assert wilcoxon_p(differences) == pytest.approx(expected)


def test_five_cases_could_never_be_significant_and_have_no_test():
    assert math.isnan(wilcoxon_p([1.0, 2.0, 3.0, 4.0, 5.0]))
    assert wilcoxon_p([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]) == pytest.approx(2 / 2**6)
    assert math.isnan(wilcoxon_p(np.zeros(20)))


def cases(mae, psnr):
    return [{"mae": m, "psnr": p, "classes": 3.0} for m, p in zip(mae, psnr, strict=True)]


def test_a_comparison_tells_who_is_better_in_which_sense():
    rng = np.random.default_rng(4)
    mae, psnr = rng.uniform(60, 90, 10), rng.uniform(25, 30, 10)
    found = compare_cases(cases(mae - 5, psnr), cases(mae, psnr + 1))
    assert list(found) == ["mae", "psnr"]
    assert found["mae"].mean_difference == pytest.approx(-5)
    assert (found["mae"].first_better, found["mae"].second_better) == (10, 0)
    assert (found["psnr"].first_better, found["psnr"].second_better) == (0, 10)
    assert found["psnr"].median_difference == pytest.approx(-1)
    # Equal differences are ties of rank, for which SciPy leaves the exact distribution.
    assert found["mae"].wilcoxon_p < 0.01
    assert found["mae"].cases == 10


def test_a_comparison_uses_the_pairing():
    rng = np.random.default_rng(6)
    patients = rng.normal(80, 30, 12)
    better, worse = patients - rng.uniform(1, 3, 12), patients
    found = compare_cases(cases(better, patients), cases(worse, patients))["mae"]
    assert found.interval.high < 0
    assert found.wilcoxon_p == pytest.approx(2 / 2**12)
    assert mean_interval(better).high > mean_interval(worse).low


def test_equal_and_undefined_cases():
    found = compare_cases(
        cases([1.0, math.nan, 2.0], [math.inf] * 3), cases([1.0, 5.0, 3.0], [math.inf] * 3)
    )
    assert (found["mae"].cases, found["mae"].first_better) == (2, 1)
    assert found["psnr"].mean_difference == 0
    with pytest.raises(DataError, match="same cases"):
        compare_cases(cases([1.0], [2.0]), [])
