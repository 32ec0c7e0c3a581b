"""Slices of a head in every plane lie where their points say."""

import numpy as np
import pytest

from medgan.config import NetworkConfig, PhantomConfig, PreparationConfig, parse_config
from medgan.data.label_slices import LabelSlices, label_library
from medgan.data.phantom_slices import PhantomSlices
from medgan.data.planes import FINE_SIZE, SLICE_AXES, slab_offsets, tilted_plane
from medgan.data.scanned_slices import scanned_slices
from medgan.errors import ConfigError
from medgan.phantoms.from_ct import ScannedAnatomy
from medgan.volumes import Volume

NORMAL = {"axial": 2, "sagittal": 0, "coronal": 1}


@pytest.mark.parametrize("plane", SLICE_AXES)
def test_each_order_of_axes_is_its_own_inverse_and_ends_with_the_normal(plane):
    axes = SLICE_AXES[plane]
    assert tuple(axes[a] for a in axes) == (0, 1, 2)
    assert axes[2] == NORMAL[plane]


@pytest.mark.parametrize("plane", SLICE_AXES)
def test_points_of_a_slice_lie_in_its_plane_but_for_the_tilt(plane):
    for seed in range(5):
        tilted = tilted_plane(np.random.default_rng(seed), (-30, 30), plane)
        points = tilted.points.reshape(FINE_SIZE, FINE_SIZE, 3).astype(float)
        rows, columns = points[1, 0] - points[0, 0], points[0, 1] - points[0, 0]
        assert np.linalg.norm(rows) == pytest.approx(1, abs=1e-4)
        assert np.linalg.norm(columns) == pytest.approx(1, abs=1e-4)
        assert rows @ columns == pytest.approx(0, abs=1e-4)
        normal = np.cross(rows, columns)
        assert abs(normal[NORMAL[plane]]) > np.cos(np.deg2rad(14))
        assert abs(points.mean(axis=(0, 1))[NORMAL[plane]]) <= 30
        assert rows[SLICE_AXES[plane][0]] > 0.9, "rows run the positive way"
        np.testing.assert_allclose(tilted.middle, points.mean(axis=(0, 1)), atol=1e-4)
        np.testing.assert_allclose(
            tilted.normal, normal * np.sign(normal[NORMAL[plane]]), atol=1e-4
        )
        farther = tilted.moved(7.0).reshape(points.shape) - points
        np.testing.assert_allclose(farther @ tilted.normal, 7, atol=1e-3)
        np.testing.assert_allclose(np.linalg.norm(farther, axis=-1), 7, atol=1e-3)


def test_a_slab_lies_evenly_about_its_slice():
    assert slab_offsets(0, 3.0) == (0.0,)
    assert slab_offsets(4, 2.5) == (-5.0, -2.5, 0.0, 2.5, 5.0)


@pytest.fixture(scope="module")
def ramp():
    """A box whose HU encode its position: 1 along R, 20 along A, 400 along S."""
    i, j, k = np.meshgrid(*[np.arange(60)] * 3, indexing="ij")
    hu = (i + 20 * j + 400 * k).astype(np.float32)
    labels = Volume(np.ones(hu.shape, np.uint8), np.eye(4), "LABEL")
    return ScannedAnatomy(labels, Volume(hu, np.eye(4), "CT"))


@pytest.mark.parametrize("plane", SLICE_AXES)
def test_slices_of_a_scan_show_its_values_along_their_axes(ramp, plane):
    slices = scanned_slices([ramp], plane)
    weights = np.array([1, 20, 400])[list(SLICE_AXES[plane])]
    inside = slices.labels[0, 0] > 0
    rows = np.diff(slices.hu[0, 0].astype(float), axis=0)[inside[1:] & inside[:-1]]
    columns = np.diff(slices.hu[0, 0].astype(float), axis=1)[inside[:, 1:] & inside[:, :-1]]
    # a tilt of at most 12 and 6 degrees lets the other axes in
    for found, along in ((rows, 0), (columns, 1)):
        own = weights[along]
        rest = np.delete(weights, along).sum()
        assert 0.97 * own - 0.25 * rest <= np.median(found) <= own + 0.25 * rest


def test_a_sagittal_slice_ends_below_and_keeps_its_upright_pose():
    library = label_library(range(3, 5), 3, "sagittal").labels[:, 0]
    heights = np.arange(FINE_SIZE) - (FINE_SIZE - 1) / 2
    lowest = [heights[(slice_ > 0).any(axis=1)].min() for slice_ in library]
    assert all(-128 < low < -30 for low in lowest)
    assert len(set(lowest)) > 3, "scans end at different heights"


def test_samples_come_from_every_plane_of_the_model():
    preparation = PreparationConfig(
        spacing_mm=(4, 4, 4), matrix=(52, 64), planes=("axial", "sagittal", "coronal")
    )
    body = np.full((1, 1, FINE_SIZE, FINE_SIZE), 6, np.uint8)
    # known by their depths
    marked = {
        plane: LabelSlices(body, np.array([float(mark)]))
        for mark, plane in enumerate(preparation.planes)
    }
    slices = PhantomSlices(marked, ("t1",), preparation)
    taken = [slices.draw(np.random.default_rng(seed)).depth_mm for seed in range(60)]
    assert all(taken.count(mark) > 8 for mark in range(3))
    settings = PhantomConfig(heads=1, slices=2)
    made = PhantomSlices.training(settings, preparation, NetworkConfig())
    assert set(made.labels) == set(preparation.planes)


@pytest.mark.parametrize(
    "wrong",
    [
        {"planes": []},
        {"planes": ["axial", "axial"]},
        {"planes": ["axial", "oblique"]},
        {"planes": ["axial", "coronal"], "spacing_mm": [2, 2, 3]},
    ],
)
def test_planes_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ConfigError, match="plane"):
        parse_config({"name": "x", "preparation": wrong})
