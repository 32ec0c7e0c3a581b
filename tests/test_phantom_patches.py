"""3-D samples of phantoms: partial volume, place and depth against direct computation."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from medgan.config import NetworkConfig, PhantomConfig, PreparationConfig
from medgan.data.label_volumes import BOX_MM, LabelVolume, volume_library
from medgan.data.phantom_patches import PhantomPatches, label_step_mm
from medgan.phantoms.anatomy import HeadAnatomy
from medgan.phantoms.from_ct import ScannedAnatomy
from medgan.phantoms.randomised import standard_signal
from medgan.phantoms.rendered_patch import patch_visit, render_patch
from medgan.phantoms.tissues import N_LABELS, Tissue
from medgan.phantoms.visit import Pose, Texture
from medgan.volumes import Volume
from medgan.volumes.intensity import WindowScale

SIZE = (24, 28, 20)
STEP = (5.0, 5.0, 6.0)
PREPARATION = PreparationConfig(spacing_mm=STEP, patch=SIZE)
NETWORK = NetworkConfig(spatial_dims=3)
SETTINGS = PhantomConfig(heads=2, validation_heads=1)
IMAGES = ("mr", "ct", "noisy_ct", "standard_mr")


@pytest.fixture(scope="module")
def phantoms():
    return PhantomPatches.training(SETTINGS, PREPARATION, NETWORK)


def test_a_patch_follows_from_its_generator(phantoms):
    first, again, other = (phantoms.draw(np.random.default_rng(seed)) for seed in (1, 1, 2))
    for name in (*IMAGES, "body", "depth_mm"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert not np.array_equal(first.mr, other.mr)


def test_a_patch_is_air_outside_the_body_and_in_range(phantoms):
    shares = []
    for seed in range(12):
        sample = phantoms.draw(np.random.default_rng(seed))
        for image in (getattr(sample, name) for name in IMAGES):
            assert image.shape == sample.body.shape == (1, *SIZE)
            assert image.dtype == np.float32
            assert -1 <= image.min() < image.max() <= 1
        assert (sample.mr[~sample.body] == -1).all()
        assert (sample.standard_mr[~sample.body] == -1).all()
        np.testing.assert_array_equal(sample.noisy_ct[~sample.body], sample.ct[~sample.body])
        shares.append(sample.body.mean())
    assert min(shares) > 0.02
    assert np.mean(shares) > 0.3, "patches lie about the body"


def test_every_contrast_is_a_channel(phantoms):
    patches = PhantomPatches(phantoms.heads, ("t1", "t2"), PREPARATION)
    sample = patches.draw(np.random.default_rng(0))
    assert sample.mr.shape == sample.standard_mr.shape == (2, *SIZE)
    assert sample.given("CT").image.shape == (1, *SIZE)
    t1, t2 = sample.standard_mr[:, sample.body[0]]
    assert np.corrcoef(t1, t2)[0, 1] < 0.9


def test_the_library_is_made_once_and_holds_heads_on_their_grid(tmp_path):
    (made,) = volume_library(range(3, 4), 6.0, tmp_path)
    (path,) = tmp_path.iterdir()
    before = path.stat().st_mtime_ns
    (again,) = volume_library(range(3, 4), 6.0, tmp_path)
    np.testing.assert_array_equal(again.labels, made.labels)
    assert path.stat().st_mtime_ns == before
    volume_library(range(3, 4), 8.0, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    voxels = np.argwhere(np.ones_like(made.labels))[::37]
    points = voxels * 6.0 + np.array([low for low, _ in BOX_MM])
    np.testing.assert_array_equal(made.labels[tuple(voxels.T)], HeadAnatomy(3).labels(points))
    assert (made.labels[0] == 0).all() and (made.labels[..., -1] == 0).all(), "heads fit the box"


def test_training_and_validation_never_share_an_anatomy(phantoms):
    held_out = PhantomPatches.validation(SETTINGS, PREPARATION, NETWORK).heads
    assert len(held_out) == 1 and len(phantoms.heads) == 2
    assert not any(np.array_equal(held_out[0].labels, head.labels) for head in phantoms.heads)


@pytest.fixture(scope="module")
def shells():
    """Nested balls of different tissues in air, 2 mm labels."""
    x, y, z = np.indices((60, 66, 70)) - np.array([29.5, 32.5, 34.5])[:, None, None, None]
    radius = np.sqrt(x**2 + y**2 + z**2)
    labels = np.zeros(radius.shape, np.uint8)
    for limit, tissue in ((27, Tissue.FAT), (24, Tissue.CORTICAL_BONE), (20, Tissue.WHITE_MATTER)):
        labels[radius < limit] = tissue
    return LabelVolume(labels, 2.0)


def plain_visit(rng, pose, spacing_mm):
    """A visit without blur or texture, whose images are means over voxels and nothing else."""
    visit = patch_visit(
        rng, ["t1", "t2"], pose=lambda rng: pose, shape=pose.shape, spacing_mm=spacing_mm
    )
    zero = np.zeros(pose.shape, np.float32)
    looks = tuple(replace(look, blur_mm=1e-3, standard_blur_mm=1e-3) for look in visit.looks)
    return replace(visit, looks=looks, ct_blur_mm=1e-3, texture=Texture(zero, zero))


def naive_means(labels, table, pose):
    """The mean of a table over eight points of every voxel, point by point."""
    result = np.zeros(pose.shape)
    for voxel in np.ndindex(*pose.shape):
        for part in np.ndindex(2, 2, 2):
            where = np.array(voxel) + np.array(part) / 2 - 0.25
            point = np.floor(pose.matrix @ where + pose.offset + 0.5).astype(int)
            inside = (point >= 0).all() and (point < labels.shape).all()
            result[voxel] += table[labels[tuple(point)] if inside else Tissue.AIR] / 8
    return result


@pytest.mark.parametrize("middle", [(29.5, 32.5, 34.5), (50.0, 10.0, 66.0), (90.0, 90.0, 90.0)])
def test_voxels_are_means_over_the_labels_within_them(shells, middle):
    spacing = (4.0, 4.0, 5.0)
    turn = Rotation.from_euler("xyz", (8, -4, 12), degrees=True).as_matrix()
    pose = Pose.about(np.array(middle), turn * np.array(spacing) / 2.0, (14, 12, 10))
    rng = np.random.default_rng(0)
    visit = plain_visit(rng, pose, spacing)
    images = render_patch(visit, shells.labels, rng, spacing_mm=spacing)
    for look, standard in zip(visit.looks, images.standard_mr, strict=True):
        expected = naive_means(shells.labels, look.standard, pose)
        # single precision may put a point of many into the next voxel
        assert (np.abs(standard - expected) < 1e-4).mean() > 0.995
    body = naive_means(shells.labels, (np.arange(N_LABELS) > 0).astype(float), pose)
    assert (images.mask == (body >= 0.5)).mean() > 0.995
    error = images.ct - naive_means(shells.labels, visit.hu, pose)
    assert np.abs(error * images.mask).mean() < 1.5 * images.ct_noise_hu


def test_partial_volume_is_that_of_the_head_itself():
    """Oracle: the anatomy asked at 64 points of every voxel."""
    head, spacing, shape = HeadAnatomy(3), (3.0, 3.0, 3.0), (16, 16, 16)
    (volume,) = volume_library(range(3, 4), 2.0)
    corner = np.array([-60.0, -90.0, 0.0])
    fine = np.indices([4 * size for size in shape]).reshape(3, -1).T / 4 - 0.375
    standard = standard_signal("t1")
    values = standard[head.labels(corner + fine * 3.0)]
    truth = values.reshape(16, 4, 16, 4, 16, 4).mean(axis=(1, 3, 5))
    first = (corner - [limits[0] for limits in BOX_MM]) / volume.step_mm

    def agreement(moved):
        pose = Pose(np.eye(3) * 1.5, first + moved, shape)
        rng = np.random.default_rng(0)
        visit = plain_visit(rng, pose, spacing)
        made = render_patch(visit, volume.labels, rng, spacing_mm=spacing).standard_mr[0]
        assert abs(made.mean() - truth.mean()) < 0.03 * truth.mean()
        return np.corrcoef(made.ravel(), truth.ravel())[0, 1]

    here = agreement(np.zeros(3))
    assert here > 0.95
    for axis in range(3):
        for moved in (-0.6, 0.6):
            assert agreement(moved * np.eye(3)[axis]) < here, "not a fraction of a voxel off"


def test_blur_is_as_wide_in_millimetres_along_every_axis(shells):
    spacing = (2.0, 2.0, 4.0)
    labels = np.full((40, 40, 40), Tissue.WHITE_MATTER, np.uint8)
    labels[20:, :, :] = Tissue.AIR
    pose = Pose.about(np.array([19.5, 19.5, 19.5]), np.diag([1.0, 1.0, 2.0]), (20, 20, 12))
    turned = Pose(pose.matrix[::-1], pose.offset[::-1], pose.shape)
    widths = []
    for place, axis in ((pose, 0), (turned, 2)):
        rng = np.random.default_rng(1)
        visit = plain_visit(rng, place, spacing)
        visit = replace(
            visit, looks=tuple(replace(look, standard_blur_mm=4.0) for look in visit.looks)
        )
        image = render_patch(visit, labels, rng, spacing_mm=spacing).standard_mr[0]
        profile = image.mean(axis=tuple({0, 1, 2} - {axis}))
        slope = -np.diff(profile)
        where = np.arange(len(slope)) * spacing[axis]
        middle = (slope * where).sum() / slope.sum()
        widths.append(np.sqrt((slope * (where - middle) ** 2).sum() / slope.sum()))
    assert widths[0] == pytest.approx(4.0, rel=0.2)
    assert widths[1] == pytest.approx(widths[0], rel=0.25)


def test_depth_is_that_of_a_ball_however_the_patch_is_turned(shells):
    """Closed form: the top of a ball of radius r lies r above its centre, stretched alike."""
    radius_mm, centre = 27 * 2.0, np.array([29.5, 32.5, 34.5])
    for seed in range(20):
        pose = shells.random_pose(np.random.default_rng(seed), SIZE, STEP)
        up = np.linalg.inv(pose.matrix)[2] * STEP[2]
        middle = pose.offset + pose.matrix @ ((np.array(SIZE) - 1) / 2)
        expected = up @ (centre - middle) + np.linalg.norm(up) * radius_mm / 2.0
        assert shells.depth_mm(pose, STEP[2]) == pytest.approx(expected, abs=2.5)
    below = LabelVolume(shells.labels[..., :40], 2.0)
    assert below.depth_mm(pose, STEP[2]) is None, "the vertex is not in the scan"


def test_patches_are_mirrored_half_of_the_time_and_centred_on_the_body(shells):
    poses = [shells.random_pose(np.random.default_rng(seed), SIZE, STEP) for seed in range(100)]
    mirrored = [np.linalg.det(pose.matrix) < 0 for pose in poses]
    assert 30 < sum(mirrored) < 70
    for pose in poses:
        middle = pose.matrix @ ((np.array(SIZE) - 1) / 2) + pose.offset
        assert shells.labels[tuple(np.round(middle).astype(int))] > 0
        turn = pose.matrix / np.linalg.norm(pose.matrix, axis=0)
        assert turn[2, 2] > np.cos(np.deg2rad(14)), "the third axis stays nearly upright"
        assert 0.88 <= 2.0 * np.linalg.norm(pose.matrix[:, 2]) / STEP[2] * 0.99 <= 1.15


def test_a_cut_head_ends_where_the_cut_is(phantoms):
    whole = phantoms.heads[0]
    cut = whole.cut_below(12)
    np.testing.assert_array_equal(cut.labels, whole.labels[..., 12:])
    pose = Pose.about(np.array([25.0, 30.0, 0.0]), np.eye(3), (16, 16, 16))
    rng = np.random.default_rng(0)
    visit = plain_visit(rng, pose, (4.0, 4.0, 4.0))
    mask = render_patch(visit, cut.labels, rng, spacing_mm=(4.0, 4.0, 4.0)).mask
    assert not mask[..., :7].any()
    assert mask[..., 8:].mean() > 0.2


def test_a_share_of_the_patches_has_the_anatomy_of_real_scans(phantoms):
    labels = np.zeros((80, 90, 100), np.uint8)
    labels[5:-5, 5:-5, 5:-5] = Tissue.MUSCLE
    hu = np.where(labels > 0, np.float32(321.4), np.float32(-1000))
    anatomy = ScannedAnatomy(Volume(labels, np.eye(4), "LABEL"), Volume(hu, np.eye(4), "CT"))
    always = SETTINGS.model_copy(update={"scanned_share": 1.0})
    patches = PhantomPatches.training(always, PREPARATION, NETWORK, [anatomy])
    window = WindowScale(*PREPARATION.window_hu)
    for seed in range(4):
        sample = patches.draw(np.random.default_rng(seed))
        measured = window.inverse(sample.ct[sample.body])
        assert abs(np.percentile(measured, 75) - 321) < 12, "measured HU are the truth"
    scanned = [LabelVolume.of(anatomy)]
    mixed = PhantomPatches(phantoms.heads, ("t1",), PREPARATION, scanned, scanned_share=0.25)
    drawn = [mixed._head(np.random.default_rng(i)).hu is not None for i in range(300)]
    assert 0.17 < np.mean(drawn) < 0.33


@pytest.mark.parametrize(("spacing", "step"), [(6.0, 4.0), (2.0, 4 / 3), (1.2, 1.0)])
def test_labels_are_finer_than_voxels_but_no_finer_than_a_millimetre(spacing, step):
    settings = PreparationConfig(spacing_mm=(spacing,) * 3)
    assert label_step_mm(settings) == pytest.approx(step)
