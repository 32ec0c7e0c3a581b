"""Measures against literal restatements of their published definitions."""

import math

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from medgan.errors import ConfigError, DataError
from medgan.metrics.protocols import (
    PROTOCOLS,
    SYNTHRAD_RANGE_HU,
    correlation,
    masked_ssim,
    peak_signal_to_noise,
    protocol_named,
)


@pytest.fixture
def pair():
    rng = np.random.default_rng(2)
    reference = rng.uniform(-1200, 3300, (14, 15, 16))
    prediction = reference + rng.normal(0, 150, reference.shape)
    mask = np.zeros(reference.shape, bool)
    mask[2:11, 4:15, 1:13] = rng.random((9, 11, 12)) < 0.8
    return prediction, reference, mask


def test_synthrad_mae_is_not_clipped(pair):
    prediction, reference, mask = pair
    prediction = prediction.copy()
    prediction[5, 6, 7] = 9000
    mask[5, 6, 7] = True
    m = mask.astype(float)
    expected = np.sum(np.abs(reference * m - prediction * m)) / m.sum()
    found = PROTOCOLS["synthrad2023"].measure(prediction, reference, mask)["mae"]
    assert found == pytest.approx(expected, rel=1e-12)


def test_synthrad_psnr_has_the_peak_of_the_population(pair):
    prediction, reference, mask = pair
    a, b = (np.clip(image, -1024, 3000)[mask == 1] for image in (reference, prediction))
    expected = 10 * np.log10(4024**2 / np.mean((a - b) ** 2))
    found = PROTOCOLS["synthrad2023"].measure(prediction, reference, mask)["psnr"]
    assert found == pytest.approx(expected, rel=1e-12)


def test_synthrad_ssim_equals_the_whole_map_cropped_by_three(pair):
    prediction, reference, mask = pair
    a, b = (
        np.where(mask == 0, -1024, np.clip(image, -1024, 3000)) + 1024
        for image in (reference, prediction)
    )
    _, whole = structural_similarity(a, b, data_range=4024, full=True)
    core = (slice(3, -3),) * 3
    expected = whole[core][mask[core]].mean()
    assert masked_ssim(prediction, reference, mask, SYNTHRAD_RANGE_HU) == pytest.approx(expected)


def test_ssim_of_one_voxel_is_the_formula_on_its_window():
    rng = np.random.default_rng(3)
    reference, prediction = rng.uniform(0, 1, (2, 7, 7, 7))
    mask = np.ones((7, 7, 7), bool)
    # Only the central voxel is three voxels from every face.
    x, y = reference.ravel(), prediction.ravel()
    (var_x, cov), (_, var_y) = np.cov(x, y)
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * x.mean() * y.mean() + c1) / (x.mean() ** 2 + y.mean() ** 2 + c1)
    expected = luminance * (2 * cov + c2) / (var_x + var_y + c2)
    assert masked_ssim(prediction, reference, mask, (0, 1)) == pytest.approx(expected)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_identical_images_are_perfect(name, pair):
    _, reference, mask = pair
    found = PROTOCOLS[name].measure(reference, reference, mask)
    assert found["mae"] == 0
    assert found["psnr"] == math.inf
    assert found["ssim"] == 1
    assert found["correlation"] == pytest.approx(1)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_values_outside_the_mask_have_no_influence(name, pair):
    prediction, reference, mask = pair
    before = PROTOCOLS[name].measure(prediction, reference, mask)
    rng = np.random.default_rng(4)
    noise = np.where(mask, 0, rng.normal(0, 999, mask.shape))
    after = PROTOCOLS[name].measure(prediction + noise, reference - noise, mask)
    assert after == pytest.approx(before, rel=1e-9)


def test_psnr_falls_by_six_decibels_when_the_error_doubles():
    reference = np.zeros((8, 8, 8))
    mask = np.ones(reference.shape, bool)
    one, two = (
        peak_signal_to_noise(reference + error, reference, mask, (-1024, 3000))
        for error in (10, 20)
    )
    assert one - two == pytest.approx(20 * math.log10(2))


def test_normalised_mr_scores_do_not_depend_on_the_scale_of_the_scanner(pair):
    prediction, reference, mask = pair
    measure = PROTOCOLS["mr-normalised"].measure
    once = measure(prediction, reference, mask)
    assert measure(prediction * 7 + 300, reference * 7 + 300, mask) == pytest.approx(once)
    low, high = np.percentile(reference[mask], [0.5, 99.5])
    expected = np.abs(prediction - reference)[mask].mean() / (high - low)
    assert once["mae"] == pytest.approx(expected)


def test_correlation_is_pearsons_and_undefined_for_a_constant(pair):
    prediction, reference, mask = pair
    x, y = prediction[mask], reference[mask]
    x, y = x - x.mean(), y - y.mean()
    expected = (x @ y) / math.sqrt((x @ x) * (y @ y))
    assert correlation(prediction, reference, mask) == pytest.approx(expected)
    assert math.isnan(correlation(np.ones_like(reference), reference, mask))


def test_a_mask_at_the_border_alone_has_no_ssim():
    image = np.zeros((9, 9, 9))
    mask = np.zeros(image.shape, bool)
    mask[:, :, :3] = True
    with pytest.raises(DataError, match="3 voxels from every face"):
        masked_ssim(image, image, mask, (0, 1))


def test_too_few_slices_have_no_ssim():
    image = np.zeros((9, 9, 6))
    with pytest.raises(DataError, match="outer voxels"):
        masked_ssim(image, image, np.ones(image.shape, bool), (0, 1))


def test_a_constant_mr_reference_cannot_be_normalised():
    image = np.full((9, 9, 9), 5.0)
    with pytest.raises(DataError, match="constant"):
        PROTOCOLS["mr-normalised"].measure(image, image, np.ones(image.shape, bool))


def test_an_unknown_protocol_is_refused_with_those_known():
    with pytest.raises(ConfigError, match=r"psnr2020.*synthrad2023, mr-normalised"):
        protocol_named("psnr2020")
