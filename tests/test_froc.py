"""The curve, its mean and its intervals: by hand, by plain loops, and by what must not matter."""

import math
import time
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_curve

from medgan.metrics.detection import Detections, MarkCounts
from medgan.metrics.froc import CURVE_FPPI, FPPI, Ranking, cpm
from medgan.metrics.scan_bootstrap import interval, resample_scans, two_sided_p

NO_COUNTS = MarkCounts(0, 0, 0, 0, 0, 0)


def detections(nodule_scores, false_scores, n_scans=1):
    """Nodules and false positives dealt out over the scans; None is a missed nodule."""
    score = np.array([-np.inf if s is None else s for s in nodule_scores], float)
    return Detections(
        n_scans,
        np.arange(len(score)) % n_scans,
        np.full(len(score), 5.0),
        score,
        np.arange(len(false_scores)) % n_scans,
        np.array(false_scores, float),
        NO_COUNTS,
    )


def sensitivity(judged, fppi, weights=None):
    weights = np.ones(judged.n_scans, np.int64) if weights is None else np.array(weights)
    return Ranking.of(judged).tally(weights).sensitivity(np.array(fppi, float))


def random_detections(seed, n_scans=30, digits=2):
    rng = np.random.default_rng(seed)
    nodules = [s if rng.random() < 0.8 else None for s in rng.beta(5, 2, 40).round(digits)]
    judged = detections(nodules, rng.beta(2, 5, 300).round(digits), n_scans)
    return replace(
        judged,
        nodule_scan=rng.integers(n_scans, size=40),
        false_scan=rng.integers(n_scans, size=300),
    )


def test_the_seven_rates_are_powers_of_two():
    assert FPPI.tolist() == [1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8]


def test_a_curve_computed_by_hand():
    # One scan: found, false, found, false, false, missed.
    judged = detections([0.9, 0.7, None], [0.8, 0.6, 0.5])
    # (0, 0) (0, 1/3) (1, 1/3) (1, 2/3) (3, 2/3), level beyond.
    assert sensitivity(judged, [0.5, 0.999, 1, 2, 3, 8]) == pytest.approx(
        [1 / 3, 1 / 3, 2 / 3, 2 / 3, 2 / 3, 2 / 3]
    )
    assert cpm(sensitivity(judged, FPPI)) == pytest.approx((3 / 3 + 4 * 2 / 3) / 7)


def test_marks_of_equal_score_come_at_once_and_the_curve_joins_their_ends():
    judged = detections([0.5, 0.5], [0.5, 0.5, 0.5, 0.5])
    # (0, 0) to (4, 1): a straight line.
    assert sensitivity(judged, [0.125, 1, 2, 4, 8]) == pytest.approx([1 / 32, 1 / 4, 1 / 2, 1, 1])


def test_the_lowest_point_joins_the_origin():
    judged = detections([0.5, None], [0.5, 0.5])
    assert sensitivity(judged, [0.5, 1, 2]) == pytest.approx([1 / 8, 1 / 4, 1 / 2])


def test_scans_without_nodules_and_marks_lower_the_rate_of_false_positives():
    busy = detections([0.9, 0.3], [0.5, 0.5])
    assert sensitivity(busy, [1.0]) == [0.5]
    assert sensitivity(replace(busy, n_scans=2), [1.0]) == [1.0]


def test_the_jump_that_lies_exactly_on_a_rate_counts():
    # 111 false positives in 888 scans are 1/8 a scan; rounding must not put them beyond it.
    judged = detections([0.9, 0.1], [0.5] * 111, n_scans=888)
    assert sensitivity(judged, [1 / 8]).tolist() == [1.0]


def test_without_false_positives_the_share_found_counts_at_every_rate():
    assert sensitivity(detections([0.9, 0.4, None, None], []), FPPI).tolist() == [0.5] * 7


def test_without_marks_nothing_is_found():
    judged = detections([None, None], [])
    assert sensitivity(judged, FPPI).tolist() == [0.0] * 7
    assert Ranking.of(judged).tally(np.ones(1, np.int64)).average_precision() == 0


def test_without_nodules_no_sensitivity_is_defined():
    judged = detections([], [0.5])
    assert np.isnan(sensitivity(judged, FPPI)).all()


@pytest.mark.parametrize("seed", range(5))
def test_the_curve_is_that_of_scikit_learn_by_the_official_formula(seed):
    judged = random_detections(seed)
    found = np.isfinite(judged.nodule_score)
    truth = np.repeat([1, 0], [found.sum(), len(judged.false_score)])
    scores = np.concatenate([judged.nodule_score[found], judged.false_score])
    false_share, found_share, _ = roc_curve(truth, scores, drop_intermediate=False)
    fppi = false_share * len(judged.false_score) / judged.n_scans
    # At rates between the curve's vertices, where rounding cannot hide a jump.
    grid = np.linspace(0.125, 8, 101) + 1e-4
    expected = np.interp(grid, fppi, found_share * found.sum() / len(found))
    np.testing.assert_allclose(sensitivity(judged, grid), expected, atol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_average_precision_is_that_of_scikit_learn_with_missed_nodules_in_the_recall(seed):
    judged = random_detections(seed)
    found = np.isfinite(judged.nodule_score)
    truth = np.repeat([1, 0], [found.sum(), len(judged.false_score)])
    scores = np.concatenate([judged.nodule_score[found], judged.false_score])
    expected = average_precision_score(truth, scores) * found.mean()
    tally = Ranking.of(judged).tally(np.ones(judged.n_scans, np.int64))
    assert tally.average_precision() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    "transform", [lambda s: s * 100 - 3, np.exp, lambda s: np.log(s + 1e-3), lambda s: s**3]
)
def test_a_monotone_transform_of_the_scores_changes_nothing(transform):
    judged = random_detections(1)
    missed = ~np.isfinite(judged.nodule_score)
    moved = replace(
        judged,
        nodule_score=np.where(missed, -np.inf, transform(np.where(missed, 1, judged.nodule_score))),
        false_score=transform(judged.false_score),
    )
    np.testing.assert_array_equal(sensitivity(moved, CURVE_FPPI), sensitivity(judged, CURVE_FPPI))


