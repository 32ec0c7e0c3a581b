"""MR and CT of the phantom: signal equations, truth of values, noise, random contrast."""

import numpy as np
import pytest

from medgan.errors import ConfigError, GeometryError
from medgan.phantoms.ct import correlated_noise, hounsfield
from medgan.phantoms.mr import (
    PRESETS,
    InversionRecovery,
    Relaxation,
    SpinEcho,
    SpoiledGradientEcho,
    add_rician_noise,
    bias_field,
    signal,
)
from medgan.phantoms.randomised import random_tissue_values, standard_signal
from medgan.phantoms.rendered_slice import beside, picked, render_slice, slice_visit
from medgan.phantoms.scan import HeadScan, scan_head
from medgan.phantoms.tissues import N_LABELS, TISSUES, Tissue, column


def one_tissue(t1: float, t2: float, pd: float) -> Relaxation:
    return Relaxation(*(np.array([value]) for value in (t1, t2, t2, pd)))


def test_every_label_has_its_row_in_order_with_a_source() -> None:
    assert list(TISSUES) == list(Tissue)
    assert [int(label) for label in Tissue] == list(range(N_LABELS))
    assert all(properties.source for properties in TISSUES.values())
    assert (column("t2star_ms") <= column("t2_ms")).all()


def test_a_spin_echo_agrees_with_bloch_relaxation_step_by_step() -> None:
    """Oracle: Euler integration of longitudinal recovery, then of transverse decay."""
    tissue = one_tissue(800.0, 90.0, 0.7)
    step, longitudinal = 0.01, 0.0
    for _ in range(int(500 / step)):
        longitudinal += step * (0.7 - longitudinal) / 800
    transverse = longitudinal
    for _ in range(int(15 / step)):
        transverse -= step * transverse / 90
    np.testing.assert_allclose(SpinEcho(500, 15).signal(tissue), transverse, rtol=1e-3)


def test_a_spoiled_gradient_echo_is_the_steady_state_of_repeated_pulses() -> None:
    tissue = one_tissue(700.0, 60.0, 0.9)
    angle, magnetisation = np.deg2rad(25), 0.9
    for _ in range(2000):
        after = magnetisation * np.cos(angle)
        magnetisation = 0.9 + (after - 0.9) * np.exp(-15 / 700)
    expected = magnetisation * np.sin(angle) * np.exp(-4 / 60)
    np.testing.assert_allclose(SpoiledGradientEcho(15, 4, 25).signal(tissue), expected, rtol=1e-9)


def test_an_inversion_recovery_nulls_tissue_at_its_null_time() -> None:
    tr, t1 = 5000.0, 900.0
    null = t1 * np.log(2 / (1 + np.exp(-tr / t1)))
    assert InversionRecovery(tr, null, 3).signal(one_tissue(t1, 80, 1)) == pytest.approx(0)


def test_usual_sequences_order_the_tissues_as_radiologists_know_them() -> None:
    t1, t2 = (signal(np.arange(N_LABELS), PRESETS[name]) for name in ("t1", "t2"))
    assert t1[Tissue.FAT] > t1[Tissue.WHITE_MATTER] > t1[Tissue.GREY_MATTER] > t1[Tissue.CSF]
    assert t2[Tissue.CSF] > t2[Tissue.GREY_MATTER] > t2[Tissue.WHITE_MATTER] > t2[Tissue.MUSCLE]
    assert max(t1[Tissue.CORTICAL_BONE], t2[Tissue.CORTICAL_BONE]) < 0.1 * t1[Tissue.WHITE_MATTER]


def test_hounsfield_units_lie_in_known_ranges() -> None:
    hu = hounsfield(np.arange(N_LABELS))
    assert hu[Tissue.AIR] == hu[Tissue.INTERNAL_AIR] == -1000
    assert -130 < hu[Tissue.FAT] < -70
    assert hu[Tissue.WHITE_MATTER] < hu[Tissue.GREY_MATTER] < hu[Tissue.MUSCLE]
    assert hu[Tissue.MARROW] < hu[Tissue.CORTICAL_BONE] < hu[Tissue.TOOTH]


def test_rician_noise_in_air_is_rayleigh() -> None:
    noisy = add_rician_noise(np.zeros((200, 200), "f4"), np.random.default_rng(0), 2.0)
    assert noisy.mean() == pytest.approx(2 * np.sqrt(np.pi / 2), rel=0.02)


