"""Steps between slices and at borders of patches, against closed forms and plain loops."""

import math
from itertools import product

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from medgan.errors import DataError
from medgan.metrics.continuity import seam_ratio, slice_discontinuity

CUBE_MM = (1.0, 1.0, 1.0)


def smooth_field(shape, seed=0, sigma=2.0):
    return gaussian_filter(np.random.default_rng(seed).normal(size=shape), sigma, mode="wrap")


def everywhere(array):
    return np.ones(array.shape, bool)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_field_that_is_alike_along_all_axes_reads_1(axis):
    field = smooth_field((48, 48, 48))
    found = slice_discontinuity(field, everywhere(field), CUBE_MM, axis)
    assert found == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("spacing", [CUBE_MM, (0.5, 2.0, 3.0)])
def test_a_slope_reads_the_ratio_of_its_gradients_per_mm(spacing):
    axes = np.meshgrid(*(np.arange(9) * each for each in spacing), indexing="ij")
    slope = 2 * axes[0] - 4 * axes[1] + 9 * axes[2]
    found = [slice_discontinuity(slope, everywhere(slope), spacing, axis) for axis in range(3)]
    assert found == pytest.approx([2 / 6.5, 4 / 5.5, 9 / 3])


def test_an_offset_for_each_slice_raises_the_value_by_what_it_adds():
    """Independent offsets that are large beside the steps add their own mean difference."""
    field = smooth_field((40, 40, 40))
    offsets = 50 * np.random.default_rng(1).normal(size=40)
    found = slice_discontinuity(field + offsets, everywhere(field), CUBE_MM)
    in_plane = np.mean([np.abs(np.diff(field, axis=axis)).mean() for axis in (0, 1)])
    assert found == pytest.approx(np.abs(np.diff(offsets)).mean() / in_plane, rel=0.01)


def test_a_reference_takes_out_what_is_anatomy():
    ramp = smooth_field((24, 24, 24)) + 0.2 * np.arange(24)
    twice, full = 2 * ramp + 5, everywhere(ramp)
    assert slice_discontinuity(ramp, full, CUBE_MM) > 2
    assert slice_discontinuity(twice, full, CUBE_MM, reference=ramp) == pytest.approx(1)
    steep = ramp + 10 * (np.arange(24) >= 12)
    borders = [[], [], [12]]
    assert seam_ratio(steep, borders, full) > 20
    assert seam_ratio(2 * steep, borders, full, reference=steep) == pytest.approx(1)


def test_only_steps_with_both_voxels_in_the_mask_count():
    rng = np.random.default_rng(2)
    array, mask = rng.normal(size=(7, 6, 5)), rng.random((7, 6, 5)) < 0.6
    steps = {axis: [] for axis in range(3)}
    for index in product(*(range(n) for n in array.shape)):
        for axis in range(3):
            after = tuple(i + (each == axis) for each, i in enumerate(index))
            if after[axis] < array.shape[axis] and mask[index] and mask[after]:
                steps[axis].append(abs(array[after] - array[index]))
    slopes = [np.mean(steps[axis]) / h for axis, h in enumerate((1.0, 2.0, 4.0))]
    found = slice_discontinuity(array, mask, (1.0, 2.0, 4.0))
    assert found == pytest.approx(slopes[2] / ((slopes[0] + slopes[1]) / 2))
    array[~mask] = 1e9
    assert slice_discontinuity(array, mask, (1.0, 2.0, 4.0)) == found


def test_a_flat_image_and_an_empty_mask_are_undefined():
    flat = np.zeros((4, 4, 4))
    assert math.isnan(slice_discontinuity(flat, everywhere(flat), CUBE_MM))
    assert math.isnan(slice_discontinuity(smooth_field((4, 4, 4)), flat > 1, CUBE_MM))
    layers = np.broadcast_to(np.arange(4.0), (4, 4, 4))
    assert slice_discontinuity(layers, everywhere(flat), CUBE_MM) == math.inf
    assert math.isnan(seam_ratio(flat, [[2], [], []], everywhere(flat)))


