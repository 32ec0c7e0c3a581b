"""Samples of phantom slices: anatomy where it is, registered, with the slices beside them."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from medgan.config import NetworkConfig, PhantomConfig, PreparationConfig
from medgan.data.depth import vertex_of
from medgan.data.label_slices import LabelSlices, label_library
from medgan.data.phantom_slices import PhantomSlices
from medgan.data.planes import FINE_SIZE, slab_offsets, tilted_plane
from medgan.data.scanned_slices import SLICES_PER_SCAN, scanned_slices
from medgan.data.vertex import crown, depth_below
from medgan.phantoms.anatomy import HeadAnatomy
from medgan.phantoms.from_ct import ScannedAnatomy
from medgan.phantoms.tissues import TISSUES, Tissue
from medgan.volumes import Volume
from medgan.volumes.intensity import WindowScale

PREPARATION = PreparationConfig(spacing_mm=(4.0, 4.0, 4.0), matrix=(64, 64))
SETTINGS = PhantomConfig(heads=1, slices=3, validation_heads=1)
PLAIN = NetworkConfig()
IMAGES = ("mr", "ct", "noisy_ct", "standard_mr")


@pytest.fixture(scope="module")
def phantoms():
    return PhantomSlices.training(SETTINGS, PREPARATION, PLAIN)


def test_a_sample_follows_from_its_generator(phantoms):
    first, again, other = (phantoms.draw(np.random.default_rng(seed)) for seed in (1, 1, 2))
    for name in (*IMAGES, "body", "depth_mm"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert not np.array_equal(first.mr, other.mr)


def test_a_sample_is_air_outside_the_body_and_shares_its_anatomy(phantoms):
    for seed in range(6):
        sample = phantoms.draw(np.random.default_rng(seed))
        for image in (getattr(sample, name) for name in IMAGES):
            assert image.shape == sample.body.shape == (1, 64, 64)
            assert image.dtype == np.float32
            assert -1 <= image.min() < image.max() <= 1
        assert (sample.mr[~sample.body] == -1).all()
        assert (sample.standard_mr[~sample.body] == -1).all()
        noise = (sample.noisy_ct - sample.ct) * 1500
        assert np.abs(noise[~sample.body]).max() == 0
        assert noise[sample.body].std() < 26


@pytest.mark.parametrize(
    ("seed", "means", "slopes", "body", "following"),
    [
        (
            0,
            (-0.595796, -0.698282, -0.698313, -0.630499),
            (-0.01858, -0.013999, -0.014018, -0.015395),
            1327,
            1166908316,
        ),
        (
            1,
            (-0.480089, -0.57756, -0.57753, -0.590204),
            (-0.02622, 0.011463, 0.011607, -0.016161),
            1905,
            409427528,
        ),
        (
            3,
            (-0.564524, -0.60248, -0.60224, -0.55646),
            (-0.032106, -0.014279, -0.014189, -0.026591),
            1644,
            220600787,
        ),
    ],
)
def test_samples_stay_those_that_published_figures_were_made_from(
    seed, means, slopes, body, following
):
    """Moments of three samples of the first release, and what its generator gives next."""
    preparation = PreparationConfig(
        spacing_mm=(4, 4, 4), matrix=(52, 64), planes=("axial", "sagittal")
    )
    slices = PhantomSlices.training(PhantomConfig(heads=2, slices=3), preparation, PLAIN)
    rng = np.random.default_rng([7, seed])
    sample = slices.draw(rng)
    images = [getattr(sample, name)[0].astype(float) for name in IMAGES]
    np.testing.assert_allclose([image.mean() for image in images], means, atol=2e-5)
    ramp = np.linspace(-1, 1, 64)
    np.testing.assert_allclose([(image * ramp).mean() for image in images], slopes, atol=2e-5)
    assert abs(int(sample.body.sum()) - body) <= 2
    assert rng.integers(2**31) == following


def test_the_library_is_made_once_and_holds_heads(tmp_path):
    library = label_library(range(5, 7), 2, cache=tmp_path)
    assert library.labels.shape == (4, 1, 256, 256)
    assert library.labels.max() < len(Tissue)
    assert ((library.labels > 0).mean(axis=(1, 2, 3)) >= 0.03).all()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    again = label_library(range(5, 7), 2, cache=tmp_path)
    np.testing.assert_array_equal(again.labels, library.labels)
    np.testing.assert_array_equal(again.depth_mm, library.depth_mm)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before
    # another head or another number of slices is another library
    label_library(range(5, 6), 2, cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2 * len(before)


def test_a_head_is_the_same_in_every_library(tmp_path):
    both = label_library(range(5, 7), 2, cache=tmp_path)
    alone = label_library(range(6, 7), 2, cache=tmp_path)
    np.testing.assert_array_equal(alone.labels, both.labels[2:])
    np.testing.assert_array_equal(alone.depth_mm, both.depth_mm[2:])


def test_training_and_validation_never_share_an_anatomy(phantoms):
    training = phantoms.labels["axial"].labels
    validation = PhantomSlices.validation(SETTINGS, PREPARATION, PLAIN).labels["axial"].labels
    assert not any(np.array_equal(a, b) for a in training for b in validation)


def test_a_share_of_the_phantoms_has_the_anatomy_of_real_scans(phantoms):
    blank = np.full((1, 1, 256, 256), 6, np.uint8)
    scanned = {"axial": LabelSlices(blank, np.array([55.0]), np.full(blank.shape, 321, np.int16))}
    always = PhantomSlices(phantoms.labels, ("t1",), PREPARATION, scanned, scanned_share=1.0)
    sample = always.draw(np.random.default_rng(0))
    hu = WindowScale(*PREPARATION.window_hu).inverse(sample.ct[0, 20:40, 20:40])
    assert abs(np.median(hu) - 321) < 10, "the measured HU are the truth, not the tissue's"
    assert sample.depth_mm == 55
    mixed = PhantomSlices(phantoms.labels, ("t1",), PREPARATION, scanned, scanned_share=0.25)
    drawn = [mixed.draw(np.random.default_rng(i)).depth_mm == 55 for i in range(200)]
    assert 0.15 < np.mean(drawn) < 0.35


def head_plane(seed):
    """The first slice of a head's library as its points; drawn again here."""
    rng, head = np.random.default_rng([seed, 5]), HeadAnatomy(seed)
    while True:
        points = tilted_plane(rng, (-105.0, 100.0)).points
        if (head.labels(points) > 0).mean() >= 0.03:
            corner = points.reshape(FINE_SIZE, FINE_SIZE, 3).astype(float)
            rows, columns = corner[-1, 0] - corner[0, 0], corner[0, -1] - corner[0, 0]
            return head, points, np.cross(rows, columns) / (FINE_SIZE - 1) ** 2


