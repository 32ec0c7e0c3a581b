import numpy as np
import pytest

from medgan.data.luna16 import Luna16, Luna16Scan, Nodule
from medgan.data.nodule_material import read_chunks, read_tumour_slices
from medgan.data.nodule_patches import cut, healthy_patches, nodule_mask, nodule_patches, patch_grid
from medgan.data.nodule_shapes import drawn_shape
from medgan.data.nodule_sites import DENSE_SHARE, GAP_MM, SiteFinder
from medgan.errors import DataError, FileError, GeometryError
from medgan.io import read_volume
from medgan.io.luna16 import to_index, to_world
from medgan.io.metaimage import write_itk
from medgan.volumes import Volume
from medgan.volumes.geometry import Grid
from medgan.volumes.resampling import resample

SHAPE = (80, 60, 50)
SPACING = (1.5, 1.5, 2.0)


def places(affine):
    """World coordinates of every voxel, (X, Y, Z, 3)."""
    volume = Volume(np.zeros(SHAPE, np.int8), affine, "LABEL")
    return to_world(volume, np.moveaxis(np.indices(SHAPE), 0, -1))


@pytest.fixture(scope="module")
def affine():
    made = np.diag([-SPACING[0], SPACING[1], SPACING[2], 1.0])
    made[:3, 3] = 60, -45, -50
    return made


@pytest.fixture(scope="module")
def chest(affine):
    """A box of lung in soft tissue, with a thick vessel along x and a nodule of 12 mm."""
    where = places(affine)
    depth = np.min([54 - abs(where[..., 0]), 40 - abs(where[..., 1]), 44 - abs(where[..., 2])], 0)
    lungs = depth > 0
    array = np.where(lungs, -850.0, 40.0) + np.random.default_rng(0).normal(0, 25, SHAPE)
    array[np.hypot(where[..., 1] - 15, where[..., 2]) < 4] = 40
    nodule = drawn_shape(12, np.random.default_rng(1), lobulation=0.2)
    ct = Volume(array.astype(np.float32), affine, "CT")
    truth = nodule.mask_on(ct, POSITION)
    array[truth] = 40
    return (
        ct.with_array(np.rint(array).astype(np.int16)),
        ct.with_array(lungs, modality="LABEL"),
        truth,
    )


POSITION = (-20.0, -12.0, 8.0)


@pytest.fixture
def scan(chest, tmp_path):
    ct, lungs, _ = chest
    write_itk(ct, tmp_path / "1.2.3.mhd")
    write_itk(lungs, tmp_path / "lungs.mhd")
    nodule, excluded = Nodule(POSITION, 12.0), Nodule((30.0, -10.0, -10.0), -1.0)
    return Luna16Scan(
        "1.2.3", tmp_path / "1.2.3.mhd", 0, (nodule,), (excluded,), tmp_path / "lungs.mhd"
    )


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


@pytest.mark.parametrize(("shape", "spacing"), [((24, 20, 16), 1.0), ((9, 9, 9), 3.0)])
def test_a_cut_is_what_resampling_of_the_whole_gives(chest, shape, spacing):
    for position in ((-20, -12, 8), (52, 35, 44), (70, 60, 60)):
        grid = patch_grid(position, shape, spacing)
        for volume in chest[:2]:
            expected = resample(volume, grid).array
            np.testing.assert_allclose(cut(volume, grid).array, expected, atol=1e-2)


def test_the_middle_of_a_patch_lies_at_its_position():
    grid = patch_grid((10.0, -20.0, 30.0), (32, 33, 8), 1.5)
    np.testing.assert_allclose(to_index(grid, (10, -20, 30)), (16, 16, 4))
    assert np.linalg.det(grid.affine[:3, :3]) > 0


