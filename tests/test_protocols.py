"""Measures against literal restatements of their published definitions."""

import math

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from medgan.errors import ConfigError, DataError
from medgan.metrics.intensity import correlation, masked_ssim, peak_signal_to_noise
from medgan.metrics.ms_ssim import ms_ssim_synthrad2025, ms_ssim_wang2003
from medgan.metrics.protocols import PROTOCOLS, SYNTHRAD_RANGE_HU, protocol_named


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


def naive_masked_ssim(prediction, reference, mask, low, high):
    """One 7 x 7 x 7 window after the other, from sums alone."""
    c1, c2 = (0.01 * (high - low)) ** 2, (0.03 * (high - low)) ** 2
    scores = []
    for i, j, k in np.argwhere(mask):
        if not all(3 <= n < size - 3 for n, size in zip((i, j, k), mask.shape, strict=True)):
            continue
        box = (slice(i - 3, i + 4), slice(j - 3, j + 4), slice(k - 3, k + 4))
        x, y = (
            (np.where(mask[box], image[box].clip(low, high), low) - low).ravel()
            for image in (reference, prediction)
        )
        mean_x, mean_y = x.sum() / 343, y.sum() / 343
        var_x, var_y = ((x - mean_x) ** 2).sum() / 342, ((y - mean_y) ** 2).sum() / 342
        covariance = ((x - mean_x) * (y - mean_y)).sum() / 342
        luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
        scores.append(luminance * (2 * covariance + c2) / (var_x + var_y + c2))
    return np.mean(scores)


@pytest.mark.parametrize("seed", range(3))
def test_synthrad_equals_loops_over_voxels_on_random_volumes_with_random_masks(seed):
    rng = np.random.default_rng(seed)
    shape = rng.integers(10, 16, 3)
    reference = rng.uniform(-1500, 3500, shape)
    prediction = reference + rng.normal(0, rng.uniform(10, 900), shape)
    mask = rng.random(shape) < rng.uniform(0.1, 0.9)
    absolute, square, voxels = 0.0, 0.0, 0
    for x, y, counted in zip(prediction.flat, reference.flat, mask.flat, strict=True):
        if counted:
            absolute += abs(x - y)
            square += (min(max(x, -1024), 3000) - min(max(y, -1024), 3000)) ** 2
            voxels += 1
    found = PROTOCOLS["synthrad2023"].measure(prediction, reference, mask)
    assert found["mae"] == pytest.approx(absolute / voxels, abs=1e-6)
    assert found["psnr"] == pytest.approx(10 * math.log10(4024**2 * voxels / square), abs=1e-6)
    expected = naive_masked_ssim(prediction, reference, mask, -1024, 3000)
    assert found["ssim"] == pytest.approx(expected, abs=1e-6)


def test_the_protocols_of_2025_and_2003_add_their_ms_ssim_to_2023(pair):
    prediction, reference, mask = pair
    base = PROTOCOLS["synthrad2023"].measure(prediction, reference, mask)
    for name, ms_ssim in (("synthrad2025", ms_ssim_synthrad2025), ("wang2003", ms_ssim_wang2003)):
        found = PROTOCOLS[name].measure(prediction, reference, mask)
        assert found.pop("ms_ssim") == ms_ssim(prediction, reference, mask, (-1024, 3000))
        assert found == pytest.approx(base)


def test_maskgan_equals_a_loop_over_whole_slices_of_the_box(pair):
    prediction, reference, mask = pair
    x0, y0, z0 = np.argwhere(mask).min(0)
    x1, y1, z1 = np.argwhere(mask).max(0) + 1
    mae, psnr, ssim = [], [], []
    for z in range(z0, z1):
        real = np.where(mask[..., z], reference[..., z], -800)[x0:x1, y0:y1].clip(-800, 2000)
        fake = prediction[x0:x1, y0:y1, z].clip(-800, 2000)
        mae.append(np.abs(real - fake).mean())
        psnr.append(20 * math.log10(2000 / math.sqrt(((real - fake) ** 2).mean())))
        ssim.append(structural_similarity(real + 800, fake + 800, data_range=2800))
    found = PROTOCOLS["maskgan2024"].measure(prediction, reference, mask)
    assert found["mae"] == pytest.approx(np.mean(mae), abs=1e-6)
    assert found["psnr"] == pytest.approx(np.mean(psnr), abs=1e-6)
    assert found["ssim"] == pytest.approx(np.mean(ssim), abs=1e-6)


