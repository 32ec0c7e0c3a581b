import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from medgan.cli.inspect import Finding, inspect_file, search
from medgan.cli.main import main
from medgan.errors import FileError
from medgan.io import write_volume
from medgan.phantoms.dicom_slices import Uids, stack, write_slices
from medgan.volumes import Volume

AFFINE = np.array([[0, 0, 1.5, -3], [-2.0, 0, 0, 4], [0, 1, 0, 5], [0, 0, 0, 1]])
"""Axes posterior, superior, right; spacing 2, 1, 1.5 mm."""


@pytest.fixture
def values() -> NDArray[np.int16]:
    return np.random.default_rng(0).integers(-1000, 1500, (4, 5, 6)).astype(np.int16)


@pytest.fixture
def scans(tmp_path: Path, values: NDArray[np.int16]) -> Path:
    """A folder with two good volumes, a damaged one, and a file that is no volume."""
    values[0, 0, 0], values[-1, -1, -1] = -1000, 1500
    folder = tmp_path / "scans"
    (folder / "below").mkdir(parents=True)
    write_volume(Volume(values, AFFINE, "CT"), folder / "ct.nii.gz")
    write_volume(Volume(np.abs(values), AFFINE, "MR"), folder / "below" / "mr.mha")
    (folder / "damaged.nii").write_bytes(b"not a volume")
    (folder / "notes.txt").write_text("nothing to see")
    return folder


def exit_code(*arguments: object) -> int:
    with pytest.raises(SystemExit) as caught:
        main(["inspect", *map(str, arguments)])
    return int(caught.value.code or 0)


def test_folders_are_searched_for_volumes_and_files_taken_as_they_are(scans: Path) -> None:
    notes = scans / "notes.txt"
    found = search([notes, scans])
    assert [place.path for place in found.places] == [
        notes,
        scans / "below" / "mr.mha",
        scans / "ct.nii.gz",
        scans / "damaged.nii",
    ]
    assert found.skipped == {"not DICOM": 1}


def test_a_volume_is_described_as_it_was_written(scans: Path) -> None:
    found = inspect_file(scans / "ct.nii.gz")
    assert found == Finding(
        scans / "ct.nii.gz",
        ".nii.gz",
        shape=(4, 5, 6),
        spacing_mm=(2.0, 1.0, 1.5),
        orientation="PSR",
        modality="CT",
        unit="HU",
        minimum=-1000.0,
        maximum=1500.0,
        synthetic=False,
    )


def test_a_folder_with_a_damaged_file_names_it_and_exits_1(
    scans: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(scans, "--json", "-") == 1
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert result["problems"] == 1
    problems = {Path(row["path"]).name: row["problem"] for row in result["volumes"]}
    assert problems["ct.nii.gz"] is None
    assert problems["mr.mha"] is None
    assert problems["damaged.nii"]["type"] == "FileError"
    assert "damaged.nii" in err


def test_good_files_exit_0_with_one_row_each(
    scans: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(scans / "ct.nii.gz", scans / "below") == 0
    rows = capsys.readouterr().out.splitlines()[1:]
    assert len(rows) == 2
    assert "2 x 1 x 1.5" in rows[0]
    assert "-1000 to 1500 HU" in rows[0]


def test_a_file_of_another_kind_is_a_problem_when_it_is_named(scans: Path) -> None:
    assert exit_code(scans / "notes.txt") == 1


def test_a_path_that_does_not_exist_exits_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(tmp_path / "absent.nii") == 2
    assert "absent.nii" in capsys.readouterr().err


def test_a_folder_without_volumes_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no volume"):
        search([tmp_path])


def test_dicom_series_are_listed_one_by_one(
    scans: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = stack()
    write_slices(images, scans / "mr", "MR", Uids("mr", "one"))
    write_slices(images[:3] + images[4:], scans / "gap", "CT", Uids("gap", "one"))
    (scans / "damaged.nii").unlink()
    assert exit_code(scans, "--json", "-") == 1
    out, err = capsys.readouterr()
    result = json.loads(out)
    rows = {Path(row["path"]).name: row for row in result["volumes"]}
    assert set(rows) == {"ct.nii.gz", "mr.mha", "mr", "gap"}
    assert rows["mr"]["format"] == "dicom"
    assert rows["mr"]["modality"] == "MR"
    assert rows["mr"]["contrast"] == "T1"
    assert rows["mr"]["shape"] == [10, 12, 8]
    assert rows["mr"]["spacing_mm"] == [1.0, 1.0, 2.0]
    assert rows["mr"]["files"] == 8
    assert rows["mr"]["problem"] is None
    assert rows["gap"]["problem"]["type"] == "MissingSlices"
    assert result["problems"] == 1
    assert result["skipped"] == {"not DICOM": 1}
    assert "skipped 1: not DICOM" in err


def test_problems_stand_below_the_table_and_leave_its_columns_narrow(
    scans: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(scans) == 1
    out = capsys.readouterr().out.splitlines()
    table = [line for line in out if line.startswith(str(scans)) and "FileError" in line]
    (message,) = [line for line in out if line.startswith(f"{scans / 'damaged.nii'}: ")]
    assert len(table) == 1
    assert len(out[0].rstrip()) < len(str(scans)) + 100 < len(str(scans)) + len(message)


def test_a_synthetic_series_is_marked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_slices(stack(SyntheticData="YES"), tmp_path / "made", "CT", Uids("made", "one"))
    write_slices(stack(), tmp_path / "real", "CT", Uids("real", "one"))
    assert exit_code(tmp_path, "--json", "-") == 0
    out, err = capsys.readouterr()
    rows = {Path(row["path"]).name: row for row in json.loads(out)["volumes"]}
    assert {name: row["synthetic"] for name, row in rows.items()} == {"made": True, "real": False}
    assert err.count("synthetic CT") == 1


@pytest.mark.parametrize("shape", [(1, 1, 1), (4, 5, 6)])
def test_a_volume_of_one_value_is_a_problem(tmp_path: Path, shape: tuple[int, int, int]) -> None:
    write_volume(Volume(np.full(shape, 7, np.int16), AFFINE, "MR"), tmp_path / "flat.nii.gz")
    found = inspect_file(tmp_path / "flat.nii.gz")
    assert found.problem is not None
    assert found.problem.type == "DataError"
    assert found.shape == shape
    assert exit_code(tmp_path) == 1


def test_a_mask_is_called_label(tmp_path: Path) -> None:
    mask = np.zeros((8, 8, 8), np.uint8)
    mask[2:6, 2:6, 2:6] = 1
    write_volume(Volume(mask, AFFINE, "LABEL"), tmp_path / "mask.nii.gz")
    found = inspect_file(tmp_path / "mask.nii.gz")
    assert (found.modality, found.unit, found.problem) == ("LABEL", "label", None)


def test_a_real_scan_is_described(medgan_data: Path) -> None:
    head = inspect_file(medgan_data / "niivue_mr_heads" / "chris_t1.nii.gz")
    assert head.problem is None
    assert (head.modality, head.unit) == ("MR", "arbitrary")
    assert head.spacing_mm is not None
    assert all(0.5 < size < 2 for size in head.spacing_mm)