def test_correlated_noise_has_the_asked_deviation_and_neighbours_agree() -> None:
    noise = correlated_noise((128, 128), np.random.default_rng(0), 5.0)
    assert noise.std() == pytest.approx(5, rel=1e-3)
    assert np.corrcoef(noise[1:].ravel(), noise[:-1].ravel())[0, 1] > 0.3


def test_a_bias_field_is_smooth_positive_and_as_strong_as_asked() -> None:
    field = np.log(bias_field((60, 50), np.random.default_rng(0), 0.3))
    assert np.abs(field).max() == pytest.approx(0.3, rel=1e-4)
    assert np.abs(np.diff(field, axis=0)).max() < 0.06


@pytest.fixture(scope="module")
def clean() -> HeadScan:
    return scan_head(3, spacing_mm=(3, 3, 6), noise=False)


def test_voxels_within_one_tissue_have_exactly_its_signal_and_one_hu(clean: HeadScan) -> None:
    """Where all neighbours share a label and the value is pure, it is the equation's."""
    labels, mr, ct = clean.labels.array, clean.mr.array, clean.ct.array
    expected = signal(labels, PRESETS["t1"])
    pure = np.isclose(mr, expected, rtol=1e-5)
    assert pure.mean() > 0.7
    for tissue in (Tissue.AIR, Tissue.WHITE_MATTER, Tissue.FAT, Tissue.MUSCLE):
        values = ct[(labels == tissue) & pure]
        mean, spread = TISSUES[tissue].hu, TISSUES[tissue].hu_std
        assert abs(np.median(values) - mean) <= 2.5 * spread + 1e-3


def test_partial_volume_stays_between_the_pure_tissues(clean: HeadScan) -> None:
    table = signal(np.arange(N_LABELS), PRESETS["t1"])
    assert clean.mr.array.min() >= 0
    assert clean.mr.array.max() <= table.max() * (1 + 1e-6)


def test_a_scan_lies_on_one_grid_of_the_asked_spacing(clean: HeadScan) -> None:
    assert clean.mr.shape == clean.ct.shape == clean.labels.shape
    np.testing.assert_allclose(clean.mr.spacing_mm, (3, 3, 6))
    np.testing.assert_array_equal(clean.mr.affine, clean.ct.affine)
    assert clean.ct.synthetic
    assert clean.ct.array[0, 0, 0] == -1000


def test_the_same_seed_scans_the_same_and_wrong_requests_are_refused() -> None:
    small = {"spacing_mm": (6.0, 6.0, 24.0), "supersample": 1}
    first, again = scan_head(2, **small), scan_head(2, **small)
    np.testing.assert_array_equal(first.mr.array, again.mr.array)
    assert not np.array_equal(first.mr.array, scan_head(2, randomised=True, **small).mr.array)
    with pytest.raises(ConfigError, match="contrast"):
        scan_head(2, contrast="dixon", **small)
    with pytest.raises(GeometryError, match="positive"):
        scan_head(2, spacing_mm=(0, 1, 1))


@pytest.mark.parametrize("randomised", [False, True])
def test_contrasts_of_one_seed_lie_on_one_another(randomised: bool) -> None:
    small = {"spacing_mm": (6.0, 6.0, 24.0), "supersample": 1, "randomised": randomised}
    names = ("t1", "t2", "any") if randomised else ("t1", "t2")
    scans = [scan_head(2, contrast=name, **small) for name in names]
    for scan in scans[1:]:
        np.testing.assert_array_equal(scan.labels.array, scans[0].labels.array)
        assert not np.array_equal(scan.mr.array, scans[0].mr.array)


def slice_of_discs() -> np.ndarray:
    x, y = np.meshgrid(np.arange(256) - 127.5, np.arange(256) - 127.5, indexing="ij")
    radius = np.hypot(x, y)
    labels = np.full(radius.shape, Tissue.AIR, np.uint8)
    for limit, tissue in ((90, Tissue.FAT), (84, Tissue.CORTICAL_BONE), (74, Tissue.WHITE_MATTER)):
        labels[radius < limit] = tissue
    return labels


def rendered(seed: int, contrast: str = "t1"):
    """Images of the discs, and the tissue at every pixel of them."""
    rng, labels = np.random.default_rng(seed), slice_of_discs()
    visit = slice_visit(
        rng, [contrast], shape=(256, 256), pixel_mm=1.0, out_shape=(128, 120), out_pixel_mm=2.0
    )
    return render_slice(visit, labels, rng, pixel_mm=1.0), picked(labels, visit.pose)


