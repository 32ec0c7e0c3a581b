"""Displacement of edges against closed forms and against contours of another library."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.spatial.distance import cdist
from skimage.measure import find_contours

from medgan.errors import DataError
from medgan.metrics.edges import BONE, SKIN, Edge, edge_displacement_mm


def ball(centre, radius, shape, spacing):
    """Bone in air, HU, its edge spread over 2.5 voxels as a scanner spreads it; circle in 2-D."""
    axes = np.meshgrid(
        *(np.arange(n) * h for n, h in zip(shape, spacing, strict=True)), indexing="ij"
    )
    depth = radius - np.sqrt(sum((a - c) ** 2 for a, c in zip(axes, centre, strict=True)))
    # The edge at 150 HU lies where the depth is 0.
    return 150 + np.clip(depth / (2.5 * max(spacing)), -0.5, 0.5) * 1600


def moved(result, reference, spacing, edge=BONE, mask=None):
    mask = np.ones(reference.shape, bool) if mask is None else mask
    return edge_displacement_mm(result, reference, mask, spacing, edge)


@pytest.mark.parametrize("shift", [0.1, 0.5, 1.0, 2.3])
@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.5, 2.0), (3.0, 1.0)])
def test_a_shifted_disk_reads_what_the_shift_is_across_its_edge(shift, spacing):
    """|n . s| over a circle is s |cos|: mean 2s/pi, median s sin(45 deg), 95 % below s."""
    shape = tuple(round(64 / each) for each in spacing)
    disks = [ball((31.3 + by, 32.1), 20, shape, spacing) for by in (shift, 0)]
    found = moved(*disks, spacing)
    assert found.mean_mm == pytest.approx(2 * shift / np.pi, rel=0.02)
    assert found.median_mm == pytest.approx(shift * np.sin(np.pi / 4), rel=0.06)
    assert found.p95_mm == pytest.approx(shift * np.sin(0.95 * np.pi / 2), rel=0.02)


@pytest.mark.parametrize("growth", [0.3, 1.0, 3.0])
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (1.0, 1.0, 3.0)])
@pytest.mark.parametrize("edge", [SKIN, BONE])
def test_a_sphere_that_has_grown_reads_the_growth(growth, spacing, edge):
    shape = tuple(round(44 / each) for each in spacing)
    balls = [ball((21.3, 22.2, 21.7), 12 + by, shape, spacing) for by in (growth, 0)]
    found = moved(*balls, spacing, edge)
    assert found.mean_mm == pytest.approx(growth, rel=0.02)
    assert found.p95_mm == pytest.approx(growth, abs=0.06 * max(spacing))


def contour_points(image, level):
    """The level lines of another library as dense points."""
    dense = []
    for line in find_contours(image, level):
        for start, end in pairwise(line):
            dense.append(start + np.linspace(0, 1, 10, endpoint=False)[:, None] * (end - start))
    return np.concatenate(dense)


def test_irregular_shapes_read_the_distances_of_their_contours():
    rng = np.random.default_rng(3)
    first = 3000 * gaussian_filter(rng.normal(size=(80, 80)), 6) * 6
    second = first + 1500 * gaussian_filter(rng.normal(size=(80, 80)), 6) * 6
    ours, theirs = contour_points(first, 150), contour_points(second, 150)
    between = cdist(ours, theirs)
    expected = np.concatenate([between.min(0), between.min(1)])
    found = moved(first, second, (1.0, 1.0))
    assert found.mean_mm == pytest.approx(expected.mean(), rel=0.05)
    assert found.p95_mm == pytest.approx(np.quantile(expected, 0.95), rel=0.08)
    assert 0.3 < found.mean_mm < 10


def test_the_same_image_has_not_moved_and_brightness_is_no_movement():
    disk = ball((15.0, 16.0), 9, (32, 32), (1.0, 1.0))
    assert moved(disk, disk, (1.0, 1.0)).p95_mm == pytest.approx(0, abs=1e-9)
    brighter = 150 + (disk - 150) * np.where(disk > 150, 1.5, 1)
    assert moved(brighter, disk, (1.0, 1.0)).p95_mm < 0.1
    assert np.abs(brighter - disk).max() > 300


def test_flips_exchanged_axes_and_exchanged_images_change_nothing():
    shape, spacing = (24, 20, 16), (1.0, 1.2, 2.0)
    one = ball((11.0, 12.3, 15.1), 8, shape, spacing)
    two = ball((11.9, 11.8, 15.9), 7.5, shape, spacing)
    found = moved(one, two, spacing)
    for axis in range(3):
        assert moved(np.flip(one, axis), np.flip(two, axis), spacing).mean_mm == pytest.approx(
            found.mean_mm, rel=1e-3
        )
    turned = moved(np.moveaxis(one, 0, 2), np.moveaxis(two, 0, 2), (1.2, 2.0, 1.0))
    assert turned.mean_mm == pytest.approx(found.mean_mm, rel=1e-9)
    back = moved(two, one, spacing)
    assert back.mean_mm == pytest.approx(found.mean_mm, rel=1e-9)
    assert (back.n_result, back.n_reference) == (found.n_reference, found.n_result)


def test_millimetres_scale_with_the_voxels():
    disks = [ball((31.3 + by, 32.1), 20, (64, 64), (1.0, 1.0)) for by in (1.4, 0)]
    small, large = (moved(*disks, spacing) for spacing in ((1.0, 1.0), (2.5, 2.5)))
    assert large.mean_mm == pytest.approx(2.5 * small.mean_mm, rel=1e-9)


def test_an_edge_that_is_missing_is_undefined_and_counted_rather_than_0():
    disk = ball((15.0, 16.0), 9, (32, 32), (1.0, 1.0))
    soft = np.minimum(disk, 40.0)
    found = moved(soft, disk, (1.0, 1.0))
    assert np.isnan([found.mean_mm, found.median_mm, found.p95_mm]).all()
    assert found.n_result == 0
    assert found.n_reference > 40
    assert moved(soft, disk, (1.0, 1.0), SKIN).mean_mm < 0.05


def test_the_skin_is_outermost_and_what_moves_inside_is_passed_over():
    spacing = (1.0, 1.0, 1.0)
    head = ball((20.0, 20.0, 20.0), 15, (41, 41, 41), spacing)
    sinuses = [
        np.minimum(head, -ball((20.0 + by, 20.0, 20.0), 5, (41, 41, 41), spacing) - 300)
        for by in (0, 3)
    ]
    assert moved(*sinuses, spacing, SKIN).p95_mm < 1e-6
    assert moved(*sinuses, spacing, Edge(-300.0)).p95_mm > 1
    assert moved(sinuses[0], head, spacing, SKIN).mean_mm < 1e-6


def test_only_edges_in_the_mask_are_measured_but_against_all_of_the_other_image():
    disks = [ball((31.3 + by, 32.1), 20, (64, 64), (1.0, 1.0)) for by in (3.0, 0)]
    side = np.zeros((64, 64), bool)
    side[48:, 30:35] = True
    found = moved(*disks, (1.0, 1.0), mask=side)
    assert found.mean_mm == pytest.approx(3, rel=0.02)
    assert found.n_result + found.n_reference < 30
    # The mask ends between the two edges: that of the result lies beyond.
    side[53:] = False
    beyond = moved(*disks, (1.0, 1.0), mask=side)
    assert beyond.n_result == 0
    assert np.isnan(beyond.mean_mm)


def test_images_that_cannot_be_compared_are_refused():
    disk = np.zeros((8, 8))
    with pytest.raises(DataError, match="on one grid"):
        moved(disk, np.zeros((8, 9)), (1.0, 1.0))
    with pytest.raises(DataError, match="on one grid"):
        moved(disk, disk, (1.0, 1.0, 1.0))
    with pytest.raises(DataError, match="not finite"):
        moved(disk * np.nan, disk, (1.0, 1.0))
