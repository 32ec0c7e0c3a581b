import numpy as np
import pytest

from medgan.errors import DataError
from medgan.io import read_volume
from medgan.volumes import Volume
from medgan.volumes.geometry import Grid, crop, grid_with_spacing
from medgan.volumes.lungs import lung_mask
from medgan.volumes.resampling import resample

SHAPE = (120, 90, 80)
SPACING = (3.0, 3.0, 3.0)


def ball(centre, radius):
    """Voxels within a radius (mm, or one for each axis) of a place in mm from the middle."""
    places = [
        (index - (size - 1) / 2) * step - c
        for index, size, step, c in zip(np.indices(SHAPE), SHAPE, SPACING, centre, strict=True)
    ]
    return sum((p / r) ** 2 for p, r in zip(places, np.broadcast_to(radius, 3), strict=True)) < 1


class Chest:
    """A body with two lungs, trachea, vessels, a nodule on the wall, stomach gas and a table."""

    def __init__(self, seed=0):
        rng = np.random.default_rng(seed)
        body = ball((0, 0, 0), (150, 105, 1e6))
        self.right, self.left = (ball((x, 0, 10), (50, 70, 95)) for x in (70, -70))
        self.trachea = ball((0, 10, 70), (9, 9, 60))
        self.stomach = ball((-60, 40, -105), (30, 25, 16))
        vessels = ball((70, 0, 0), (3.5, 40, 3.5)) | ball((-70, 0, 20), (3.5, 3.5, 60))
        self.nodule = ball((70 + 46, 0, 10), 10) & self.right
        array = np.where(body, 40.0, -1000.0)
        array[self.right | self.left] = -850
        array[self.trachea | self.stomach] = -1000
        array[(vessels | self.nodule) & (self.right | self.left)] = 40
        y = (np.indices(SHAPE)[1] - (SHAPE[1] - 1) / 2) * SPACING[1]
        self.cushion = (y < -108) & (y > -126)
        array[self.cushion & ~body] = -900
        array[(y <= -126) & (y > -130)] = 100
        array += rng.normal(0, 30, SHAPE)
        self.lungs = self.right | self.left
        self.ct = Volume(array.astype(np.float32), np.diag([*SPACING, 1.0]), "CT")


@pytest.fixture(scope="module")
def chest():
    return Chest()


@pytest.fixture(scope="module")
def mask(chest):
    return lung_mask(chest.ct)


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def test_both_lungs_are_found_and_nothing_else(chest, mask):
    assert dice(mask, chest.lungs) > 0.97
    assert not mask[chest.trachea | chest.stomach].any()
    assert not mask[chest.cushion].any()


def test_vessels_and_most_of_a_nodule_on_the_wall_belong_to_the_lung(chest, mask):
    vessels = chest.lungs & ~chest.nodule & (chest.ct.array > -200)
    assert mask[vessels].mean() > 0.99
    assert mask[chest.nodule].mean() > 0.65


def test_the_lungs_turn_with_the_image(chest, mask):
    affine = np.array([[0, 0, -3, 0], [-3, 0, 0, 0], [0, 3, 0, 0], [0, 0, 0, 1.0]])
    turned = Volume(chest.ct.array.transpose(1, 2, 0)[::-1, :, ::-1], affine, "CT")
    expected = mask.transpose(1, 2, 0)[::-1, :, ::-1]
    np.testing.assert_array_equal(lung_mask(turned), expected)


def test_a_cropped_half_with_one_lung_is_enough(chest, mask):
    box = (slice(60, 105), slice(24, 66), slice(10, 70))
    half = lung_mask(crop(chest.ct, box))
    assert dice(half, chest.right[box]) > 0.95
    assert dice(half, mask[box]) > 0.98


def test_thick_slices_do_not_lose_the_lungs(chest):
    grid = grid_with_spacing(Grid.of(chest.ct), (3.0, 3.0, 9.0))
    thick = lung_mask(resample(chest.ct, grid))
    truth = resample(chest.ct.with_array(chest.lungs, modality="LABEL"), grid).array
    assert dice(thick, truth) > 0.93


@pytest.mark.parametrize(
    ("array", "modality", "message"),
    [
        (np.full((40, 40, 20), -1000.0), "CT", "no lung"),
        (np.full((40, 40, 20), 40.0), "CT", "no lung"),
        (np.zeros((40, 40, 20)), "MR", "CT only"),
    ],
)
def test_an_image_without_lungs_is_refused(array, modality, message):
    with pytest.raises(DataError, match=message):
        lung_mask(Volume(array, np.diag([3.0, 3.0, 3.0, 1.0]), modality))


def test_an_abdomen_without_lungs_is_refused(chest):
    array = np.where(chest.lungs, 40, chest.ct.array)
    with pytest.raises(DataError, match="no lung"):
        lung_mask(chest.ct.with_array(array))


@pytest.mark.parametrize(
    "name", ["invesalius_cranium_ct/cranium_ct_hu", "umcu_pelvis_ct/pelvis_ct_run"]
)
def test_real_scans_of_other_regions_have_no_lungs(medgan_data, name):
    with pytest.raises(DataError, match="no lung"):
        lung_mask(read_volume(medgan_data / f"{name}.nii.gz", modality="CT"))


@pytest.mark.parametrize(
    ("name", "litres"),
    [
        # One lung at full inspiration; both lungs, 8 mm slices; both lungs, cropped at the sides.
        ("elastix_lung_ct/3DCT_lung.mha", (2.5, 4.0)),
        ("lung_pet_ct_dx_A0002/ct_B40f.nii.gz", (2.0, 4.0)),
        ("totalsegmentator_examples/aorta_report_test_result_models_ct_cropped.nii.gz", (2.0, 4.0)),
        # The bases alone.
        ("totalsegmentator_examples/example_ct.nii.gz", (0.05, 0.3)),
    ],
)
def test_real_lungs_have_a_plausible_size_and_density(medgan_data, name, litres):
    scan = read_volume(medgan_data / name, modality="CT")
    mask = lung_mask(scan)
    size = mask.sum() * abs(np.linalg.det(scan.affine[:3, :3])) / 1e6
    assert litres[0] < size < litres[1]
    assert -960 < np.median(scan.array[mask]) < -700


def test_the_genuine_nodule_lies_in_the_lungs(medgan_data):
    folder = medgan_data / "lidc_idri_0314_luna16"
    nodule = read_volume(next(folder.glob("*_nodule_mask.nii.gz")), modality="LABEL")
    box = (slice(None, None, 2), slice(None, None, 2), slice(None))
    scan = read_volume(next(folder.glob("*.mhd")))
    halved = Volume(scan.array[box], scan.affine @ np.diag([2, 2, 1, 1]), "CT")
    mask = lung_mask(halved)
    assert mask[nodule.array[box] > 0].mean() > 0.99
    assert 1.8 < mask.sum() * np.prod(halved.spacing_mm) / 1e6 < 2.8


@pytest.mark.parametrize("seed", [0, 1])
def test_the_lungs_of_a_phantom_are_found_exactly(seed):
    from medgan.phantoms.thorax import scan_thorax

    scan = scan_thorax(seed, spacing_mm=(2.5, 2.5, 2.5))
    assert dice(lung_mask(scan.ct), scan.lungs.array > 0) > 0.95
