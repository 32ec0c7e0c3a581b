"""MS-SSIM against restatements that take their time: explicit padding, windows, FFT halving."""

import numpy as np
import pytest
from scipy.signal import fftconvolve
from skimage.metrics import structural_similarity

from medgan.errors import DataError
from medgan.metrics.ms_ssim import WEIGHTS, ms_ssim_synthrad2025, ms_ssim_wang2003

LIMITS = (-1024.0, 3000.0)
BOTH = (ms_ssim_synthrad2025, ms_ssim_wang2003)


@pytest.fixture(scope="module")
def pair():
    """Smooth structure with noise on it, of odd and even size, one axis larger than 97."""
    rng = np.random.default_rng(7)
    axes = np.meshgrid(*(np.linspace(0, 9, size) for size in (40, 33, 101)), indexing="ij")
    reference = 900 * np.sin(axes[0]) * np.cos(axes[1] + axes[2]) + rng.normal(0, 60, axes[0].shape)
    prediction = 0.8 * reference + rng.normal(100, 200, reference.shape)
    mask = np.zeros(reference.shape, bool)
    mask[4:36, 5:30, 3:90] = rng.random((32, 25, 87)) < 0.9
    return prediction, reference, mask


@pytest.fixture(params=["random mask", "full mask"])
def pair_of_masks(request, pair):
    """A full mask has windows that touch the first voxels, beyond which halving meets zeros."""
    prediction, reference, mask = pair
    return prediction, reference, mask if request.param == "random mask" else np.ones_like(mask)


def window_terms(x, y, width):
    """l and c s of two windows, from the definitions of mean, variance and covariance."""
    x, y = x.ravel(), y.ravel()
    (var_x, covariance), (_, var_y) = np.cov(x, y)
    c1, c2 = (0.01 * width) ** 2, (0.03 * width) ** 2
    luminance = (2 * x.mean() * y.mean() + c1) / (x.mean() ** 2 + y.mean() ** 2 + c1)
    contrast = (2 * np.sqrt(var_x * var_y) + c2) / (var_x + var_y + c2)
    structure = (covariance + c2 / 2) / (np.sqrt(var_x * var_y) + c2 / 2)
    return luminance, contrast * structure


def naive_levels(prediction, reference, mask):
    """Per resolution (voxels, 2) of l and c s, one window after the other."""
    images = [
        np.where(mask, np.clip(image, *LIMITS), LIMITS[0]) - LIMITS[0]
        for image in (reference, prediction)
    ]
    for axis in range(3):
        missing = max(0, 97 - mask.shape[axis])
        pads = [(0, 0)] * 3
        pads[axis] = (missing // 2, missing - missing // 2)
        images = [np.pad(image, pads, mode="edge") for image in images]
        mask = np.pad(mask, pads, mode="edge")
    rng = np.random.default_rng(0)
    for level in range(5):
        voxels = [
            index for index in np.argwhere(mask)
            if all(3 <= i < n - 3 for i, n in zip(index, mask.shape, strict=True))
        ]  # fmt: skip
        chosen = rng.permutation(len(voxels))[:800]
        boxes = [tuple(slice(i - 3, i + 4) for i in voxels[number]) for number in chosen]
        terms = [window_terms(images[0][b], images[1][b], 4024.0) for b in boxes]
        yield level, voxels, chosen, np.array(terms)
        kernel = np.full((2, 2, 2), 1 / 8)
        images = [fftconvolve(image, kernel, mode="same")[::2, ::2, ::2] for image in images]
        mask = mask[::2, ::2, ::2]


def test_similarity_at_every_resolution_equals_the_formula_window_by_window(pair_of_masks):
    from medgan.metrics.ms_ssim import _levels

    found = list(_levels(*pair_of_masks, LIMITS))
    for level, voxels, chosen, terms in naive_levels(*pair_of_masks):
        assert len(found[level].luminance) == len(voxels)
        np.testing.assert_allclose(found[level].luminance[chosen], terms[:, 0], atol=1e-6)
        np.testing.assert_allclose(found[level].contrast_structure[chosen], terms[:, 1], atol=1e-6)


def small_pair():
    rng = np.random.default_rng(8)
    reference = rng.uniform(500, 3000, (97, 97, 97))
    prediction = 0.3 * reference + rng.normal(0, 300, reference.shape)
    mask = np.zeros(reference.shape, bool)
    # At the coarsest resolution of 7 voxels only index 3 is inside: full-resolution 48.
    mask[43:54, 42:55, 46:51] = True
    return prediction, reference, mask


def test_both_variants_equal_their_products_over_all_windows():
    prediction, reference, mask = small_pair()
    published, textbook = 1.0, 1.0
    for level, voxels, chosen, terms in naive_levels(prediction, reference, mask):
        assert len(chosen) == len(voxels)
        luminance, contrast_structure = terms.T
        weight = WEIGHTS[level]
        powers = luminance**weight * np.clip(contrast_structure, 0, None) ** weight
        published *= np.clip(powers.mean(), 0, 1)
        last = luminance * contrast_structure if level == 4 else contrast_structure
        textbook *= max(last.mean(), 0) ** weight
    assert ms_ssim_synthrad2025(prediction, reference, mask, LIMITS) == pytest.approx(
        published, abs=1e-6
    )
    assert ms_ssim_wang2003(prediction, reference, mask, LIMITS) == pytest.approx(
        textbook, abs=1e-6
    )


def test_l_times_c_s_of_the_first_resolution_is_the_ssim_of_scikit_image(pair):
    from medgan.metrics.ms_ssim import _levels

    rng = np.random.default_rng(9)
    reference, prediction = rng.uniform(0, 1, (2, 98, 99, 100))
    first = next(iter(_levels(prediction, reference, np.ones(reference.shape, bool), (0, 1))))
    expected = structural_similarity(reference, prediction, data_range=1.0)
    assert np.mean(first.luminance * first.contrast_structure) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("measure", BOTH)
def test_equal_images_are_perfect_and_roles_can_be_exchanged(measure, pair):
    prediction, reference, mask = pair
    assert measure(reference, reference, mask, LIMITS) == 1
    once = measure(prediction, reference, mask, LIMITS)
    assert 0 < once < 1
    assert measure(reference, prediction, mask, LIMITS) == pytest.approx(once, rel=1e-12)


def test_a_constant_shift_costs_luminance_alone_and_so_the_textbook_sees_less_of_it(pair):
    _, reference, mask = pair
    brighter = reference + 250
    mask = np.ones_like(mask)
    published = ms_ssim_synthrad2025(brighter, reference, mask, (-5000, 5000))
    textbook = ms_ssim_wang2003(brighter, reference, mask, (-5000, 5000))
    assert published < textbook < 1


@pytest.mark.parametrize("measure", BOTH)
def test_nothing_outside_the_mask_or_the_range_has_influence(measure, pair):
    prediction, reference, mask = pair
    once = measure(prediction, reference, mask, LIMITS)
    spoiled = np.where(mask, np.where(prediction > 3000, 9e4, prediction), 777)
    assert measure(spoiled, reference, mask, LIMITS) == pytest.approx(once, rel=1e-12)


@pytest.mark.parametrize("measure", BOTH)
def test_a_mask_that_vanishes_at_a_coarse_resolution_is_refused(measure):
    image = np.zeros((97, 97, 97))
    mask = np.zeros(image.shape, bool)
    mask[5:12, 5:12, 5:12] = True
    with pytest.raises(DataError, match="resolution 3 of 5"):
        measure(image, image, mask, LIMITS)