def test_maskgan_counts_the_background_and_its_equal_slices_as_100_decibels():
    body = np.zeros((20, 20, 4), bool)
    body[5:15, 5:15] = True
    reference = np.where(body, 40.0, -1000.0)
    found = PROTOCOLS["maskgan2024"].measure(reference, reference, body)
    assert (found["mae"], found["psnr"], found["ssim"]) == (0, 100, 1)
    corner = body.copy()
    corner[5:10, 5:10] = False
    # A quarter of the box is not in the mask, where the prediction is 840 HU too bright.
    spoiled = PROTOCOLS["maskgan2024"].measure(reference, reference, corner)
    assert spoiled["mae"] == pytest.approx(840 / 4)
    with pytest.raises(DataError, match="too narrow"):
        PROTOCOLS["maskgan2024"].measure(reference, reference, np.indices(body.shape)[0] == 7)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_identical_images_are_perfect(name, pair):
    _, reference, mask = pair
    # A full mask: where it has holes, MaskGAN measures the prediction's background.
    mask = np.ones_like(mask) if name == "maskgan2024" else mask
    found = PROTOCOLS[name].measure(reference, reference, mask)
    assert found["mae"] == 0
    assert found["psnr"] == (100 if name == "maskgan2024" else math.inf)
    assert found["ssim"] == 1
    assert found.get("ms_ssim", 1) == 1
    assert found["correlation"] == pytest.approx(1)


@pytest.mark.parametrize("name", sorted(PROTOCOLS.keys() - {"mr-normalised"}))
def test_a_constant_shift_is_the_mae_and_the_peak_over_it_the_psnr(name):
    reference = np.random.default_rng(5).uniform(0, 1000, (12, 13, 14))
    found = PROTOCOLS[name].measure(reference + 32, reference, np.ones(reference.shape, bool))
    assert found["mae"] == pytest.approx(32)
    assert found["psnr"] == pytest.approx(20 * math.log10(PROTOCOLS[name].peak / 32))
    assert found["correlation"] == pytest.approx(1)


@pytest.mark.parametrize("name", sorted(PROTOCOLS.keys() - {"maskgan2024"}))
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
    with pytest.raises(ConfigError, match=r"psnr2020.*synthrad2023, .*mr-normalised"):
        protocol_named("psnr2020")


def test_a_real_ct_scores_as_the_published_formulae_say(medgan_data):
    from medgan.io import read_volume
    from medgan.metrics.pairs import evaluate_pair, resolve_mask

    folder = medgan_data / "mni_template_pair"
    truth = read_volume(folder / "ct_scct_hu_2mm.nii.gz", modality="CT")
    source = read_volume(folder / "mr_t1_mni152_head_2mm.nii.gz", modality="MR")
    prediction = truth.with_array(np.roll(truth.array, 1, axis=0))
    counted = resolve_mask(None, truth, source=source)
    found = evaluate_pair(prediction, truth, source=source)
    assert found.mask_rule.startswith("body mask of the source")
    clipped = [image.array.astype(float).clip(-1024, 3000) for image in (truth, prediction)]
    error = (clipped[0] - clipped[1])[counted.voxels]
    assert found.values["mae"] == pytest.approx(np.abs(error).mean(), abs=1e-6)
    assert found.values["psnr"] == pytest.approx(
        20 * np.log10(4024) - 10 * np.log10((error**2).mean()), abs=1e-6
    )
    a, b = (np.where(counted.voxels, image, -1024) + 1024 for image in clipped)
    _, whole = structural_similarity(a, b, data_range=4024, full=True)
    core = (slice(3, -3),) * 3
    assert found.values["ssim"] == pytest.approx(whole[core][counted.voxels[core]].mean(), abs=1e-6)
