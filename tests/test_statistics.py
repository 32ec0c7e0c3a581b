"""Intervals that hold the truth as often as they say, and tests that agree with enumeration."""

import math
from itertools import product

import numpy as np
import pytest

from medgan.errors import DataError
from medgan.metrics.comparison import compare_cases
from medgan.metrics.statistics import (
    BOOTSTRAP,
    MIN_BOOTSTRAP_CASES,
    MIN_CASES,
    MIN_DISTINCT,
    STUDENT,
    difference_interval,
    mean_interval,
    wilcoxon_p,
)


@pytest.mark.parametrize("size", [6, 15])
@pytest.mark.parametrize("kind", ["normal", "skewed"])
def test_intervals_hold_the_true_mean_about_95_times_in_100(size, kind):
    rng = np.random.default_rng(size)
    hits = 0
    for _ in range(1000):
        values = rng.normal(size=size) if kind == "normal" else rng.gamma(2, size=size) - 2
        interval = mean_interval(values)
        hits += interval.low <= 0 <= interval.high
    # The percentile bootstrap (0.82 to 0.86 at 6) fails.
    assert 0.88 < hits / 1000 < 0.98


def test_an_interval_equals_the_printed_table_of_student():
    values = np.arange(1.0, 11.0)
    interval = mean_interval(values)
    # t(9) at 97.5 % is 2.262; ten successive numbers have the variance 55 / 6.
    reach = 2.262157 * math.sqrt(55 / 6 / 10)
    assert (interval.low, interval.high) == pytest.approx((5.5 - reach, 5.5 + reach), rel=1e-6)
    assert (interval.method, interval.resamples) == (STUDENT, 0)


def test_one_case_apart_widens_the_interval_to_both_sides():
    values = [0.9, 0.9001, 0.8999, 0.9002, 0.8998, 0.9, 0.9001, 0.6]
    interval = mean_interval(values)
    assert interval.low < np.mean(values) - 0.05
    assert interval.high > np.mean(values) + 0.05
    assert interval.low > 0.7


@pytest.mark.parametrize("values", [[0.9] * 7 + [0.6], [0] * 7 + [1], [5 + 1e-14, 5] * 8])
def test_a_handful_of_values_again_and_again_has_no_interval(values):
    for find in (mean_interval, difference_interval):
        found = find(values)
        assert math.isnan(found.low)
        assert found.missing == f"fewer than {MIN_DISTINCT} different values"


def test_a_difference_of_many_cases_has_a_bootstrap_close_to_the_closed_form():
    values = np.random.default_rng(7).normal(3, 2, 60)
    found = difference_interval(values, resamples=4000)
    plain = mean_interval(values)
    assert (found.method, found.resamples, found.cases) == (BOOTSTRAP, 4000, 60)
    assert (found.low, found.high) == pytest.approx((plain.low, plain.high), abs=0.1)
    assert found == difference_interval(values, resamples=4000)
    # The bootstrap sees the skew that t takes for none: the long tail lies on the right.
    skewed = np.random.default_rng(8).gamma(0.5, size=60)
    leaning = difference_interval(skewed)
    assert leaning.high - skewed.mean() > 1.1 * (skewed.mean() - leaning.low)


def test_a_difference_of_few_cases_has_the_interval_of_a_mean():
    values = np.random.default_rng(9).normal(size=MIN_BOOTSTRAP_CASES)
    assert difference_interval(values[1:]) == mean_interval(values[1:])
    assert difference_interval(values).method == BOOTSTRAP


def test_intervals_move_and_stretch_with_the_unit():
    values = np.random.default_rng(2).gamma(3, size=9)
    once, twice = mean_interval(values), mean_interval(10 * values - 7)
    assert (twice.low, twice.high) == pytest.approx((10 * once.low - 7, 10 * once.high - 7))


def test_few_cases_have_no_interval_and_it_says_why():
    interval = mean_interval([1.0, 2.0, 3.0, 4.0, 5.0, math.nan])
    assert (interval.cases, interval.missing) == (5, f"fewer than {MIN_CASES} cases")
    assert math.isnan(interval.low)
    assert mean_interval([math.inf] * 7).missing.startswith("an infinite value")
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