BORDERS = [[16, 32], [24], [12, 24, 36]]


def tiled(field, height):
    """The field with a checkerboard of offsets: +height and -height in neighbouring tiles."""
    parity = np.zeros(field.shape, int)
    for axis, indices in enumerate(BORDERS):
        tile = np.searchsorted(indices, np.arange(field.shape[axis]), side="right")
        parity += np.moveaxis(tile.reshape(-1, 1, 1), 0, axis)
    return field + height * np.where(parity % 2, 1, -1)


@pytest.mark.parametrize("within", [None, 4])
def test_borders_that_do_not_show_read_1(within):
    field = smooth_field((48, 48, 48), sigma=1.5)
    assert seam_ratio(field, BORDERS, everywhere(field), within) == pytest.approx(1, abs=0.03)


def test_tiles_of_another_offset_read_what_the_offset_adds():
    field = smooth_field((48, 48, 48), sigma=1.5)
    height = 100.0
    found = seam_ratio(tiled(field, height), BORDERS, everywhere(field))
    # Every step across a border is 2 * height; those elsewhere are the field's.
    elsewhere = 0.0
    for axis, indices in enumerate(BORDERS):
        steps = np.abs(np.diff(field, axis=axis))
        others = np.delete(steps, np.array(indices) - 1, axis=axis)
        elsewhere += len(indices) * others.mean() / sum(map(len, BORDERS))
    assert found == pytest.approx(2 * height / elsewhere, rel=0.01)


def test_a_small_offset_is_seen_although_it_is_smaller_than_the_steps():
    field = smooth_field((48, 48, 48), sigma=1.5)
    step = np.abs(np.diff(field, axis=0)).mean()
    found = seam_ratio(tiled(field, step / 2), BORDERS, everywhere(field))
    clean = seam_ratio(field, BORDERS, everywhere(field))
    # The mean of |x + d| for normal x with mean |x| = d.
    expected = math.exp(-1 / math.pi) + math.erf(1 / math.sqrt(math.pi))
    assert found / clean == pytest.approx(expected, rel=0.03)


def test_an_axis_rougher_than_the_others_does_not_pass_for_seams():
    field = smooth_field((60, 60, 60)) * 1.0
    rough = field + 0.5 * np.random.default_rng(3).normal(size=60)[None, None]
    found = seam_ratio(rough, [[], [], list(range(2, 59, 3))], everywhere(rough))
    both = seam_ratio(rough, [[30], [], list(range(2, 59, 3))], everywhere(rough))
    assert both == pytest.approx(found, rel=0.02)


def test_planes_near_a_border_keep_the_anatomy_farther_away_out():
    ramp = np.cumsum(np.where(np.arange(40) < 20, 1.0, 9.0))
    array = np.broadcast_to(ramp[:, None], (40, 5))
    borders = [[10], []]
    assert seam_ratio(array, borders, everywhere(array), within=3) == 1
    assert seam_ratio(array, borders, everywhere(array)) < 0.3


def test_steps_across_the_edge_of_the_mask_are_no_seam():
    array = np.zeros((12, 6))
    array[6:] = 1000.0
    array += np.arange(12)[:, None]
    mask = everywhere(array)
    assert seam_ratio(array, [[6], []], mask) == 1001
    mask[6:, :] = False
    assert math.isnan(seam_ratio(array, [[6], []], mask))


@pytest.mark.parametrize("index", [0, 12, -1])
def test_a_border_outside_the_array_is_refused(index):
    array = np.zeros((12, 6))
    with pytest.raises(DataError, match="lies outside the array"):
        seam_ratio(array, [[index], []], everywhere(array))


def test_shapes_that_do_not_fit_are_refused():
    array = np.zeros((12, 6, 4))
    with pytest.raises(DataError, match="another image"):
        slice_discontinuity(array, np.ones((12, 6), bool), CUBE_MM)
    with pytest.raises(DataError, match="for each axis"):
        seam_ratio(array, [[2]], everywhere(array))
    with pytest.raises(DataError, match="of a volume"):
        slice_discontinuity(array[0], everywhere(array[0]), CUBE_MM)
