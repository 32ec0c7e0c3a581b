"""Random patches of volumes: where they lie, how they are turned, what is known of them."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from medgan.config import PreparationConfig
from medgan.data.depth import draw_slices, vertex_of
from medgan.data.patch_augmentation import PatchView, vary_contrast
from medgan.data.patches import UnpairedPatches
from medgan.data.preparation import Prepared
from medgan.data.slices import SliceStack
from medgan.errors import DataError
from medgan.volumes import Volume
from medgan.volumes.intensity import PercentileScale, WindowScale

PREPARATION = PreparationConfig(patch=(16, 20, 16))
SPACING_MM = (3.0, 3.0, 4.0)


def mask_of(areas):
    mask = np.zeros((20, 20, len(areas)), dtype=bool)
    for k, area in enumerate(areas):
        mask[:, :, k].flat[:area] = True
    return mask


def ball(shape=(30, 32, 28), modality="CT"):
    """A ball whose values are the height of each voxel."""
    points = np.indices(shape)
    middle = np.reshape([(size - 1) / 2 for size in shape], (3, 1, 1, 1))
    mask = (((points - middle) * np.reshape(SPACING_MM, (3, 1, 1, 1))) ** 2).sum(0) < 40**2
    values = np.where(mask, 100.0 + 10.0 * points[2], 0.0 if modality == "MR" else -1000.0)
    volume = Volume(values.astype(np.float32), np.diag([*SPACING_MM, 1]), modality)
    scale = PercentileScale(500, 99.5) if modality == "MR" else WindowScale(-1000, 1000)
    return Prepared(volume, mask, mask, scale, SPACING_MM)


def test_depth_counts_from_the_highest_slice_with_a_body():
    frame = vertex_of(mask_of([300, 300, 300, 300, 10, 0]), 5.0)
    assert (frame.vertex, frame.has_vertex) == (4, True)
    assert frame.usable.tolist() == [0, 1, 2, 3]
    assert frame.depth_mm.tolist() == [20, 15, 10, 5]
    assert [frame.nearest(depth) for depth in (-30, 9, 13, 500)] == [3, 2, 1, 0]
    assert (frame.known_depth_mm(1.5), frame.known_depth_mm(5)) == (12.5, -5)


def test_depth_is_not_known_where_the_scan_ends_below_the_vertex():
    frame = vertex_of(mask_of([300, 300, 200]), 5.0)
    assert not frame.has_vertex
    assert frame.known_depth_mm(1) is None


def test_a_scan_without_a_body_has_no_vertex():
    with pytest.raises(DataError, match="without a body"):
        vertex_of(mask_of([0, 0]), 1.0)


def test_patches_and_slices_are_measured_alike():
    scan = ball()
    frame, stack = vertex_of(scan.mask, SPACING_MM[2]), SliceStack((scan,))
    for index in range(scan.mask.shape[2]):
        assert frame.known_depth_mm(index) == stack.at(index).depth_mm


def test_slices_of_two_scans_are_drawn_at_one_depth_from_the_range_they_share():
    long = vertex_of(mask_of([200] * 69 + [50]), 3.0)
    short = vertex_of(mask_of([200] * 19 + [50]), 5.0)
    rng = np.random.default_rng(0)
    pairs = [draw_slices(long, short, rng, match_position=True) for _ in range(500)]
    depths = np.array([(3.0 * (69 - a), 5.0 * (19 - b)) for a, b in pairs])
    assert depths[:, 0].max() <= 95
    # the jitter, and half a slice of the target
    assert np.abs(depths[:, 0] - depths[:, 1]).max() <= 10 + 2.5
    free = [draw_slices(long, short, rng, match_position=False)[0] for _ in range(500)]
    assert min(free) < 5


def test_a_view_that_changes_nothing_is_the_patch_itself_with_air_beyond_the_volume():
    images = np.random.default_rng(0).uniform(-1, 1, (2, 10, 9, 8)).astype(np.float32)
    view = PatchView((16, 6, 8), np.eye(3), np.array([4.5, 3.5, 6.5]))
    expected = np.pad(images, [(0, 0), (3, 3), (0, 0), (0, 3)], constant_values=-1)
    np.testing.assert_array_equal(view.of_image(images), expected[:, :16, 1:7, 3:11])
    body = images[0] > 0
    padded = np.pad(body, [(3, 3), (0, 0), (0, 3)])[:16, 1:7, 3:11]
    np.testing.assert_array_equal(view.of_mask(body), padded[None])


def test_a_mirror_turns_left_and_right_only():
    images = np.random.default_rng(0).uniform(-1, 1, (1, 12, 12, 12)).astype(np.float32)
    centre = np.array([5.5, 5.5, 5.5])
    plain = PatchView((8, 8, 8), np.eye(3), centre).of_image(images)
    mirrored = PatchView((8, 8, 8), np.diag([-1.0, 1, 1]), centre).of_image(images)
    np.testing.assert_array_equal(mirrored, plain[:, ::-1])


@pytest.mark.parametrize("seed", range(4))
def test_a_ramp_turns_as_its_closed_form_does(seed):
    slope, shape = np.array([0.004, -0.003, 0.002]), (60, 60, 60)
    points = np.stack(np.indices(shape), axis=-1) * SPACING_MM
    ramp = (points - 90.0) @ slope
    centre = np.array([30.0, 28.0, 31.0])
    view = PatchView.draw((12, 12, 12), centre, SPACING_MM, np.random.default_rng(seed))
    found = view.of_image(ramp[None].astype(np.float32))[0]
    # by hand, in mm: the turn about the centre comes back from the matrix
    in_mm = np.diag(SPACING_MM) @ view.matrix @ np.diag(1 / np.array(SPACING_MM))
    offsets = (np.stack(np.indices((12, 12, 12)), axis=-1) - 5.5) * SPACING_MM
    expected = (centre * SPACING_MM + offsets @ in_mm.T - 90.0) @ slope
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_views_are_rigid_in_mm_but_for_mirror_and_scale_and_stay_in_their_ranges():
    rng = np.random.default_rng(0)
    mirrors, angles, scales = [], [], []
    for _ in range(300):
        view = PatchView.draw((8, 8, 8), np.zeros(3), SPACING_MM, rng)
        in_mm = np.diag(SPACING_MM) @ view.matrix @ np.diag(1 / np.array(SPACING_MM))
        scale = abs(np.linalg.det(in_mm)) ** (1 / 3)
        np.testing.assert_allclose(in_mm @ in_mm.T, scale**2 * np.eye(3), atol=1e-9)
        mirror = np.linalg.det(in_mm) < 0
        turn = in_mm / scale @ np.diag([-1.0 if mirror else 1.0, 1, 1])
        angles.append(np.rad2deg(Rotation.from_matrix(turn).magnitude()))
        mirrors.append(mirror)
        scales.append(scale)
    assert 0.4 < np.mean(mirrors) < 0.6
    assert 9 < max(angles) <= 10
    assert 0.9 <= min(scales) < 0.91
    assert 1.09 < max(scales) <= 1.1


def test_contrast_varies_by_channel_and_leaves_air_and_the_brightest_alone():
    image = np.linspace(-1, 1, 50, dtype=np.float32).reshape(1, 2, 5, 5).repeat(2, axis=0)
    seen = [vary_contrast(image, np.random.default_rng(seed)) for seed in range(40)]
    changed = np.array([np.abs(view - image).max(axis=(1, 2, 3)) > 1e-4 for view in seen])
    assert 0.3 < changed.mean() < 0.7
    assert (changed[:, 0] != changed[:, 1]).any()
    for view in seen:
        assert view.dtype == np.float32
        assert (np.diff(view.reshape(2, -1)) > 0).all()
        np.testing.assert_allclose(view[:, [0, -1], [0, -1], [0, -1]], [[-1, 1]] * 2, atol=1e-6)


def make_patches(**changes):
    source = [(ball(modality="MR"), ball(modality="MR"))]
    settings = {"match_position": True} | changes
    return UnpairedPatches(source, [(ball((30, 32, 24)),)], PREPARATION, **settings)


def test_a_pair_has_the_shape_of_the_patch_and_is_determined_by_its_number():
    patches = make_patches()
    source, target = patches.draw(np.random.default_rng(3))
    assert (source.image.shape, source.body.shape) == ((2, 16, 20, 16), (1, 16, 20, 16))
    assert (target.image.shape, target.body.shape) == ((1, 16, 20, 16), (1, 16, 20, 16))
    for sample in (source, target):
        assert sample.neighbours is None
        assert (sample.image.dtype, sample.body.dtype) == (np.float32, np.bool_)
        assert -1 <= sample.image.min() < sample.image.max() <= 1
    again = patches.draw(np.random.default_rng(3))
    np.testing.assert_array_equal(again[0].image, source.image)
    np.testing.assert_array_equal(again[1].image, target.image)
    other = patches.draw(np.random.default_rng(4))
    assert not np.array_equal(other[0].image, source.image)


def test_the_middle_of_a_patch_shows_the_depth_it_is_said_to_have():
    patches, rng = make_patches(), np.random.default_rng(0)
    frame = vertex_of(ball((30, 32, 24)).mask, SPACING_MM[2])
    for _ in range(30):
        source, target = patches.draw(rng)
        assert abs(source.depth_mm - target.depth_mm) <= 10 + SPACING_MM[2] / 2
        middle = target.image[0, 7:9, 9:11, 7:9]
        if (middle > -0.8).all() and target.body[0, 4:12, 6:14, 4:12].all():
            height = ((middle.mean() + 1) * 1000 - 1000 - 100) / 10
            assert height == pytest.approx(frame.vertex - target.depth_mm / 4, abs=0.05)


def test_the_middles_are_spread_evenly_over_the_body():
    patches, rng = make_patches(match_position=False), np.random.default_rng(0)
    scan = ball((30, 32, 24))
    frame = vertex_of(scan.mask, SPACING_MM[2])
    drawn = [patches.draw(rng)[1].depth_mm / SPACING_MM[2] for _ in range(400)]
    area = scan.mask.sum(axis=(0, 1))
    expected = np.average(frame.vertex - np.arange(24), weights=area)
    spread = np.sqrt(np.average((frame.vertex - np.arange(24) - expected) ** 2, weights=area))
    assert np.mean(drawn) == pytest.approx(expected, abs=4 * spread / 20)
    assert np.std(drawn) == pytest.approx(spread, rel=0.15)


def test_hounsfield_units_keep_their_meaning():
    patches, rng = make_patches(), np.random.default_rng(0)
    for _ in range(10):
        _, target = patches.draw(rng)
        inside = target.image[target.body]
        # the ball's values lie between 100 and 330 HU; only its rim is mixed with air
        assert inside.max() <= 0.33 + 1e-5


def test_both_domains_are_needed():
    with pytest.raises(DataError, match="both domains"):
        UnpairedPatches([], [(ball(),)], PREPARATION, match_position=True)