def test_a_nodule_is_in_the_middle_of_its_patch_and_of_its_mask(scan, chest):
    (patch,) = nodule_patches(scan, shape=(32, 32, 32), spacing_mm=1.0)
    truth = cut(chest[0].with_array(chest[2], modality="LABEL"), Grid((32,) * 3, patch.affine))
    assert dice(patch.mask, truth.array) > 0.85
    assert patch.mask[16, 16, 16]
    assert patch.image[16, 16, 16] > -100
    assert patch.lungs.all()
    assert (patch.uid, patch.diameter_mm) == ("1.2.3", 12.0)


def test_where_nothing_stands_out_the_mask_is_the_annotated_sphere(chest):
    grid = patch_grid((-20.0, -12.0, -20.0), (32, 32, 32), 1.0)
    patch = Volume(np.full(grid.shape, -850.0), grid.affine, "CT")
    mask = nodule_mask(patch, Nodule((-20.0, -12.0, -20.0), 10.0))
    assert mask.sum() == pytest.approx(np.pi / 6 * 1000, rel=0.05)


def test_a_ground_glass_nodule_is_found_by_its_own_density():
    grid = patch_grid((0.0, 0.0, 0.0), (32, 32, 32), 1.0)
    truth = drawn_shape(14, np.random.default_rng(3)).mask_on(grid, (0.0, 0.0, 0.0))
    array = np.where(truth, -600, -850) + np.random.default_rng(0).normal(0, 20, grid.shape)
    mask = nodule_mask(Volume(array, grid.affine, "CT"), Nodule((0.0, 0.0, 0.0), 14.0))
    assert dice(mask, truth) > 0.9


@pytest.mark.parametrize("radius", [3.0, 6.0])
def test_sites_keep_from_wall_vessels_findings_and_each_other(chest, affine, radius):
    ct, lungs, _ = chest
    findings = (Nodule(POSITION, 12.0), Nodule((30.0, -10.0, -10.0), -1.0))
    finder, rng = SiteFinder(ct, lungs, findings), np.random.default_rng(0)
    sites = [finder.find(radius, rng) for _ in range(5)]
    where = places(affine)
    taken = [(f.position_mm, f.radius_mm) for f in findings]
    for site in sites:
        away = np.linalg.norm(where - site.position_mm, axis=-1)
        # The finder judges on a grid of its own: a voxel's diagonal is forgiven.
        assert away[~lungs.array].min() > radius + 3 - 2
        assert (ct.array[away <= radius] > -500).mean() <= DENSE_SHARE + 0.02
        assert np.hypot(site.position_mm[1] - 15, site.position_mm[2]) > radius + 2
        for position, size in taken:
            assert np.linalg.norm(np.subtract(site.position_mm, position)) >= radius + size + GAP_MM
        taken.append((site.position_mm, radius))
        assert lungs.array[tuple(np.rint(to_index(lungs, site.position_mm)).astype(int))]


def test_sites_on_the_wall_are_cut_by_it(chest, affine):
    ct, lungs, _ = chest
    finder, rng = SiteFinder(ct, lungs), np.random.default_rng(0)
    for site in [finder.find(6.0, rng, on_wall=True) for _ in range(4)]:
        ball = np.linalg.norm(places(affine) - site.position_mm, axis=-1) <= 6
        assert 0.4 < lungs.array[ball].mean() < 0.99
        assert lungs.array[tuple(np.rint(to_index(lungs, site.position_mm)).astype(int))]


def test_where_no_nodule_fits_there_is_no_site(chest):
    ct, lungs, _ = chest
    with pytest.raises(DataError, match="no site"):
        SiteFinder(ct, lungs).find(60.0, np.random.default_rng(0))
    with pytest.raises(DataError, match="empty"):
        SiteFinder(ct, lungs.with_array(np.zeros(SHAPE, bool)))
    with pytest.raises(GeometryError, match="different grids"):
        SiteFinder(ct, Volume(lungs.array, np.eye(4), "LABEL"))


