from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.metrics import FIDMetric
from numpy.typing import NDArray
from scipy.linalg import sqrtm

from medgan.errors import ConfigError, DataError
from medgan.metrics.distribution import (
    BLOCK_ROWS,
    Moments,
    fid,
    frechet_distance,
    kid,
    kid_blocks,
    squared_mmd,
)
from medgan.metrics.manifolds import precision_recall
from medgan.metrics.set_comparison import compare_features, split_in_half
from medgan.metrics.set_evaluation import SetOptions
from medgan.metrics.set_variants import attentiongan_distances

Array = NDArray[np.float64]


def normal(n: int, d: int, seed: int, shift: float = 0.0) -> Array:
    return np.random.default_rng(seed).standard_normal((n, d)) + shift


def with_moments(n: int, mean: Array, covariance: Array, seed: int) -> Array:
    """Features whose sample mean and covariance (n - 1) are exactly these."""
    rows = normal(n, len(mean), seed)
    rows -= rows.mean(axis=0)
    orthonormal, _ = np.linalg.qr(rows)
    return mean + np.sqrt(n - 1) * orthonormal @ np.linalg.cholesky(covariance).T


def random_covariance(d: int, seed: int) -> Array:
    root = normal(d, d, seed)
    return root @ root.T / d + 0.1 * np.eye(d)


def closed_form(mean_a: Array, cov_a: Array, mean_b: Array, cov_b: Array) -> float:
    common = np.trace(sqrtm(cov_a @ cov_b)).real
    shift = mean_a - mean_b
    return float(shift @ shift + np.trace(cov_a) + np.trace(cov_b) - 2 * common)


@pytest.mark.parametrize("counts", [(40, 40), (40, 300), (300, 25)])
def test_fid_of_gaussians_with_known_moments_is_the_closed_form(counts: tuple[int, int]) -> None:
    d = 20
    mean_a, mean_b = normal(2, d, 1)
    cov_a, cov_b = random_covariance(d, 2), random_covariance(d, 3)
    a, b = (
        with_moments(n, mean, cov, n)
        for n, mean, cov in zip(counts, (mean_a, mean_b), (cov_a, cov_b), strict=True)
    )
    assert np.allclose(np.cov(a.T), cov_a)
    assert fid(a, b) == pytest.approx(closed_form(mean_a, cov_a, mean_b, cov_b), rel=1e-9)


def test_fid_of_commuting_covariances_is_the_sum_over_the_axes() -> None:
    mean_a, mean_b = np.array([1.0, 2.0, 3.0]), np.array([0.0, 2.0, 5.0])
    sigma_a, sigma_b = np.array([1.0, 2.0, 0.5]), np.array([3.0, 2.0, 1.0])
    a = with_moments(11, mean_a, np.diag(sigma_a**2), 1)
    b = with_moments(17, mean_b, np.diag(sigma_b**2), 2)
    expected = ((mean_a - mean_b) ** 2 + (sigma_a - sigma_b) ** 2).sum()
    assert fid(a, b) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("shape", [(50, 200), (500, 40)])
def test_fid_of_identical_sets_is_zero(shape: tuple[int, int]) -> None:
    rows = normal(*shape, seed=1)
    assert fid(rows, rows[::-1]) == pytest.approx(0, abs=1e-10)


def test_fid_is_symmetric_and_indifferent_to_rotation() -> None:
    a, b = normal(30, 12, 1), normal(80, 12, 2, shift=0.3)
    rotation, _ = np.linalg.qr(normal(12, 12, 3))
    assert fid(a, b) == pytest.approx(fid(b, a), rel=1e-12)
    assert fid(a @ rotation, b @ rotation) == pytest.approx(fid(a, b), rel=1e-12)


@pytest.mark.parametrize("n", [60, 300])
def test_fid_agrees_with_monai_where_its_matrix_root_is_well_posed(n: int) -> None:
    a, b = normal(n, 30, 1), 1.5 * normal(n, 30, 2, shift=0.2)
    with pytest.warns(DeprecationWarning):
        expected = FIDMetric()(torch.from_numpy(a), torch.from_numpy(b))
    assert fid(a, b) == pytest.approx(float(expected), rel=1e-6)


