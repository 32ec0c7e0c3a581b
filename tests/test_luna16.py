import shutil

import numpy as np
import pytest

from medgan.data.luna16 import Luna16, Nodule
from medgan.errors import DataError, FileError, GeometryError
from medgan.io.luna16 import Row, to_index, to_world, write_rows
from medgan.io.metaimage import write_itk
from medgan.volumes import Volume

SHAPE = (60, 50, 40)


def uid(number):
    return f"2.25.1234.5678.{number}"


def chest(flipped=False):
    """A body of 4 mm voxels with two boxes of lung in it."""
    array = np.full(SHAPE, -1000, np.int16)
    array[6:54, 6:44] = 40
    for lung in (slice(10, 26), slice(34, 50)):
        array[lung, 12:38, 6:36] = -850
    sign = -1 if flipped else 1
    affine = np.diag([-4.0 * sign, -4.0 * sign, 4.0, 1.0])
    affine[:3, 3] = 100, 80, -200
    return Volume(array, affine, "CT")


@pytest.fixture
def folder(tmp_path):
    """Four scans in two subsets, the third flipped, each with a nodule; two with lung masks."""
    rows, excluded = [], []
    for number in range(4):
        scan = chest(flipped=number == 2)
        place = tmp_path / f"subset{number // 2}"
        place.mkdir(exist_ok=True)
        write_itk(scan, place / f"{uid(number)}.mhd")
        x, y, z = to_world(scan, (18, 20, 20)).tolist()
        rows.append(Row(uid(number), (x, y, z), 8.0))
        excluded.append(Row(uid(number), (x, y, z + 40), -1.0))
        if number < 2:
            labels = np.where(scan.array == -850, 3, 0).astype(np.uint8)
            labels[30, 25] = 5
            masks = tmp_path / "seg-lungs-LUNA16"
            masks.mkdir(exist_ok=True)
            write_itk(scan.with_array(labels, modality="LABEL"), masks / f"{uid(number)}.mhd")
    write_rows(tmp_path / "annotations.csv", rows, "diameter_mm")
    write_rows(tmp_path / "annotations_excluded.csv", excluded, "diameter_mm")
    return tmp_path


def add_row(folder, row):
    from medgan.io.luna16 import read_rows

    path = folder / "annotations.csv"
    write_rows(path, [*read_rows(path, "diameter_mm"), row], "diameter_mm")


def test_scans_come_with_their_findings_and_subset(folder):
    luna = Luna16.open(folder)
    assert [scan.uid for scan in luna.scans] == [uid(n) for n in range(4)]
    assert [scan.subset for scan in luna.scans] == [0, 0, 1, 1]
    assert luna.problems == ()
    for scan in luna.scans:
        (nodule,), (excluded,) = scan.nodules, scan.excluded
        np.testing.assert_allclose(to_index(scan.read(), nodule.position_mm), (18, 20, 20))
        assert (nodule.radius_mm, excluded.diameter_mm, excluded.radius_mm) == (4.0, -1.0, 5.0)


def test_a_flipped_scan_has_its_nodule_at_another_position_but_the_same_voxel(folder):
    plain, flipped = (Luna16.open(folder).scans[n] for n in (0, 2))
    assert plain.nodules[0].position_mm[:2] != flipped.nodules[0].position_mm[:2]
    for scan in (plain, flipped):
        volume = scan.read()
        voxel = np.rint(to_index(volume, scan.nodules[0].position_mm)).astype(int)
        assert volume.array[tuple(voxel)] == -850


def test_lungs_of_a_mask_and_of_the_image_are_the_same_place(folder):
    masked, segmented = (Luna16.open(folder).scans[n] for n in (0, 2))
    assert masked.lung_mask is not None
    assert segmented.lung_mask is None
    for scan in (masked, segmented):
        lungs, truth = scan.lungs(), scan.read().array == -850
        assert (lungs.modality, lungs.array.dtype) == ("LABEL", np.bool_)
        assert 2 * (lungs.array & truth).sum() / (lungs.array.sum() + truth.sum()) > 0.9
    np.testing.assert_array_equal(masked.lungs().array, masked.read().array == -850)


def test_every_subset_is_tested_once_by_what_the_others_taught(folder):
    luna = Luna16.open(folder)
    folds = luna.folds()
    assert [fold.number for fold in folds] == [0, 1]
    assert sorted(scan.uid for fold in folds for scan in fold.test) == [uid(n) for n in range(4)]
    for fold in folds:
        assert {scan.subset for scan in fold.test} == {fold.number}
        assert set(fold.train) == set(luna.scans) - set(fold.test)
    with pytest.raises(DataError, match=r"1 subset"):
        Luna16.open(folder, subsets=[1]).folds()


def test_subsets_are_opened_alone_without_complaints_about_the_others(folder):
    luna = Luna16.open(folder, subsets=[1])
    assert [scan.uid for scan in luna.scans] == [uid(2), uid(3)]
    assert luna.problems == ()


