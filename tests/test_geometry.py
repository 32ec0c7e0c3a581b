from dataclasses import replace
from itertools import permutations, product

import numpy as np
import pytest

from medgan.errors import GeometryError
from medgan.volumes import Volume
from medgan.volumes.geometry import (
    Grid,
    apply_affine,
    axis_codes,
    grid_with_spacing,
    is_sheared,
    lps_to_ras,
    ras_to_lps,
    reorient,
    require_same_grid,
    same_grid,
)

OBLIQUE = np.array([[0.9, 0.1, 0.0, -20], [-0.1, 1.1, 0.3, 5], [0.0, -0.2, 2.5, 33], [0, 0, 0, 1]])
EVERY_ORIENTATION = [
    "".join(letters) for order in permutations(["RL", "AP", "SI"]) for letters in product(*order)
]


def test_apply_affine_equals_homogeneous_multiplication():
    points = np.random.default_rng(0).normal(size=(4, 5, 3))
    mapped = apply_affine(OBLIQUE, points)
    for index in np.ndindex(4, 5):
        np.testing.assert_allclose(mapped[index], (OBLIQUE @ [*points[index], 1])[:3])


def test_lps_is_ras_with_two_axes_mirrored():
    np.testing.assert_array_equal(apply_affine(lps_to_ras(np.eye(4)), [1, 2, 3]), [-1, -2, 3])
    np.testing.assert_array_equal(lps_to_ras(ras_to_lps(OBLIQUE)), OBLIQUE)


@pytest.mark.parametrize("codes", EVERY_ORIENTATION)
def test_reorient_moves_no_voxel_in_the_patient(codes):
    array = np.arange(24).reshape(2, 3, 4)
    volume = Volume(array, OBLIQUE, "MR")
    turned = reorient(volume, codes)
    assert axis_codes(turned.affine) == codes
    indices = np.argwhere(np.ones(turned.shape, bool))
    places = apply_affine(np.linalg.inv(volume.affine), apply_affine(turned.affine, indices))
    found = array[tuple(np.rint(places).astype(int).T)]
    np.testing.assert_array_equal(turned.array.ravel(), found)
    np.testing.assert_allclose(reorient(turned, "RAS").affine, volume.affine, atol=1e-12)


@pytest.mark.parametrize("codes", ["RAL", "RA", "XYZ", "ras"])
def test_reorient_refuses_what_names_no_orientation(codes):
    with pytest.raises(GeometryError, match="orientation"):
        reorient(Volume(np.zeros((2, 2, 2)), np.eye(4), "MR"), codes)


@pytest.mark.parametrize(("degrees", "sheared"), [(0, False), (0.01, False), (15, True)])
def test_a_tilted_gantry_shears(degrees, sheared):
    affine = np.diag([1.0, 1.0, 2.0, 1.0])
    affine[1, 2] = 2 * np.tan(np.radians(degrees))
    assert is_sheared(affine) is sheared


def test_rotation_is_no_shear():
    c, s = np.cos(0.3), np.sin(0.3)
    turn = np.array([[c, -s, 0, 0], [s, c, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    assert not is_sheared(turn @ np.diag([1, 2, 3, 1]))


@pytest.mark.parametrize("spacing", [(2, 2, 2), (0.5, 0.7, 1.3), (1000, 1, 1)])
def test_another_spacing_covers_the_same_part_of_the_patient(spacing):
    grid = Grid((11, 20, 7), OBLIQUE)
    other = grid_with_spacing(grid, spacing)
    np.testing.assert_allclose(other.spacing_mm, spacing)
    np.testing.assert_allclose(
        apply_affine(other.affine, (np.array(other.shape) - 1) / 2),
        apply_affine(grid.affine, (np.array(grid.shape) - 1) / 2),
    )
    excess = np.multiply(other.shape, spacing) - np.multiply(grid.shape, grid.spacing_mm)
    assert (excess > -2e-3 * np.array(spacing)).all()
    assert (excess < spacing).all()


def test_the_same_spacing_gives_the_same_grid():
    grid = Grid((11, 20, 7), OBLIQUE)
    assert same_grid(grid, grid_with_spacing(grid, grid.spacing_mm), 1e-9)


def test_grids_are_compared_at_their_corners():
    volume = Volume(np.zeros((100, 10, 10)), np.eye(4), "CT")
    # 0.1 per mille of scale is 0.01 mm at the far end of 100 mm, and nothing at the origin.
    affine = np.diag([1.0005, 1, 1, 1])
    stretched = replace(volume, affine=affine)
    require_same_grid(volume, volume)
    assert not same_grid(volume, stretched)
    with pytest.raises(GeometryError, match=r"0\.04975 mm apart.*0\.01 mm"):
        require_same_grid(volume, stretched)
    with pytest.raises(GeometryError, match=r"\(3, 3, 3\)"):
        require_same_grid(volume, Grid((3, 3, 3), np.eye(4)))


def test_a_grid_must_be_invertible():
    with pytest.raises(GeometryError, match="invertible"):
        Grid((2, 2, 2), np.diag([1.0, 0, 1, 1]))
    with pytest.raises(GeometryError, match="non-empty"):
        Grid((2, 0, 2), np.eye(4))