def test_moments_gathered_in_pieces_equal_those_taken_at_once() -> None:
    rows, other = normal(700, 16, 1, shift=5.0) * np.arange(1, 17), normal(90, 16, 2)
    pieces = [rows[start : start + 33] for start in range(0, 700, 33)]
    gathered = Moments.of(pieces[0])
    for piece in pieces[1:]:
        gathered = gathered.merged(Moments.of(piece))
    whole = Moments.of(rows)
    assert gathered.count == 700
    assert gathered.root.shape == whole.root.shape == (16, 16)
    assert np.allclose(gathered.mean, whole.mean, rtol=1e-12)
    assert np.allclose(gathered.root.T @ gathered.root / 699, np.cov(rows.T), rtol=1e-10)
    one_shot = frechet_distance(whole, Moments.of(other))
    assert frechet_distance(gathered, Moments.of(other)) == pytest.approx(one_shot, rel=1e-12)


def test_features_mapped_from_a_file_longer_than_a_block_give_the_same(tmp_path: Path) -> None:
    rows = normal(2 * BLOCK_ROWS + 100, 8, 1, shift=2.0).astype(np.float32)
    np.save(tmp_path / "rows.npy", rows)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    other = normal(300, 8, 2)
    expected = closed_form(rows.mean(0, np.float64), np.cov(rows.T), other.mean(0), np.cov(other.T))
    assert fid(mapped, other) == pytest.approx(expected, rel=1e-9)
    assert squared_mmd(mapped, other) == pytest.approx(squared_mmd(rows, other), rel=1e-12)


def naive_squared_mmd(a: Array, b: Array) -> float:
    def kernel(x: Array, y: Array) -> float:
        return (sum(p * q for p, q in zip(x, y, strict=True)) / len(x) + 1) ** 3

    n, m = len(a), len(b)
    within_a = sum(kernel(a[i], a[j]) for i in range(n) for j in range(n) if i != j)
    within_b = sum(kernel(b[i], b[j]) for i in range(m) for j in range(m) if i != j)
    between = sum(kernel(x, y) for x in a for y in b)
    return within_a / (n * (n - 1)) + within_b / (m * (m - 1)) - 2 * between / (n * m)


def test_the_kernel_distance_is_that_of_plain_loops() -> None:
    a, b = normal(9, 5, 1), normal(14, 5, 2, shift=0.5)
    assert squared_mmd(a, b) == pytest.approx(naive_squared_mmd(a, b), rel=1e-12)
    assert kid(a, b[:9])[0] == pytest.approx(naive_squared_mmd(a, b[:9]), rel=1e-12)


def test_kid_is_unbiased_over_200_repetitions_at_any_number_of_images() -> None:
    for n in (10, 40):
        values = [
            squared_mmd(normal(n, 16, 2 * seed), normal(n, 16, 2 * seed + 1)) for seed in range(200)
        ]
        standard_error = np.std(values, ddof=1) / np.sqrt(len(values))
        assert abs(np.mean(values)) < 2 * standard_error
        # The biased estimator, images paired with themselves, would be found out.
        assert standard_error < 0.05


def test_kid_subsets_estimate_the_value_of_the_whole_sets() -> None:
    a, b = normal(300, 16, 1), normal(300, 16, 2, shift=0.3)
    values = kid(a, b, subset=60, subsets=200, seed=3)
    assert values.shape == (200,)
    standard_error = values.std(ddof=1) / np.sqrt(200)
    assert values.mean() == pytest.approx(squared_mmd(a, b), abs=4 * standard_error)