def test_healthy_patches_are_drawn_by_the_seed_and_hold_no_nodule(scan):
    first, again = (healthy_patches(scan, 3, np.random.default_rng(4)) for _ in range(2))
    assert [p.position_mm for p in first] == [p.position_mm for p in again]
    for patch in first:
        assert patch.diameter_mm == 0
        assert not patch.mask.any()
        middle = patch.image[13:19, 13:19, 13:19]
        assert middle.max() < -600
    assert len(healthy_patches(scan, 1000, np.random.default_rng(0), radius_mm=8)) < 1000


def test_a_scan_without_nodules_has_no_nodule_patch(scan):
    from dataclasses import replace

    assert nodule_patches(replace(scan, nodules=())) == ()


def test_the_genuine_nodule_is_segmented_as_its_readers_did(medgan_data):
    folder = medgan_data / "lidc_idri_0314_luna16"
    (scan,) = Luna16.open(folder).scans
    (nodule,) = scan.nodules
    grid = patch_grid(nodule.position_mm, (40, 40, 40), 1.0)
    image = cut(scan.read(), grid)
    mask = nodule_mask(image, nodule)
    readers = read_volume(folder / f"{scan.uid}_nodule_mask.nii.gz", modality="LABEL")
    truth = cut(readers.with_array(readers.array > 0), grid).array
    # Readers' chains of pixels, half a pixel outside all around, are in the published mask.
    assert dice(mask, truth) > 0.75
    assert (mask & ~truth).sum() < 0.02 * mask.sum()
    diameter = (6 * mask.sum() / np.pi) ** (1 / 3)
    assert diameter == pytest.approx(nodule.diameter_mm, rel=0.1)


def test_chunks_are_read_with_what_is_known_of_them(medgan_data):
    chunks = read_chunks(medgan_data / "luna16_nodule_chunks")
    assert [chunk.is_nodule for chunk in chunks] == [True, True, False]
    assert [round(chunk.diameter_mm, 2) for chunk in chunks] == [6.67, 4.41, 0.0]
    assert chunks[0].centre == (377, 362, 108)
    for chunk in chunks:
        assert chunk.image.shape == (48, 48, 32)
        assert -1000 <= chunk.image.min() < chunk.image.max() <= 1000
    # A nodule is denser than lung where the file says that its middle is.
    assert chunks[0].image[22:27, 22:27, 15:18].max() > -300


def test_chunks_without_a_table_are_refused(tmp_path):
    with pytest.raises(FileError, match="table of candidates"):
        read_chunks(tmp_path)
    heading = "seriesuid,diameter_mm,class,coord_x,coord_y,coord_z\n"
    (tmp_path / "present_candidates.csv").write_text(heading)
    with pytest.raises(FileError, match="no chunk"):
        read_chunks(tmp_path)
    np.savez(tmp_path / "1.2.3_4_5_6.npz", ct_chunk=np.zeros((2, 2, 2)))
    with pytest.raises(DataError, match="no row"):
        read_chunks(tmp_path)
    (tmp_path / "present_candidates.csv").write_text(heading + "1.2.3,1,0,0,0,0\n")
    with pytest.raises(FileError, match="not a chunk"):
        read_chunks(tmp_path)


def test_tumour_slices_come_with_their_masks(medgan_data):
    pytest.importorskip("h5py")
    slices = read_tumour_slices(medgan_data / "msd_lung_2mm_patches" / "val_patches.h5")
    assert slices.images.shape == slices.masks.shape == (130, 48, 48)
    assert slices.masks.any(axis=(1, 2)).mean() == pytest.approx(0.85, abs=0.01)
    assert slices.images[slices.masks].mean() > slices.images[~slices.masks].mean()


def test_a_file_that_is_not_hdf5_is_refused(tmp_path):
    pytest.importorskip("h5py")
    (tmp_path / "a.h5").write_text("no")
    with pytest.raises(FileError, match="HDF5"):
        read_tumour_slices(tmp_path / "a.h5")
