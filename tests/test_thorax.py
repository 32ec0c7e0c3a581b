"""Whole phantom scans of the thorax and pairs of patches: truth, rules, likeness to real scans."""

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from medgan.errors import ConfigError, DataError, GeometryError
from medgan.io import read_volume
from medgan.phantoms.thorax import ThoraxScan, scan_thorax
from medgan.phantoms.thorax_anatomy import ThoraxAnatomy
from medgan.phantoms.thorax_patch import nodule_patch
from medgan.phantoms.thorax_sites import LARGE_VESSEL_MM, PLEURA_MARGIN_MM, Sites
from medgan.phantoms.thorax_tubes import Tubes
from medgan.volumes.geometry import Grid, apply_affine

COARSE = (2.5, 2.5, 2.5)


@pytest.fixture(scope="module")
def scan() -> ThoraxScan:
    return scan_thorax(5, spacing_mm=COARSE, diameters_mm=(22.0, 15.0, 9.0), noise_hu=0)


def test_a_scan_lies_on_one_grid_and_says_that_it_is_synthetic(scan: ThoraxScan) -> None:
    assert scan.ct.array.dtype == np.int16
    assert scan.lungs.array.dtype == np.bool_
    np.testing.assert_allclose(scan.ct.spacing_mm, COARSE)
    for volume in (scan.ct, scan.lungs, scan.nodule_labels):
        assert volume.synthetic
        np.testing.assert_array_equal(volume.affine, scan.ct.affine)


def test_the_same_seed_is_the_same_scan_and_another_is_not() -> None:
    first, again, other = (scan_thorax(seed, spacing_mm=(6, 6, 6)) for seed in (2, 2, 3))
    np.testing.assert_array_equal(first.ct.array, again.ct.array)
    assert first.nodules == again.nodules
    assert not np.array_equal(first.ct.array, other.ct.array)


def test_nodules_are_where_and_as_large_as_the_truth_says(scan: ThoraxScan) -> None:
    voxel = np.prod(scan.ct.spacing_mm)
    assert len(scan.nodules) == 3
    for number, nodule in enumerate(scan.nodules, 1):
        where = np.argwhere(scan.nodule_labels.array == number)
        volume = np.pi / 6 * nodule.diameter_mm**3
        assert len(where) * voxel == pytest.approx(volume, rel=0.25)
        middle = apply_affine(scan.ct.affine, where).mean(axis=0)
        assert np.linalg.norm(middle - nodule.centre_mm) < 0.5 * COARSE[0]
        assert nodule.diameter_mm <= nodule.drawn_mm * 1.02
        if nodule.attachment == "pleura":
            assert nodule.diameter_mm < nodule.drawn_mm
        inside = scan.ct.array[tuple(where.T)]
        assert np.median(inside) > -750
        assert scan.lungs.array[tuple(where.T)].mean() > 0.9


def test_lungs_are_two_of_plausible_volume_and_full_of_air(scan: ThoraxScan) -> None:
    pieces, count = ndimage.label(scan.lungs.array)
    litres = np.bincount(pieces.ravel())[1:] * np.prod(COARSE) / 1e6
    assert count == 2
    assert ((litres > 0.8) & (litres < 2.6)).all()
    assert -900 < np.median(scan.ct.array[scan.lungs.array]) < -780
    body = np.moveaxis(scan.ct.array > -500, 2, 0)
    filled = [ndimage.binary_fill_holes(section) for section in body]
    assert not (np.moveaxis(scan.lungs.array, 2, 0) & ~np.array(filled)).any()


def test_a_lung_hangs_denser_at_the_back(scan: ThoraxScan) -> None:
    core = ndimage.binary_erosion(scan.lungs.array, iterations=2)
    y = apply_affine(scan.ct.affine, np.argwhere(core))[:, 1]
    hu = scan.ct.array[core]
    back, front = hu[y < np.quantile(y, 0.25)], hu[y > np.quantile(y, 0.75)]
    assert 10 < np.median(back) - np.median(front) < 90


def test_the_image_hardly_depends_on_the_grid() -> None:
    """Where both grids have a voxel at one place, they agree but for partial volume."""
    anatomy = ThoraxAnatomy([4])
    affine = np.diag([2.0, 2, 2, 1])
    affine[:3, 3] = anatomy.frame.centre_mm - [100, 60, 40]
    coarse = anatomy.image(Grid((100, 60, 20), affine))
    finer = affine @ np.diag([0.5, 1, 1, 1])
    fine = anatomy.image(Grid((199, 60, 20), finer))
    close = np.abs(coarse.hu - fine.hu[::2]) < 60
    assert close.mean() > 0.9
    assert np.abs(coarse.lung_mm - fine.lung_mm[::2]).mean() < 0.15


def test_thick_slices_are_averages_of_thin_ones() -> None:
    thick = scan_thorax(1, spacing_mm=(2.0, 2.0, 6.0), shape=(80, 60, 12), nodules=0, noise_hu=0)
    thin = scan_thorax(1, spacing_mm=(2.0, 2.0, 2.0), shape=(80, 60, 36), nodules=0, noise_hu=0)
    mean = thin.ct.array.reshape(80, 60, 12, 3).mean(axis=3)
    assert np.abs(mean - thick.ct.array).max() <= 1
    first = apply_affine(thin.ct.affine, [[0, 0, 1]])
    np.testing.assert_allclose(apply_affine(thick.ct.affine, [[0, 0, 0]]), first, atol=1e-3)