def test_kid_repeats_with_its_seed_and_only_with_it() -> None:
    a, b = normal(30, 4, 1), normal(40, 4, 2)
    first, again, other = (kid(a, b, subset=10, subsets=5, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("n", "m", "sizes", "other_sizes"),
    [
        (20, 20, [10, 10], [10, 10]),
        (23, 17, [7, 8, 8], [5, 6, 6]),
        (12, 31, [3, 3, 3, 3], [7, 8, 8, 8]),
        (8, 5, [8], [5]),
    ],
)
def test_kid_blocks_are_those_of_plain_loops(
    n: int, m: int, sizes: list[int], other_sizes: list[int]
) -> None:
    a, b = normal(n, 5, 1), normal(m, 5, 2, shift=0.5)
    expected = []
    start = other_start = 0
    for size, other_size in zip(sizes, other_sizes, strict=True):
        block, other = a[start : start + size], b[other_start : other_start + other_size]
        expected.append(naive_squared_mmd(block, other))
        start, other_start = start + size, other_start + other_size
    assert (start, other_start) == (n, m)
    assert kid_blocks(a, b, largest=10) == pytest.approx(np.array(expected), rel=1e-12)


def test_blocks_too_small_for_an_estimate_are_refused() -> None:
    with pytest.raises(DataError, match="100 and 19 images in 10 blocks"):
        kid_blocks(normal(100, 4, 1), normal(19, 4, 2), largest=10)
    assert len(kid_blocks(normal(100, 4, 1), normal(20, 4, 2), largest=10)) == 10


def test_the_published_variant_is_the_mean_and_standard_error_of_blocks_in_its_scale() -> None:
    a, b = normal(140, 16, 1), normal(120, 16, 2, shift=0.5)
    found = attentiongan_distances(a, b)
    assert found.blocks == 14
    assert found.fid == pytest.approx(fid(a, b) / 100, rel=1e-12)
    # The same expectation as of the whole sets: within what its own standard error allows.
    assert found.kid == pytest.approx(100 * squared_mmd(a, b), abs=3 * found.kid_error)
    assert found.kid > 4 * found.kid_error > 0
    errors = [attentiongan_distances(a, b, seed=seed) for seed in range(40)]
    spread = np.std([each.kid for each in errors], ddof=1)
    assert 0 < spread < 2 * np.mean([each.kid_error for each in errors])
    assert attentiongan_distances(a, b, seed=3) == errors[3]


def test_sorted_images_are_shuffled_before_they_are_cut_into_blocks() -> None:
    """Blocks of equal images would differ from one another far more than chance allows."""
    rows = np.sort(normal(200, 1, 1), axis=0) * np.ones(8)
    others = np.sort(normal(200, 1, 2), axis=0)[::-1] * np.ones(8)
    unshuffled = 100 * kid_blocks(rows, others, largest=10).mean()
    found = attentiongan_distances(rows, others)
    assert unshuffled > 100
    assert abs(found.kid) < 4 * found.kid_error < unshuffled


def test_a_variant_that_there_is_not_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"unknown variant of KID.*attentiongan2019"):
        SetOptions(kid_variant="attentiongan")  # type: ignore[arg-type]


@pytest.mark.parametrize("subset", [1, 13, 1000])
def test_kid_of_too_few_images_is_refused_with_the_numbers(subset: int) -> None:
    with pytest.raises(DataError, match=rf"subsets of {subset}, allowed 2 to 12 images"):
        kid(normal(12, 4, 1), normal(20, 4, 2), subset=subset)


def naive_share_inside(points: Array, centres: Array, k: int) -> float:
    inside = 0
    for point in points:
        for i, centre in enumerate(centres):
            others = [np.linalg.norm(centre - c) for j, c in enumerate(centres) if j != i]
            if np.linalg.norm(point - centre) <= sorted(others)[k - 1]:
                inside += 1
                break
    return inside / len(points)


def test_precision_and_recall_are_those_of_plain_loops() -> None:
    real, fake = normal(40, 3, 1), 0.6 * normal(30, 3, 2, shift=0.8)
    found = precision_recall(real, fake)
    assert found.precision == naive_share_inside(fake, real, 3)
    assert found.recall == naive_share_inside(real, fake, 3)
    assert 0 < found.recall < found.precision < 1


def test_precision_and_recall_of_equal_and_of_distant_sets() -> None:
    real = normal(20, 6, 1)
    same, far = precision_recall(real, real), precision_recall(real, real + 100)
    assert (same.precision, same.recall) == (1, 1)
    assert (far.precision, far.recall) == (0, 0)


def test_a_collapsed_generator_has_precision_without_recall() -> None:
    real = normal(200, 2, 1)
    found = precision_recall(real, 1e-3 * normal(200, 2, 2))
    assert found.precision == 1
    assert found.recall < 0.05