def test_neighbours_show_what_lies_a_slice_farther_along_the_normal():
    offsets = slab_offsets(4, 3.0)
    library = label_library(range(8, 9), 2, "axial", offsets)
    assert library.labels.shape == (2, 5, 256, 256)
    head, points, normal = head_plane(8)
    for layer, steps in zip(library.labels[0], (-2, -1, 0, 1, 2), strict=True):
        shifted = (points + steps * 3.0 * normal).astype(np.float32)
        # rounding may move a few points across a border
        assert (layer.ravel() == head.labels(shifted)).mean() > 0.9995


def test_a_library_with_neighbours_has_the_slices_of_one_without():
    for plane in ("axial", "sagittal"):
        alone = label_library(range(8, 9), 2, plane)
        slab = label_library(range(8, 9), 2, plane, slab_offsets(2, 4.0))
        np.testing.assert_array_equal(slab.labels[:, 1], alone.labels[:, 0])
        np.testing.assert_array_equal(slab.depth_mm, alone.depth_mm)
        assert (slab.labels[:, 0] != slab.labels[:, 1]).any()


def test_neighbours_change_nothing_about_the_slice_itself(phantoms):
    beside = PhantomSlices.training(SETTINGS, PREPARATION, NetworkConfig(neighbours=2))
    for seed in range(3):
        alone, slab = (p.draw(np.random.default_rng(seed)) for p in (phantoms, beside))
        for name in (*IMAGES, "body", "depth_mm"):
            np.testing.assert_array_equal(getattr(alone, name), getattr(slab, name))
        assert alone.mr_neighbours is None
        assert slab.mr_neighbours.shape == slab.ct_neighbours.shape == (2, 64, 64)


