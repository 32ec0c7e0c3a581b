"""What a converted file is said to be: CT, MR or a mask."""

from pathlib import Path

import numpy as np
import pytest
from conversions import AFFINE, convert, files_below, rows_of

from medgan.io import read_volume, write_volume
from medgan.phantoms.dicom_slices import Uids, rescaled, stack, write_slices
from medgan.volumes import Volume


def test_a_forgotten_offset_is_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_slices(rescaled(stack(), 1, 0), tmp_path / "in", "CT", Uids("ct", "one"))
    report = tmp_path / "report.json"
    assert convert(tmp_path / "in", tmp_path / "out", "--to", "nifti", "--json", report) == 0
    (row,) = rows_of(report).values()
    assert "1024" in row["warnings"][0]
    assert "warning" in capsys.readouterr().err


def test_a_mask_is_no_dicom_image(tmp_path: Path) -> None:
    mask = np.zeros((9, 8, 7), np.uint8)
    mask[2:7, 2:7, 2:6] = 1
    write_volume(Volume(mask, AFFINE, "LABEL"), tmp_path / "mask.nii.gz")
    assert convert(tmp_path / "mask.nii.gz", tmp_path / "out", "--to", "dicom") == 1
    assert list((tmp_path / "out").iterdir()) == [tmp_path / "out" / "manifest.csv"]


@pytest.mark.parametrize(
    ("low", "high", "plain"),
    [
        (-1000, 1500, "CT"),
        (0, 900, "MR"),
        (0, 2500, None),
        (-200, 300, None),
        (-4096, 4094, None),
        (0, 1, None),
    ],
)
def test_dicom_is_only_made_of_what_is_surely_ct_or_mr(
    tmp_path: Path, low: int, high: int, plain: str | None
) -> None:
    values = np.random.default_rng(0).integers(low, high + 1, (9, 8, 7)).astype(np.int16)
    values[0, 0, :2] = low, high
    write_volume(Volume(values, AFFINE, "MR"), tmp_path / "scan.nii.gz")
    arguments = (tmp_path / "scan.nii.gz", tmp_path / "out", "--to", "dicom")
    assert convert(*arguments) == (0 if plain else 1)
    if plain:
        assert read_volume(tmp_path / "out" / "scan").modality == plain
    assert convert(*arguments, "--modality", "CT") == 0
    assert read_volume(tmp_path / "out" / "scan").modality == "CT"


def test_the_modality_of_dicom_is_kept_through_files(tmp_path: Path) -> None:
    # A CT of soft tissue only: nothing in its values says CT.
    write_slices(rescaled(stack(), 0.01, 0), tmp_path / "in", "CT", Uids("ct", "one"))
    for source, target, to in (("in", "a", "nifti"), ("a", "b", "mha"), ("b", "c", "dicom")):
        assert convert(tmp_path / source, tmp_path / target, "--to", to) == 0
    (series,) = {path.parent for path in (tmp_path / "c").rglob("*.dcm")}
    assert read_volume(series).modality == "CT"


def test_a_mask_stays_one_through_files_and_whatever_is_said(tmp_path: Path) -> None:
    mask = np.zeros((9, 8, 7), np.uint8)
    mask[2:7, 2:7, 2:6] = 1
    (tmp_path / "in").mkdir()
    write_volume(Volume(mask, AFFINE, "LABEL"), tmp_path / "in" / "mask.nii.gz")
    assert convert(tmp_path / "in", tmp_path / "mha", "--to", "mha") == 0
    for source in ("in", "mha"):
        out = tmp_path / f"{source}_dicom"
        assert convert(tmp_path / source, out, "--to", "dicom", "--modality", "CT") == 1
        assert files_below(out).keys() == {"manifest.csv"}
