"""Vessels of the thorax phantom: volume of tubes, trees that fill a territory, interpolation."""

import numpy as np
import pytest

from medgan.phantoms.thorax_lattice import Lattice, voxel_of
from medgan.phantoms.thorax_tree import Tree, grow
from medgan.phantoms.thorax_tubes import Tubes, covered
from medgan.volumes.geometry import Grid, apply_affine


def cube(voxel_mm: float, size: int = 41) -> Grid:
    affine = np.diag([voxel_mm, voxel_mm, voxel_mm, 1])
    affine[:3, 3] = -voxel_mm * (size // 2)
    return Grid((size, size, size), affine)


@pytest.mark.parametrize("voxel_mm", [1.0, 1.5])
@pytest.mark.parametrize("radius_mm", [0.2, 0.5, 0.8, 1.0, 3.0, 8.0])
def test_a_tube_of_any_width_fills_its_exact_volume(radius_mm: float, voxel_mm: float) -> None:
    """Oracle: pi r**2 times the length within 20 slices that the tube crosses obliquely."""
    axis = np.array([0.3, 0.5, 0.8]) / np.linalg.norm([0.3, 0.5, 0.8])
    ends = np.array([-60 * axis, 60 * axis]) + 0.13
    share = covered(Tubes.chain(ends, np.full(2, radius_mm)), cube(voxel_mm))
    volume = share[:, :, 10:30].sum() * voxel_mm**3
    length = 20 * voxel_mm / axis[2]
    assert volume == pytest.approx(np.pi * radius_mm**2 * length, rel=0.03)
    assert 0 <= share.min() <= share.max() <= 1


def test_a_tapering_tube_agrees_with_counting_fine_points() -> None:
    tubes = Tubes.chain(np.array([[-9.0, -7, -8], [8, 9, 7.5]]), np.array([5.0, 2.5]))
    grid = cube(1.0, 31)
    share = covered(tubes, grid)
    steps = (np.arange(5) + 0.5) / 5 - 0.5
    naive = np.zeros(grid.shape)
    for i, j, k in np.ndindex(*grid.shape):
        if share[i, j, k] > 0 or (i + j + k) % 37 == 0:
            fine = np.stack(np.meshgrid(i + steps, j + steps, k + steps), -1).reshape(-1, 3)
            world = apply_affine(grid.affine, fine)
            axis = tubes.end[0] - tubes.start[0]
            along = np.clip((world - tubes.start[0]) @ axis / (axis @ axis), 0, 1)
            away = np.linalg.norm(world - tubes.start[0] - along[:, None] * axis, axis=1)
            naive[i, j, k] = (away < 5 - 2.5 * along).mean()
    assert np.abs(share - naive).mean() < 0.01
    assert share.sum() == pytest.approx(naive.sum(), rel=0.02)


def test_tubes_do_not_depend_on_the_direction_of_the_grids_axes() -> None:
    tubes = Tubes.chain(np.array([[-9.0, -7, -8], [8, 9, 7.5]]), np.array([2.0, 0.4]))
    grid = cube(1.0, 31)
    turned = grid.affine @ np.array([[-1, 0, 0, 30], [0, -1, 0, 30], [0, 0, 1, 0], [0, 0, 0, 1]])
    flipped = covered(tubes, Grid(grid.shape, turned))
    np.testing.assert_allclose(flipped[::-1, ::-1], covered(tubes, grid), atol=1e-5)


def test_clearance_is_the_distance_to_the_nearest_of_many_points_on_the_tube() -> None:
    tubes = Tubes.chain(np.array([[0.0, 0, 0], [10, 4, 2], [12, -5, 3]]), np.array([2.0, 1, 1]))
    point = np.array([7.0, 6, -3])
    along = np.linspace(0, 1, 20001)[:, None]
    for i, found in enumerate(tubes.clearance(point)):
        path = tubes.start[i] + along * (tubes.end[i] - tubes.start[i])
        radius = tubes.start_radius[i] + along[:, 0] * (tubes.end_radius[i] - tubes.start_radius[i])
        nearest = np.argmin(np.linalg.norm(path - point, axis=1))
        expected = np.linalg.norm(path[nearest] - point) - radius[nearest]
        assert found == pytest.approx(expected, abs=1e-3)


@pytest.fixture(scope="module")
def tree() -> tuple[np.ndarray, Tree]:
    rng = np.random.default_rng(0)
    ends = (rng.uniform(-1, 1, (700, 3)) * [40, 60, 90]).astype(np.float32)
    return ends, grow(np.array([-40.0, 0, 0]), ends, rng)


def test_a_tree_reaches_every_end_once_and_hangs_together(tree: tuple[np.ndarray, Tree]) -> None:
    ends, grown = tree
    leaves = grown.end[grown.flow == 1]
    np.testing.assert_allclose(np.sort(leaves, axis=0), np.sort(ends, axis=0), atol=1e-4)
    child = grown.parent >= 0
    np.testing.assert_array_equal(grown.start[child], grown.end[grown.parent[child]])
    assert grown.flow[0] == len(ends)
    assert (~child).sum() == 1


def test_flow_and_cubes_of_radii_are_conserved_at_every_fork(tree: tuple[np.ndarray, Tree]) -> None:
    grown = tree[1]
    child = grown.parent >= 0
    cubes = grown.radii(0.5).astype(float) ** 3
    for values in (grown.flow.astype(float), cubes):
        fed = np.bincount(grown.parent[child], values[child], len(values))
        np.testing.assert_allclose(fed[grown.flow > 1], values[grown.flow > 1], rtol=1e-5)


def test_points_in_one_line_grow_a_tree_as_well() -> None:
    ends = np.zeros((9, 3), np.float32)
    ends[:, 0] = np.arange(1, 10)
    assert (grow(np.zeros(3), ends, np.random.default_rng(1)).flow == 1).sum() == 9


def test_a_lattice_interpolates_linear_fields_exactly_and_curved_ones_closely() -> None:
    affine = np.array([[0, 1.5, 0, 3], [-1.0, 0, 0, 2], [0, 0, 2.5, -7], [0, 0, 0, 1.0]])
    grid = Grid((31, 22, 18), affine)
    lattice = Lattice(grid)
    points = lattice.coarse_points()
    index = np.indices(grid.shape).reshape(3, -1).T
    world = apply_affine(affine, index)
    slope = np.array([0.3, -0.7, 1.1], np.float32)
    np.testing.assert_allclose(lattice.fine(points @ slope).ravel(), world @ slope, atol=1e-3)
    middle = np.array([20.0, -60, 5])
    exact = np.linalg.norm(world - middle, axis=1)
    near = lattice.fine(np.linalg.norm(points - middle, axis=1).astype(np.float32)).ravel()
    assert np.abs(near - exact)[exact > 30].max() < 0.2
    np.testing.assert_allclose(voxel_of(grid, world), index, atol=1e-9)