def disc(tissue, inner=None):
    x, y = np.indices((256, 256)) - 127.5
    labels = np.where(np.hypot(x, y) < 90, tissue, Tissue.AIR).astype(np.uint8)
    if inner is not None:
        labels[np.hypot(x - 10, y) < 30] = inner
    return labels


def slices_of(layers, contrasts=("t1",)):
    library = LabelSlices(np.stack(layers)[None], np.zeros(1))
    return PhantomSlices({"axial": library}, contrasts, PREPARATION)


CORE = np.s_[28:36, 28:36]
WHITE, FLUID = Tissue.WHITE_MATTER, Tissue.CSF


def test_equal_neighbours_differ_by_noise_and_texture_alone():
    slices = slices_of([disc(WHITE, Tissue.CORTICAL_BONE)] * 3)
    for seed in range(5):
        sample = slices.draw(np.random.default_rng(seed))
        for images, middle in (
            (sample.mr_neighbours, sample.mr),
            (sample.ct_neighbours, sample.noisy_ct),
        ):
            for image in images:
                assert not np.array_equal(image, middle[0])
                smooth = gaussian_filter(image, 3) - gaussian_filter(middle[0], 3)
                assert np.abs(smooth).max() < 0.1 * np.ptp(gaussian_filter(middle[0], 3))


def test_neighbours_go_from_the_lowest_to_the_highest():
    tissues = (Tissue.FAT, Tissue.MARROW, WHITE, Tissue.CORTICAL_BONE, Tissue.INTERNAL_AIR)
    sample = slices_of([disc(tissue) for tissue in tissues]).draw(np.random.default_rng(0))
    window = WindowScale(*PREPARATION.window_hu)
    found = [np.median(window.inverse(image)[CORE]) for image in sample.ct_neighbours]
    below, above = tissues[:2], tissues[3:]
    for hu, tissue in zip(found, (*below, *above), strict=True):
        assert abs(hu - TISSUES[tissue].hu) < 3 * TISSUES[tissue].hu_std + 60


def test_the_contrasts_of_one_neighbour_stay_together():
    slices = slices_of([disc(FLUID), disc(WHITE, FLUID), disc(WHITE)], ("t1", "t2"))
    for seed in range(4):
        sample = slices.draw(np.random.default_rng(seed))
        assert sample.mr.shape == (2, 64, 64)
        assert sample.mr_neighbours.shape == (4, 64, 64)
        assert sample.ct_neighbours.shape == (2, 64, 64)
        medians = [np.median(image[CORE]) for image in sample.mr_neighbours]
        assert medians[1] > medians[0], "fluid is bright in T2, dark in T1"
        assert medians[2] > medians[0], "white matter is brighter than fluid in T1"
        assert medians[3] < medians[1], "and darker in T2"


def test_all_contrasts_show_the_same_anatomy_each_in_its_own_way():
    slices = slices_of([disc(WHITE, Tissue.CORTICAL_BONE)], ("t1", "t2", "any"))
    for seed in range(5):
        sample = slices.draw(np.random.default_rng(seed))
        bone = sample.ct[0] > WindowScale(*PREPARATION.window_hu).forward(600)
        assert bone.sum() > 100
        for image in (*sample.mr, *sample.standard_mr):
            inside = np.where(sample.body[0], gaussian_filter(image, 0.7), 1)
            level = (np.median(inside[bone]) + np.median(image[sample.body[0] & ~bone])) / 2
            dark = (inside < level) & (np.hypot(*(np.indices(bone.shape) - 31.5)) < 17)
            assert 2 * (dark & bone).sum() / (dark.sum() + bone.sum()) > 0.85


