from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from medgan.data.registration import register_deformable, register_rigid
from medgan.errors import DataError
from medgan.io import read_volume
from medgan.volumes import Volume
from medgan.volumes.geometry import apply_affine

SHAPE = (56, 64, 48)
SPACING = (3.0, 3.0, 3.5)
CORNERS = np.array([[x, y, z] for x in (-60, 60) for y in (-70, 70) for z in (-60, 60)])


def displacement(degrees, shift):
    turn = np.eye(4)
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn[:2, :2] = [[c, -s], [s, c]]
    turn[:3, 3] = shift
    return turn


def patient():
    """The same head as CT and MR: bone bright in one and dark in the other."""
    affine = np.diag([*SPACING, 1.0])
    affine[:3, 3] = -(np.array(SHAPE) - 1) / 2 * SPACING
    x, y, z = np.moveaxis(apply_affine(affine, np.moveaxis(np.indices(SHAPE), 0, -1)), -1, 0)
    radius = np.sqrt((x / 62) ** 2 + (y / 80) ** 2 + (z / 66) ** 2)
    # the scalp two voxels thick: one alone is lost to the median of body_mask
    head, brain = radius < 1, radius < 0.82
    bone = (radius > 0.84) & (radius < 0.91)
    rng = np.random.default_rng(0)
    folds = ndimage.gaussian_filter(rng.normal(size=SHAPE), 2.5) * 12
    folds[(x > 10) & (y > 20)] += 1
    ct = np.where(head, 30 + 10 * folds * brain, -1000)
    ct[bone] = 900
    mr = np.where(head, 400 + 150 * folds * brain, 0)
    mr[bone] = 40
    return (
        Volume(ct + rng.normal(0, 10, SHAPE), affine, "CT"),
        Volume(np.abs(mr + rng.normal(0, 10, SHAPE)), affine, "MR", frame_of_reference="1.2"),
    )


@pytest.mark.parametrize(("degrees", "shift"), [(0, (0, 0, 0)), (8, (12, -9, 7))])
def test_a_known_movement_between_modalities_is_undone(degrees, shift):
    ct, mr = patient()
    movement = displacement(degrees, shift)
    moved = replace(ct, affine=movement @ ct.affine)
    result = register_rigid(moved, mr)
    error = apply_affine(result.moving_to_fixed @ movement, CORNERS) - CORNERS
    assert np.linalg.norm(error, axis=1).max() < 1.0
    assert result.volume.shape == mr.shape
    np.testing.assert_array_equal(result.volume.affine, mr.affine)
    assert (result.volume.modality, result.volume.frame_of_reference) == ("CT", "1.2")


def bulged(volume, amount_mm):
    """The volume with a wider head, and how far the tissue in each voxel moved."""
    x, y, z = np.moveaxis(apply_affine(volume.affine, np.moveaxis(np.indices(SHAPE), 0, -1)), -1, 0)
    shift = amount_mm * np.tanh(x / 25) * np.exp(-(y**2 + z**2) / 80**2)
    # where the tissue of each place of the wider head comes from
    places = np.stack(np.indices(SHAPE)).astype(float)
    places[0] -= shift / SPACING[0]
    fill = -1000 if volume.modality == "CT" else 0
    array = ndimage.map_coordinates(volume.array, places, order=1, cval=fill)
    return volume.with_array(array.astype(np.float32)), shift


def test_a_known_deformation_between_modalities_is_mostly_undone():
    ct, mr = patient()
    wider, shift = bulged(ct, 9.0)
    bone = ct.array > 500
    result = register_deformable(wider, mr)
    assert result.volume.shape == mr.shape

    def dice(volume):
        found = volume.array > 500
        return 2 * (found & bone).sum() / (found.sum() + bone.sum())

    rigid = dice(register_rigid(wider, mr).volume)
    assert rigid < 0.75
    assert dice(result.volume) > 0.95
    body = ct.array > -500
    assert result.deformation_mm == pytest.approx(np.abs(shift[body]).mean(), rel=0.4)


def test_what_is_in_place_is_moved_by_less_than_half_a_voxel():
    ct, mr = patient()
    assert register_deformable(ct, mr).deformation_mm < min(SPACING) / 2


def test_the_same_scans_give_the_same_bits():
    ct, mr = patient()
    first, second = (register_rigid(ct, mr) for _ in range(2))
    np.testing.assert_array_equal(first.moving_to_fixed, second.moving_to_fixed)
    np.testing.assert_array_equal(first.volume.array, second.volume.array)


def test_the_transform_is_rigid():
    ct, mr = patient()
    rotation = register_rigid(ct, mr).moving_to_fixed[:3, :3]
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(rotation) == pytest.approx(1)


def test_a_scan_without_a_body_is_refused():
    ct, mr = patient()
    with pytest.raises(DataError, match="same value"):
        register_rigid(ct.with_array(np.full(SHAPE, -1000)), mr)


def test_a_moved_real_scan_is_put_back(medgan_data):
    scan = read_volume(medgan_data / "mni_template_pair" / "mr_t1_mni152_head_2mm.nii.gz")
    movement = displacement(6, (7, -5, 6))
    result = register_rigid(replace(scan, affine=movement @ scan.affine), scan)
    error = apply_affine(result.moving_to_fixed @ movement, CORNERS) - CORNERS
    assert np.linalg.norm(error, axis=1).max() < 0.1