def test_positions_of_the_atlas_and_of_the_world_are_inverse() -> None:
    frame = ThoraxAnatomy([9]).frame
    atlas = np.random.default_rng(0).uniform(-100, 100, (200, 3)).astype(np.float32)
    np.testing.assert_allclose(frame.to_atlas(frame.to_world(atlas)), atlas, atol=0.02)


def test_sites_keep_their_rules() -> None:
    anatomy = ThoraxAnatomy([6])
    sites = Sites(anatomy, None, np.random.default_rng(0))
    vessels = Tubes.joined(anatomy.trees.arteries, anatomy.trees.veins)
    wide = np.maximum(vessels.start_radius, vessels.end_radius)
    taken = []
    for radius in (2.0, 3.0, 4.0, 6.0):
        for attachment in ("none", "pleura", "vessel"):
            site = sites.place(radius, attachment)
            assert site is not None
            depth = -anatomy.lung_mm(site.centre_mm[None])[0]
            clearance = vessels.clearance(site.centre_mm)
            if site.attachment == "pleura":
                assert 0.3 * radius < depth < 0.8 * radius
            else:
                assert depth >= radius + PLEURA_MARGIN_MM
            if site.attachment == "none":
                assert clearance[wide >= LARGE_VESSEL_MM].min() >= radius + 1
            if attachment == "vessel":
                assert clearance.min() < radius
            for other, size in taken:
                assert np.linalg.norm(site.centre_mm - other) >= radius + size + 5
            taken.append((site.centre_mm, radius))


@pytest.mark.parametrize("attachment", ["none", "pleura", "vessel"])
def test_a_pair_of_patches_differs_by_the_nodule_alone(attachment: str) -> None:
    pair = nodule_patch(3, 1, size=40, diameter_mm=9.0, attachment=attachment)
    healthy, diseased = pair.healthy.array, pair.diseased.array
    near = ndimage.binary_dilation(pair.share.array > 0)
    np.testing.assert_array_equal(healthy[~near], diseased[~near])
    assert (diseased >= healthy).all()
    volume = np.pi / 6 * pair.nodule.diameter_mm**3
    assert pair.share.array.sum() == pytest.approx(volume, rel=1e-4)
    assert pair.mask.array.sum() == pytest.approx(volume, rel=0.15)
    middle = np.array(ndimage.center_of_mass(pair.share.array))
    expected = np.linalg.inv(pair.healthy.affine) @ [*pair.nodule.centre_mm, 1]
    np.testing.assert_allclose(middle, expected[:3], atol=1e-3)
    assert np.abs(middle - 19.5).max() < 4


def test_patches_follow_from_seed_and_index_alone() -> None:
    first = nodule_patch(1, 4, size=32)
    nodule_patch(1, 5, size=32)
    again = nodule_patch(1, 4, size=32)
    np.testing.assert_array_equal(first.diseased.array, again.diseased.array)
    assert first.nodule == again.nodule


def test_a_patch_shows_what_the_whole_anatomy_has_there() -> None:
    anatomy = ThoraxAnatomy([1, 10])
    affine = np.diag([2.0, 2, 2, 1])
    affine[:3, 3] = anatomy.frame.centre_mm + np.array([30, -40, -30])
    large = anatomy.image(Grid((40, 32, 24), affine)).hu
    moved = affine.copy()
    moved[:3, 3] += 2 * np.array([8, 8, 8])
    small = anatomy.image(Grid((16, 16, 12), moved)).hu
    assert np.abs(small - large[8:24, 8:24, 8:20]).max() < 25


def test_phantom_lungs_measure_like_a_real_scan(medgan_data: Path) -> None:
    """HU in the lungs of a LUNA16 case, thresholded at -400 HU and closed, beside a phantom's."""
    (path,) = (medgan_data / "lidc_idri_0314_luna16").glob("*.mhd")
    real = read_volume(path).array[::2, ::2, 40:100:2]
    air = ndimage.label(real < -400)[0]
    edge = np.unique(np.concatenate([air[0].ravel(), air[-1].ravel(), air[:, 0].ravel()]))
    lungs = ndimage.binary_closing((air > 0) & ~np.isin(air, edge), iterations=3)
    lungs = ndimage.binary_erosion(lungs, iterations=2)
    made = scan_thorax(0, spacing_mm=(1.5, 1.5, 2.0), shape=(210, 151, 40), noise_hu=35)
    inside = ndimage.binary_erosion(made.lungs.array, iterations=2)
    for percentile, allowed in ((5, 50), (25, 40), (50, 40), (75, 50)):
        ours, theirs = (
            np.percentile(values, percentile) for values in (made.ct.array[inside], real[lungs])
        )
        assert abs(ours - theirs) < allowed
    dense = [float((values > -500).mean()) for values in (made.ct.array[inside], real[lungs])]
    assert 0.5 < dense[0] / dense[1] < 2


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        ({"spacing_mm": (0, 1, 1)}, GeometryError),
        ({"shape": (0, 4, 4)}, GeometryError),
        ({"nodules": -1}, ConfigError),
        ({"excluded": 99}, ConfigError),
        ({"diameters_mm": (2.0,)}, ConfigError),
        ({"nodules": 1, "diameters_mm": (5.0,)}, ConfigError),
        ({"shape": (6, 6, 6), "diameters_mm": (20.0,)}, DataError),
    ],
)
def test_requests_that_cannot_be_met_are_refused(wrong: dict, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        scan_thorax(0, **{"spacing_mm": (3.0, 3.0, 3.0), **wrong})


def test_a_nodule_too_large_for_its_patch_is_refused() -> None:
    with pytest.raises(ConfigError, match="fit"):
        nodule_patch(0, size=32, diameter_mm=29.0)