def test_contrasts_of_one_kind_have_their_own_noise_and_values():
    slices = slices_of([disc(WHITE)], ("t1", "t1"))
    for seed in range(4):
        first, second = slices.draw(np.random.default_rng(seed)).mr[:, 24:40, 24:40]
        details = [image - gaussian_filter(image, 1.5) for image in (first, second)]
        assert np.corrcoef(details[0].ravel(), details[1].ravel())[0, 1] < 0.9


def test_the_standard_contrasts_are_the_named_ones_and_t1_stands_for_any():
    slices = slices_of([disc(WHITE, FLUID)], ("t1", "t2", "any"))
    for seed in range(4):
        t1, t2, any_ = slices.draw(np.random.default_rng(seed)).standard_mr
        ring = np.s_[31, 44:48]
        assert t1[ring].mean() > t1[CORE].mean()
        assert t2[ring].mean() < t2[CORE].mean()
        np.testing.assert_allclose(any_, t1, atol=0.35)
        assert np.corrcoef(any_.ravel(), t1.ravel())[0, 1] > 0.98


def test_depth_is_how_far_a_plane_must_rise_to_leave_the_head():
    library = label_library(range(8, 9), 2)
    head, points, normal = head_plane(8)
    coarse = points.reshape(FINE_SIZE, FINE_SIZE, 3)[::3, ::3].reshape(-1, 3)
    rises = np.arange(0, 260, 2.0)
    seen = [(head.labels((coarse + rise * normal).astype(np.float32)) > 0).any() for rise in rises]
    left = rises[np.flatnonzero(seen)[-1]] if any(seen) else 0
    assert library.depth_mm[0] == pytest.approx(left + 1, abs=2.5)


RADIUS = 40


@pytest.fixture(scope="module")
def ball():
    x, y, z = np.indices((90, 90, 90)) - 44.5
    return (np.sqrt(x**2 + y**2 + z**2) < RADIUS).astype(np.uint8) * np.uint8(Tissue.MUSCLE)


def anatomy(labels):
    hu = np.where(labels > 0, np.float32(50), np.float32(-1000))
    return ScannedAnatomy(Volume(labels, np.eye(4), "LABEL"), Volume(hu, np.eye(4), "CT"))


def test_slices_of_a_scan_know_their_depth_and_their_neighbours(ball):
    slices = scanned_slices([anatomy(ball)], "axial", slab_offsets(2, 5.0))
    assert slices.labels.shape == slices.hu.shape == (SLICES_PER_SCAN, 3, 256, 256)
    below, middle, above = np.moveaxis((slices.labels > 0).sum(axis=(2, 3)), 1, 0)
    height = RADIUS - slices.depth_mm
    for area, offset in ((below, -5), (middle, 0), (above, 5)):
        chord = np.pi * np.maximum(RADIUS**2 - (height + offset) ** 2, 0)
        np.testing.assert_allclose(area, chord, atol=2 * np.pi * RADIUS * 1.5)
    assert np.ptp(slices.depth_mm) > 50
    assert np.isnan(scanned_slices([anatomy(ball)], "coronal").depth_mm).all()


def test_a_scan_that_begins_below_the_vertex_has_no_depth(ball):
    assert np.isnan(scanned_slices([anatomy(ball[:, :, :50])]).depth_mm).all()


def test_depth_is_measured_as_in_the_scans_that_are_trained_on(ball):
    frame = vertex_of(ball > 0, 3.0)
    surface, up = crown(ball), np.array([0.0, 0.0, 3.0])
    for index in (20, 45, 60):
        middle = np.array([44.5, 44.5, index])
        assert depth_below(surface, up, middle) == frame.known_depth_mm(index)


def test_the_generator_alone_decides_on_neighbours_too():
    slices = slices_of([disc(FLUID), disc(WHITE), disc(WHITE)], ("any", "any"))
    first, again = (slices.draw(np.random.default_rng(5)) for _ in range(2))
    for name in ("mr_neighbours", "ct_neighbours"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