def test_a_weight_counts_a_scan_as_often_as_copies_of_it_would():
    judged = random_detections(2, n_scans=6)
    weights = np.array([0, 3, 1, 0, 2, 0])
    copies = np.repeat(np.arange(6), weights)
    nodules = [
        (k, i) for k, s in enumerate(copies) for i in np.flatnonzero(judged.nodule_scan == s)
    ]
    false = [(k, i) for k, s in enumerate(copies) for i in np.flatnonzero(judged.false_scan == s)]
    copied = Detections(
        len(copies),
        np.array([k for k, _ in nodules]),
        judged.nodule_diameter_mm[[i for _, i in nodules]],
        judged.nodule_score[[i for _, i in nodules]],
        np.array([k for k, _ in false]),
        judged.false_score[[i for _, i in false]],
        NO_COUNTS,
    )
    np.testing.assert_allclose(
        sensitivity(judged, CURVE_FPPI, weights), sensitivity(copied, CURVE_FPPI), atol=1e-15
    )


def test_groups_of_nodules_share_the_false_positives():
    judged = detections([0.9, 0.5, None], [0.7])
    ranking, one = Ranking.of(judged), np.ones(1, np.int64)
    small = ranking.tally(one, np.array([True, False, False]))
    large = ranking.tally(one, np.array([False, True, True]))
    assert small.sensitivity(np.array([0.5, 1])).tolist() == [1, 1]
    assert large.sensitivity(np.array([0.5, 1])).tolist() == [0, 0.5]


def test_resamples_have_as_many_scans_and_do_not_depend_on_their_number():
    few, many = resample_scans(12, 3, 7), resample_scans(12, 9, 7)
    assert (many.sum(1) == 12).all()
    np.testing.assert_array_equal(few, many[:3])
    assert (resample_scans(12, 3, 8) != few).any()
    # Mean 1 and, for n draws, variance 1 - 1/n: within five standard errors.
    counts = resample_scans(50, 400, 0)
    assert counts.var() == pytest.approx(1 - 1 / 50, abs=5 * math.sqrt(2.96 / counts.size))


def test_the_interval_takes_the_official_indices():
    values = np.random.default_rng(0).permutation(1000).astype(float)
    assert interval(values).tolist() == [25, 975]
    assert interval(values[:, None] * [1, -1]).tolist() == [[25, 975], [-974, -24]]


def test_undefined_resamples_are_left_out_of_the_interval():
    assert interval(np.array([np.nan, 2, 1, np.nan])).tolist() == [1, 2]
    assert np.isnan(interval(np.array([np.nan, np.nan]))).all()


def test_the_interval_covers_a_known_truth_about_as_often_as_it_says():
    # Every scan has one nodule, found with probability 0.7 and no false positive: the CPM is a
    # mean of independent draws, for which the percentile interval is right to a few per cent.
    rng, covered, trials, n_scans = np.random.default_rng(5), 0, 200, 60
    weights = resample_scans(n_scans, 200, 0)
    for _ in range(trials):
        scores = [0.9 if hit else None for hit in rng.random(n_scans) < 0.7]
        ranking = Ranking.of(detections(scores, [], n_scans))
        low, high = interval(np.array([cpm(ranking.tally(w).sensitivity(FPPI)) for w in weights]))
        covered += low <= 0.7 <= high
    assert 0.88 <= covered / trials <= 0.99


def test_a_thousand_resamples_of_a_full_submission_take_seconds():
    rng = np.random.default_rng(0)
    found = [s if rng.random() < 0.9 else None for s in rng.beta(5, 2, 1186)]
    judged = detections(found, rng.beta(1, 8, 888 * 100), 888)
    start = time.process_time()
    ranking = Ranking.of(judged)
    for weights in resample_scans(888, 1000, 0):
        ranking.tally(weights).sensitivity(FPPI)
    # Measured: half a second.
    assert time.process_time() - start < 20


def test_p_is_twice_the_smaller_side_and_never_zero():
    assert two_sided_p(np.arange(1.0, 100)) == pytest.approx(2 / 100)
    assert two_sided_p(np.array([-1.0, *range(1, 99)])) == pytest.approx(4 / 100)
    assert two_sided_p(np.zeros(99)) == 1
    assert math.isnan(two_sided_p(np.array([])))
