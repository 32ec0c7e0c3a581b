import math
from itertools import product

import numpy as np
import pytest

from medgan.volumes import Volume
from medgan.volumes.geometry import Grid, apply_affine, grid_with_spacing
from medgan.volumes.resampling import antialias_sigma, resample

SHEARED = np.array([[1.0, 0.1, 0, -9], [0, 1.2, 0.4, -8], [0.1, 0, 1.5, -7], [0, 0, 0, 1]])


def ramp(affine, shape=(12, 13, 11), modality="MR"):
    """A linear function of the place in the patient, which linear interpolation must keep."""
    places = apply_affine(affine, np.argwhere(np.ones(shape, bool)))
    return Volume((places @ [1.0, 2.0, -0.5] + 100).reshape(shape), affine, modality)


def test_the_own_grid_returns_the_values_exactly():
    array = np.random.default_rng(0).normal(size=(5, 6, 7)).astype(np.float32)
    volume = Volume(array, SHEARED, "CT", frame_of_reference="1.2.3")
    same = resample(volume, Grid.of(volume), order=3)
    np.testing.assert_array_equal(same.array, array)
    assert same.frame_of_reference == "1.2.3"
    assert same.array.dtype == np.float32


@pytest.mark.parametrize("target", [np.eye(4), np.diag([0.7, 0.9, 1.1, 1]), SHEARED], ids=str)
def test_a_linear_function_of_place_survives_any_affine(target):
    volume = ramp(SHEARED)
    grid = Grid((6, 5, 4), target.copy())
    centre = apply_affine(SHEARED, [5.5, 6, 5])
    affine = grid.affine.copy()
    affine[:3, 3] = centre - affine[:3, :3] @ [2.5, 2, 1.5]
    grid = Grid(grid.shape, affine)
    expected = ramp(affine, grid.shape)
    sampled = resample(volume, grid, antialias=False)
    np.testing.assert_allclose(sampled.array, expected.array, rtol=1e-5)


@pytest.mark.parametrize(
    "affine", [np.diag([0.6, 1.4, 2, 1.0]), SHEARED], ids=["aligned", "sheared"]
)
def test_linear_interpolation_equals_the_naive_sum(affine):
    rng = np.random.default_rng(1)
    volume = Volume(rng.normal(size=(5, 6, 7)), np.eye(4), "CT")
    affine = affine.copy()
    affine[:3, 3] = [-1, 0.3, 2]
    grid = Grid((7, 5, 4), affine)
    sampled = resample(volume, grid, antialias=False).array
    for index in np.ndindex(grid.shape):
        place = apply_affine(affine, index)
        if (place < -0.5).any() or (place > np.array(volume.shape) - 0.5).any():
            assert sampled[index] == -1000
            continue
        place = np.clip(place, 0, np.array(volume.shape) - 1)
        floor = np.minimum(place.astype(int), np.array(volume.shape) - 2)
        share = place - floor
        expected = sum(
            np.prod(np.where(corner, share, 1 - share)) * volume.array[tuple(floor + corner)]
            for corner in product((0, 1), repeat=3)
        )
        assert sampled[index] == pytest.approx(expected, abs=1e-4)


def test_labels_keep_their_type_and_are_never_mixed():
    labels = np.random.default_rng(2).choice([0, 3, 700], size=(9, 9, 9)).astype(np.uint16)
    volume = Volume(labels, np.eye(4), "LABEL")
    sampled = resample(volume, grid_with_spacing(Grid.of(volume), (2, 0.5, 1.3)))
    assert sampled.array.dtype == np.uint16
    assert set(np.unique(sampled.array)) <= {0, 3, 700}
    mask = resample(Volume(labels > 0, np.eye(4), "LABEL"), Grid((3, 3, 3), np.eye(4)))
    np.testing.assert_array_equal(mask.array, labels[:3, :3, :3] > 0)


@pytest.mark.parametrize("factor", [2, 3.3])
def test_antialiasing_matches_the_resolution_of_the_target(factor):
    sigma = antialias_sigma(np.diag([factor, 1, 0.5, 1]))
    # Two Gaussians convolve to one whose variances add: source voxel and filter to target voxel.
    fwhm = 2 * math.sqrt(2 * math.log(2))
    assert math.hypot(1 / fwhm, sigma[0]) == pytest.approx(factor / fwhm)
    assert sigma[1:] == (0, 0)


def test_down_sampling_does_not_alias_a_fine_pattern():
    stripes = np.tile(np.array([0.0, 100.0]), 32)[:, None, None] * np.ones((1, 8, 8))
    volume = Volume(stripes, np.eye(4), "MR")
    grid = grid_with_spacing(Grid.of(volume), (3.0, 1.0, 1.0))
    inner = slice(2, -2)
    assert resample(volume, grid).array[inner].std() < 3
    assert resample(volume, grid, antialias=False).array[inner].std() > 20


def test_a_coarse_grid_and_back_leaves_no_rim():
    volume = Volume(np.full((9, 8, 7), 40, np.int16), np.diag([1, 1, 1.3, 1]), "CT")
    coarse = resample(volume, grid_with_spacing(Grid.of(volume), (2.0, 2.0, 2.0)))
    back = resample(coarse, Grid.of(volume))
    np.testing.assert_allclose(back.array, 40, rtol=1e-5)


def test_beyond_the_source_is_background():
    volume = Volume(np.zeros((4, 4, 4)), np.eye(4), "CT")
    sampled = resample(volume, Grid((8, 4, 4), np.eye(4))).array
    assert (sampled[:4] == 0).all()
    assert (sampled[4:] == -1000).all()