def test_each_fault_is_named_and_the_rest_goes_on(folder):
    (folder / "subset0" / f"{uid(0)}.zraw").unlink()
    shutil.copy(folder / "subset0" / f"{uid(1)}.mhd", folder / "subset1")
    shutil.copy(folder / "subset0" / f"{uid(1)}.zraw", folder / "subset1")
    add_row(folder, Row(uid(2), (1000.0, 0.0, 0.0), 5.0))
    add_row(folder, Row("2.25.99", (0.0, 0.0, 0.0), 5.0))
    empty = chest().with_array(np.full(SHAPE, 40, np.int16))
    write_itk(empty, folder / "subset1" / f"{uid(4)}.mhd")
    luna = Luna16.open(folder)
    named = {problem.uid: problem for problem in luna.problems}
    assert set(named) == {uid(0), uid(1), uid(2), "2.25.99"}
    assert "data file is missing" in named[uid(0)].what
    assert named[uid(0)].where == f"subset0/{uid(0)}.mhd"
    assert "more than once" in named[uid(1)].what
    assert named[uid(1)].where == f"subset0/{uid(1)}.mhd, subset1/{uid(1)}.mhd"
    assert "1 of 2 annotation(s) lie off the scan" in named[uid(2)].what
    assert "no scan" in named["2.25.99"].what
    assert [scan.uid for scan in luna.scans] == [uid(3), uid(4)]
    checked = luna.with_lungs()
    assert [scan.uid for scan in checked.scans] == [uid(3)]
    assert "no lung" in checked.problems[-1].what
    assert checked.problems[-1].uid == uid(4)


def test_truncated_voxels_and_a_mask_of_another_grid_are_named(folder):
    data = folder / "subset0" / f"{uid(0)}.zraw"
    data.write_bytes(data.read_bytes()[:-200])
    mask = folder / "seg-lungs-LUNA16" / f"{uid(1)}.mhd"
    write_itk(Volume(np.ones((4, 4, 4), np.uint8), np.eye(4), "LABEL"), mask)
    checked = Luna16.open(folder).with_lungs()
    assert [problem.uid for problem in checked.problems] == [uid(0), uid(1)]
    assert "different grids" in checked.problems[1].what
    with pytest.raises(GeometryError, match="different grids"):
        Luna16.open(folder).scans[1].lungs()


def test_a_nodule_without_size_or_annotated_twice_is_named(folder):
    add_row(folder, Row(uid(0), (60.0, 0.0, -150.0), -1.0))
    row = Luna16.open(folder).scans[1].nodules[0]
    add_row(folder, Row(Luna16.open(folder).scans[1].uid, row.position_mm, 5.0))
    named = {problem.uid: problem.what for problem in Luna16.open(folder).problems}
    assert "no diameter" in named[uid(0)]
    assert "twice" in named[Luna16.open(folder).problems[1].uid]


def test_a_scan_without_rows_is_a_scan_without_nodules(folder):
    write_rows(folder / "annotations.csv", [], "diameter_mm")
    (folder / "annotations_excluded.csv").unlink()
    luna = Luna16.open(folder)
    assert len(luna.scans) == 4
    assert not any(scan.nodules or scan.excluded for scan in luna.scans)


def test_a_folder_that_is_none_is_refused(tmp_path, folder):
    with pytest.raises(FileError, match="no such folder"):
        Luna16.open(tmp_path / "nowhere")
    (folder / "annotations.csv").unlink()
    with pytest.raises(FileError, match="no annotations"):
        Luna16.open(folder)
    empty = tmp_path / "empty"
    empty.mkdir()
    write_rows(empty / "annotations.csv", [], "diameter_mm")
    with pytest.raises(DataError, match="no usable scan"):
        Luna16.open(empty)


def test_the_genuine_case_is_opened_with_the_official_tables(medgan_data):
    tables = medgan_data / "luna16_csv"
    luna = Luna16.open(
        medgan_data / "lidc_idri_0314_luna16",
        annotations=tables / "annotations.csv",
        excluded=tables / "annotations_excluded.csv",
    )
    (scan,) = luna.scans
    assert scan.nodules == (Nodule((-57.43923954, 131.2325201, -520.3592267), 15.48525426),)
    assert len(scan.excluded) == 42
    others = [problem for problem in luna.problems if "no scan" in problem.what]
    assert len(others) == len(luna.problems) == 600


def test_a_folder_of_phantoms_is_one_of_luna16(tmp_path):
    from medgan.phantoms.thorax_folder import write_luna16_phantoms

    write_luna16_phantoms(tmp_path, 2, seed=3, subsets=2, spacing_mm=(3.0, 3.0, 3.0), nodules=3)
    luna = Luna16.open(tmp_path).with_lungs()
    assert len(luna.scans) == len(luna.folds()) == 2
    assert luna.problems == ()
    for scan in luna.scans:
        volume, lungs = scan.read(), scan.lungs()
        assert volume.synthetic
        voxels = np.rint(to_index(volume, [n.position_mm for n in scan.nodules])).astype(int)
        assert lungs.array[tuple(voxels.T)].all()
