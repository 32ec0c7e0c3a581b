"""Which slices are drawn, from where, and how they are laid into the network's matrix."""

from dataclasses import replace

import numpy as np
import pytest

from medgan.data.preparation import Prepared
from medgan.data.slices import SliceStack, UnpairedSlices, fit_matrix
from medgan.errors import DataError
from medgan.volumes import Volume
from medgan.volumes.intensity import WindowScale

SPACING_MM = 5.0


def prepared(areas, spacing_mm=SPACING_MM):
    """A scan whose slice k has ``areas[k]`` body voxels, all of value 10 k HU."""
    mask = np.zeros((20, 20, len(areas)), dtype=bool)
    for k, area in enumerate(areas):
        mask[:, :, k].flat[:area] = True
    values = np.where(mask, 10.0 * np.arange(len(areas)), -1000.0).astype(np.float32)
    volume = Volume(values, np.diag([1, 1, spacing_mm, 1]), "CT")
    return Prepared(volume, mask, mask, WindowScale(-1000, 1000), volume.spacing_mm)


def index_of(view):
    """The number of the slice, read back from its values."""
    return round((float(view.image[view.body][0]) + 1) * 100 - 100)


def generator():
    return np.random.default_rng(0)


def unpaired(source, target, *, match_position, neighbours=0):
    """Slices of scans of one contrast, seen as they are."""
    return UnpairedSlices(
        [(scan,) for scan in source],
        [(scan,) for scan in target],
        (lambda sample, _: sample,) * 2,
        match_position=match_position,
        neighbours=neighbours,
    )


def test_slices_are_drawn_in_proportion_to_their_body_area():
    areas = np.array([400, 100, 200, 300, 19, 0])
    slices, rng = (
        unpaired([prepared(areas)] * 2, [prepared([1])], match_position=False),
        generator(),
    )
    draws = 4000
    found = np.bincount([index_of(slices.draw(rng)[0]) for _ in range(draws)], minlength=6)
    # 19 voxels are less than 5 % of the largest slice
    assert found[4] == found[5] == 0
    expected = draws * areas[:4] / areas[:4].sum()
    chi_square = ((found[:4] - expected) ** 2 / expected).sum()
    # the 99.9 % point with three degrees of freedom
    assert chi_square < 16.3


def test_depth_is_counted_from_the_topmost_slice_with_a_body():
    stack = SliceStack((prepared([300, 300, 300, 300, 10, 0]),))
    assert [stack.at(index).depth_mm for index in range(6)] == [20, 15, 10, 5, 0, -5]


def test_without_a_vertex_the_depth_is_not_known():
    stack = SliceStack((prepared([300, 300, 300]),))
    assert [stack.at(index).depth_mm for index in range(3)] == [None] * 3


@pytest.mark.parametrize(
    ("index", "beside"),
    [(2, [0, 1, 3, 4]), (0, [0, 0, 1, 2]), (1, [0, 0, 2, 3]), (4, [2, 3, 4, 4])],
)
def test_neighbours_lie_from_below_to_above_and_the_last_one_is_repeated(index, beside):
    stack = SliceStack((prepared([200] * 5),), neighbours=4)
    sample = stack.at(index)
    np.testing.assert_array_equal(sample.image, stack.images[..., index])
    expected = np.stack([stack.images[0, :, :, k] for k in beside])
    np.testing.assert_array_equal(sample.neighbours, expected)


def test_without_neighbours_there_are_none():
    assert SliceStack((prepared([200] * 5),)).at(2).neighbours is None


def test_contrasts_are_channels_and_those_of_a_neighbour_stay_together():
    first = prepared([200] * 5)
    other = replace(first, volume=first.volume.with_array(first.volume.array / 2))
    stack = SliceStack((first, other), neighbours=2)
    sample = stack.at(3)
    scaled = [contrast.scaled() for contrast in (first, other)]
    assert not np.array_equal(*scaled)
    np.testing.assert_array_equal(sample.image, [values[..., 3] for values in scaled])
    expected = [values[..., k] for k in (2, 4) for values in scaled]
    np.testing.assert_array_equal(sample.neighbours, expected)
    np.testing.assert_array_equal(sample.body[0], first.mask[..., 3])


def with_vertex(count, spacing_mm=SPACING_MM):
    return prepared([200] * (count - 1) + [50], spacing_mm)