@pytest.mark.parametrize(
    ("a", "message"),
    [
        (np.zeros(5), "features are a matrix"),
        (np.zeros((0, 5)), "features are a matrix"),
        (np.zeros((4, 5), dtype=complex), "features are a matrix"),
        (np.full((4, 5), np.nan), "not a finite number"),
        (np.zeros((1, 5)), "a covariance needs two images"),
        (np.zeros((4, 6)), "different features"),
    ],
)
def test_features_that_cannot_be_compared_are_refused(a: NDArray[Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        fid(a, np.ones((4, 5)))


def test_kid_of_values_that_are_not_finite_is_refused() -> None:
    rows = normal(6, 5, 1)
    rows[2, 2] = np.inf
    with pytest.raises(DataError, match="not a finite number"):
        kid(rows, normal(6, 5, 2))


def test_precision_and_recall_need_more_images_than_neighbours() -> None:
    with pytest.raises(DataError, match="more images than neighbours"):
        precision_recall(normal(3, 5, 1), normal(9, 5, 2))


def test_the_floor_of_one_distribution_is_its_distance() -> None:
    real, fake = normal(400, 8, 1), normal(150, 8, 2)
    found = compare_features(real, fake)
    assert (found.n_real, found.n_fake, found.n_compared) == (400, 150, 150)
    assert found.distances.fid == pytest.approx(found.floor.fid, abs=3 * found.floor.fid_std)
    assert abs(found.floor.kid) < found.floor.kid_std
    assert abs(found.distances.precision - found.floor.precision) < 0.1


def test_the_floor_shrinks_with_the_number_compared_and_the_distance_stands_out() -> None:
    real, near, far = normal(600, 8, 1), normal(300, 8, 2), normal(300, 8, 3, shift=1.0)
    few, many = (compare_features(real[:n], near[: n // 2]) for n in (60, 600))
    assert (few.n_compared, many.n_compared) == (30, 300)
    assert few.floor.fid > 3 * many.floor.fid
    apart = compare_features(real, far)
    # |shift|^2 = 8, by the closed form.
    assert apart.distances.fid - apart.floor.fid == pytest.approx(8, rel=0.15)


def test_both_are_compared_at_half_the_reals_where_there_are_more_fakes() -> None:
    assert compare_features(normal(31, 4, 1), normal(500, 4, 2)).n_compared == 15


def test_the_comparison_repeats_with_its_seed_and_only_with_it() -> None:
    real, fake = normal(60, 4, 1), normal(20, 4, 2)
    first, again, other = (compare_features(real, fake, seed=seed) for seed in (1, 1, 2))
    assert first.distances == again.distances
    assert first.floor == again.floor
    assert first.floor != other.floor


@pytest.mark.parametrize("seed", range(20))
def test_halves_share_no_patient_and_are_as_even_as_patients_allow(seed: int) -> None:
    draw = np.random.default_rng(seed)
    patients = draw.integers(0, 9, 100).tolist()
    first, second = split_in_half(patients, draw)
    assert sorted([*first, *second]) == list(range(100))
    assert not {patients[i] for i in first} & {patients[i] for i in second}
    largest = max(patients.count(patient) for patient in patients)
    assert abs(len(first) - len(second)) <= largest


def test_a_floor_by_patient_sees_that_slices_of_one_patient_are_alike() -> None:
    patients = np.repeat(np.arange(20), 10)
    real = 2 * normal(20, 6, 1)[patients] + 0.1 * normal(200, 6, 2)
    by_image = compare_features(real, real[:60])
    by_patient = compare_features(real, real[:60], patients.tolist())
    assert (by_patient.split_by, by_patient.n_patients) == ("patient", 20)
    assert (by_image.split_by, by_image.n_patients) == ("image", None)
    assert by_patient.floor.fid > 3 * by_image.floor.fid


def test_kid_values_of_all_splits_are_pooled() -> None:
    found = compare_features(normal(80, 4, 1), normal(40, 4, 2), kid_subset=20)
    assert found.kid_subset == 20
    assert found.distances.kid_std > 0
    with pytest.raises(DataError, match="subsets of 50, allowed 2 to 40 images"):
        compare_features(normal(80, 4, 1), normal(40, 4, 2), kid_subset=50)


def test_sets_too_small_for_a_floor_are_refused() -> None:
    with pytest.raises(DataError, match="3 at a time, of 7 real and 90 fake"):
        compare_features(normal(7, 4, 1), normal(90, 4, 2))
    with pytest.raises(DataError, match="needs two patients"):
        compare_features(normal(50, 4, 1), normal(50, 4, 2), ["one"] * 50)
    with pytest.raises(ConfigError, match="too few splits"):
        compare_features(normal(50, 4, 1), normal(50, 4, 2), splits=9)