@pytest.mark.parametrize("contrast", ["t1", "t2"])
def test_a_rendered_slice_is_registered_and_calibrated(contrast: str) -> None:
    for seed in range(6):
        image, labels = rendered(seed, contrast)
        assert image.mr.shape == image.standard_mr.shape == (1, 128, 120)
        assert image.ct.shape == labels.shape == (128, 120)
        assert image.mr.dtype == image.ct.dtype == np.float32
        brain = labels == Tissue.WHITE_MATTER
        middle = brain & (np.hypot(*(np.indices(brain.shape) - 60)) < 20)
        assert abs(np.median(image.ct[middle]) - TISSUES[Tissue.WHITE_MATTER].hu) < 8
        air = np.zeros_like(brain)
        air[:4] = True
        assert np.median(image.ct[air]) == -1000
        assert np.median(image.mr[0, air]) < 0.3
        np.testing.assert_array_equal(image.mask, labels != Tissue.AIR)


def test_a_rendered_slice_follows_from_its_generator_alone() -> None:
    np.testing.assert_array_equal(rendered(4)[0].mr, rendered(4)[0].mr)
    assert not np.array_equal(rendered(4)[0].mr, rendered(5)[0].mr)


def test_bone_shows_in_ct_where_the_labels_say_it_is() -> None:
    image, labels = rendered(8)
    assert np.median(image.ct[labels == Tissue.CORTICAL_BONE]) > 500
    assert (image.ct[labels == Tissue.WHITE_MATTER] < 300).mean() > 0.9


def test_the_texture_of_slices_is_forgotten_as_they_lie_farther_apart() -> None:
    """Oracle: the autocorrelation of Gaussian-filtered white noise."""
    rng = np.random.default_rng(0)
    visit = slice_visit(
        rng, ["t1"], shape=(256, 256), pixel_mm=1.0, out_shape=(64, 64), out_pixel_mm=4.0
    )
    here = visit.texture
    for away in (0.0, 1.0, 2.0, 4.0):
        there = beside(visit, rng, away).texture
        found = np.corrcoef(here.fine.ravel(), there.fine.ravel())[0, 1]
        assert found == pytest.approx(np.exp(-(away**2) / (4 * 1.6**2)), abs=0.08)
        assert there.fine.std() == pytest.approx(here.fine.std(), rel=0.05)
        np.testing.assert_array_equal(there.slow, here.slow)


def test_random_contrast_ranges_widely_but_keeps_air_dark_and_the_reference_at_one() -> None:
    draws = [random_tissue_values(np.random.default_rng(i), "t1") for i in range(300)]
    signals = np.array([draw.signal for draw in draws])
    assert (signals[:, [Tissue.AIR, Tissue.INTERNAL_AIR]] == 0).all()
    ratio = signals[:, Tissue.FAT] / signals[:, Tissue.WHITE_MATTER]
    assert np.percentile(ratio, 5) < 0.7
    assert np.percentile(ratio, 95) > 1.4
    bone = signals[:, Tissue.CORTICAL_BONE]
    assert np.percentile(bone, 95) < 0.2
    assert all((draw.hu[[Tissue.AIR, Tissue.INTERNAL_AIR]] == -1000).all() for draw in draws)


def test_any_contrast_is_t1_or_of_no_sequence_but_air_and_bone_stay_dark() -> None:
    draws = [random_tissue_values(np.random.default_rng(i), "any") for i in range(300)]
    signals = np.array([draw.signal for draw in draws])
    assert (signals[:, [Tissue.AIR, Tissue.INTERNAL_AIR]] == 0).all()
    assert np.percentile(signals[:, [Tissue.CORTICAL_BONE, Tissue.TOOTH]], 95) < 0.2
    # in T1 fluid is darker than white matter, which is 1; else either is as likely
    assert 0.4 < (signals[:, Tissue.WHITE_MATTER] == 1).mean() < 0.6
    brighter = signals[:, Tissue.CSF] > signals[:, Tissue.WHITE_MATTER]
    assert 0.17 < brighter.mean() < 0.33
    np.testing.assert_array_equal(standard_signal("any"), standard_signal("t1"))
    with pytest.raises(ConfigError, match="contrast"):
        standard_signal("dixon")