def depth_of(view, count, spacing_mm=SPACING_MM):
    return (count - 1 - index_of(view)) * spacing_mm


def test_target_slices_lie_at_the_same_depth_within_the_jitter():
    slices = unpaired([with_vertex(40)], [with_vertex(70, 3.0)], match_position=True)
    rng = generator()
    difference = np.array(
        [depth_of(b, 70, 3.0) - depth_of(a, 40) for a, b in (slices.draw(rng) for _ in range(500))]
    )
    assert np.abs(difference).max() <= 10 + 3.0 / 2
    assert np.abs(difference).max() > 8
    assert abs(difference.mean()) < 1


@pytest.mark.parametrize(("ours", "theirs"), [(40, 20), (20, 40)])
def test_both_slices_come_from_the_depths_that_both_scans_have(ours, theirs):
    slices = unpaired([with_vertex(ours)], [with_vertex(theirs)], match_position=True)
    rng = generator()
    drawn = [slices.draw(rng) for _ in range(300)]
    assert max(depth_of(source, ours) for source, _ in drawn) == 19 * SPACING_MM
    deepest = max(depth_of(target, theirs) for _, target in drawn)
    assert 19 * SPACING_MM <= deepest <= 19 * SPACING_MM + 10


def test_a_short_scan_beside_a_long_one_is_matched_too():
    scans = [with_vertex(60, 3.0), with_vertex(20, 3.0)]
    slices = unpaired([with_vertex(60, 3.0)], scans, match_position=True)
    rng = generator()
    for _ in range(300):
        source, target = slices.draw(rng)
        # which of the two it was, and so its depth, only the nearer reading can tell
        gap = min(abs(depth_of(target, n, 3.0) - depth_of(source, 60, 3.0)) for n in (60, 20))
        assert gap <= 10 + 3.0 / 2


def test_a_scan_that_begins_below_the_vertex_is_drawn_from_by_area():
    areas = [400, 100, 200, 300]
    slices = unpaired([with_vertex(40)], [prepared(areas)], match_position=True)
    rng = generator()
    found = np.bincount([index_of(slices.draw(rng)[1]) for _ in range(2000)])
    expected = 2 * np.array(areas)
    assert ((found - expected) ** 2 / expected).sum() < 16.3


def test_without_matching_the_two_positions_have_nothing_to_do_with_each_other():
    slices = unpaired([with_vertex(30)], [with_vertex(30)], match_position=False)
    rng = generator()
    pairs = np.array([[index_of(view) for view in slices.draw(rng)] for _ in range(1000)])
    assert abs(np.corrcoef(pairs.T)[0, 1]) < 0.12
    assert np.abs(pairs[:, 0] - pairs[:, 1]).max() > 20


def test_every_patient_takes_part():
    scans = [prepared([200] * n) for n in (10, 20, 30)]
    slices = unpaired(scans, scans[:1], match_position=False)
    rng = generator()
    beyond = [index_of(slices.draw(rng)[0]) for _ in range(600)]
    share = np.mean(np.array(beyond) >= 20)
    # a third of the draws is from the third patient, a third of whose slices lie there
    assert share == pytest.approx(1 / 9, abs=4 * (8 / 81 / 600) ** 0.5)


def test_a_domain_without_scans_is_refused():
    with pytest.raises(DataError, match="1 source, 0 target"):
        unpaired([prepared([200])], [], match_position=True)


def test_a_scan_without_a_body_is_refused():
    with pytest.raises(DataError, match="without a body"):
        SliceStack((prepared([0, 0]),))


@pytest.mark.parametrize("shape", [(5, 8), (6, 7)])
def test_a_small_slice_is_padded_and_comes_back_entire(shape):
    image = generator().random((1, *shape)).astype(np.float32)
    fitted = fit_matrix(image, (12, 9), -1.0)
    assert fitted.shape == (1, 12, 9)
    assert fitted.dtype == np.float32
    assert (fitted == -1).sum() == 12 * 9 - image.size
    np.testing.assert_array_equal(fit_matrix(fitted, shape, 0.0), image)


def test_a_large_slice_is_cropped_around_its_middle():
    image = np.arange(60, dtype=np.float32).reshape(2, 6, 5)
    np.testing.assert_array_equal(fit_matrix(image, (2, 3), 0.0), image[:, 2:4, 1:4])
