import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from medgan.errors import DataError, FileError
from medgan.io.luna16 import (
    Row,
    contains,
    read_grid,
    read_rows,
    read_uids,
    to_index,
    to_world,
    uid_of,
    write_rows,
    write_uids,
)
from medgan.io.metaimage import as_image, as_volume, write_itk
from medgan.metrics.findings import read_annotations, read_marks, read_scans
from medgan.volumes import Volume

UID = "1.3.6.1.4.1.14519.5.2.1.6279.6001.154677396354641150280013275227"


def image_with(direction, seed=0):
    rng = np.random.default_rng(seed)
    image = sitk.GetImageFromArray(np.zeros((11, 12, 13), np.int16))
    image.SetSpacing(rng.uniform(0.5, 3, 3).tolist())
    image.SetOrigin(rng.uniform(-300, 300, 3).tolist())
    image.SetDirection(np.asarray(direction, float).ravel().tolist())
    return image


DIRECTIONS = [
    np.eye(3),
    np.diag([-1, -1, 1]),
    np.diag([1, 1, -1]),
    np.eye(3)[[1, 2, 0]],
    *(Rotation.random(random_state=seed).as_matrix() for seed in range(5)),
]


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_indices_and_positions_are_those_of_simpleitk(direction):
    image = image_with(direction)
    volume = as_volume(image, "CT")
    index = np.random.default_rng(1).uniform(-3, 14, (20, 3))
    world = to_world(volume, index)
    expected = [image.TransformContinuousIndexToPhysicalPoint(i) for i in index.tolist()]
    np.testing.assert_allclose(world, expected, atol=1e-9)
    back = [image.TransformPhysicalPointToContinuousIndex(p) for p in world.tolist()]
    np.testing.assert_allclose(to_index(volume, world), back, atol=1e-9)
    np.testing.assert_allclose(back, index, atol=1e-9)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_header_alone_says_where_the_voxels_lie(direction, tmp_path):
    volume = as_volume(image_with(direction), "CT")
    write_itk(volume, tmp_path / f"{UID}.mhd")
    grid = read_grid(tmp_path / f"{UID}.mhd")
    assert grid.shape == volume.shape
    np.testing.assert_allclose(grid.affine, volume.affine, atol=1e-9)


def test_a_header_without_its_voxels_is_refused(tmp_path):
    write_itk(as_volume(image_with(np.eye(3)), "CT"), tmp_path / f"{UID}.mhd")
    (tmp_path / f"{UID}.zraw").unlink()
    with pytest.raises(FileError, match="data file is missing"):
        read_grid(tmp_path / f"{UID}.mhd")


def test_a_grid_contains_what_lies_inside_its_outer_faces():
    volume = Volume(np.zeros((4, 5, 6)), np.diag([-2.0, -2.0, 3.0, 1.0]), "CT")
    index = np.array([[-0.49, 0, 0], [-0.51, 0, 0], [3.49, 4.49, 5.49], [0, 0, 5.51]])
    assert contains(volume, to_world(volume, index)).tolist() == [True, False, True, False]


@pytest.mark.parametrize(
    "name",
    [UID, f"{UID}.mhd", f"folder/{UID}.zraw", f"{UID}.raw", f"{UID}.MHA", f"{UID}.nii.gz"],
)
def test_every_dot_of_a_series_uid_is_kept(name):
    assert uid_of(name) == UID


def test_rows_written_are_read_back_to_the_last_digit(tmp_path):
    rng = np.random.default_rng(0)
    rows = [
        Row(f"1.2.{i}", tuple(rng.normal(0, 200, 3).tolist()), float(rng.uniform(3, 30)))
        for i in range(50)
    ]
    rows.append(Row("1.2.3", (0.1, -0.0, 1e-9), -1.0))
    write_rows(tmp_path / "rows.csv", rows, "diameter_mm")
    assert list(read_rows(tmp_path / "rows.csv", "diameter_mm")) == rows


def test_the_evaluation_reads_what_is_written(tmp_path):
    rows = [Row("1.2", (1.5, 2.0, -3.25), 7.5), Row("1.3", (0.0, 0.0, 0.0), -1.0)]
    write_uids(tmp_path / "uids.csv", ["1.2", "1.3"])
    write_rows(tmp_path / "annotations.csv", rows, "diameter_mm")
    write_rows(tmp_path / "results.csv", rows, "probability")
    scans = read_scans(tmp_path / "uids.csv")
    assert scans == read_uids(tmp_path / "uids.csv") == ("1.2", "1.3")
    found = read_annotations(tmp_path / "annotations.csv", scans)
    np.testing.assert_array_equal(found.position_mm, [row.position_mm for row in rows])
    assert found.diameter_mm.tolist() == [7.5, 10.0]
    assert read_marks(tmp_path / "results.csv", scans).probability.tolist() == [7.5, -1.0]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("seriesuid,coordX,coordY,coordZ\n1,2,3,4\n", FileError),
        ("seriesuid,coordX,coordY,coordZ,diameter_mm\n1,2,x,4,5\n", FileError),
        ("seriesuid,coordX,coordY,coordZ,diameter_mm\n1,2,inf,4,5\n", DataError),
        ("seriesuid,coordX,coordY,coordZ,diameter_mm\n1,2,3,4,\n", FileError),
        (None, FileError),
    ],
)
def test_tables_that_are_not_whole_are_refused(tmp_path, text, error):
    path = tmp_path / "annotations.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(error, match=r"annotations\.csv"):
        read_rows(path, "diameter_mm")


def test_a_row_that_is_not_finite_is_not_written(tmp_path):
    with pytest.raises(DataError, match="finite"):
        write_rows(tmp_path / "a.csv", [Row("1", (0.0, np.nan, 0.0), 1.0)], "diameter_mm")
    assert not list(tmp_path.iterdir())


def test_the_official_tables_are_read_whole(medgan_data):
    folder = medgan_data / "luna16_csv"
    annotations = read_rows(folder / "annotations.csv", "diameter_mm")
    excluded = read_rows(folder / "annotations_excluded.csv", "diameter_mm")
    uids = read_uids(folder / "seriesuids.csv")
    assert (len(annotations), len(excluded), len(uids)) == (1186, 35192, 888)
    assert {row.uid for row in annotations} <= set(uids)
    assert min(row.value for row in excluded) == -1


def test_annotation_voxel_and_mask_of_the_genuine_case_agree(medgan_data):
    from medgan.io import read_volume

    folder = medgan_data / "lidc_idri_0314_luna16"
    (row,) = read_rows(folder / "annotations.csv", "diameter_mm")
    grid = read_grid(folder / f"{row.uid}.mhd")
    voxel = np.rint(to_index(grid, row.position_mm)).astype(int)
    # The published voxel is the integer part of one coordinate and the rounded others.
    assert np.abs(voxel - [184, 243, 69]).max() <= 1
    mask = read_volume(folder / f"{row.uid}_nodule_mask.nii.gz", modality="LABEL")
    assert mask.array[tuple(voxel)]
    assert mask.array[184, 243, 69]
    centre = to_world(mask, np.argwhere(mask.array).mean(axis=0))
    assert np.linalg.norm(centre - row.position_mm) < row.value / 4
    image = as_image(Volume(np.zeros(grid.shape, np.int8), grid.affine, "CT"))
    assert image.TransformPhysicalPointToIndex(row.position_mm) == tuple(voxel.tolist())
