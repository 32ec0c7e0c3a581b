"""Phantoms of the thorax as a LUNA16 folder: what is written, read back; resuming."""

import json
from pathlib import Path

import numpy as np
import pytest

from medgan.errors import ConfigError
from medgan.io import read_volume
from medgan.io.luna16 import read_rows, read_uids, to_index
from medgan.phantoms.thorax_folder import write_luna16_phantoms

SPACING = (4.0, 4.0, 4.0)
COUNT = 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("luna")
    write_luna16_phantoms(place, COUNT, 0, subsets=3, spacing_mm=SPACING, nodules=2)
    return place


def scans(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in sorted(folder.glob("subset*/*.mhd"))}


def test_a_folder_has_the_layout_of_luna16(folder: Path) -> None:
    uids = read_uids(folder / "seriesuids.csv")
    assert len(uids) == len(set(uids)) == COUNT
    assert all(uid.startswith("2.25.") for uid in uids)
    assert set(scans(folder)) == set(uids)
    assert [len(list(folder.glob(f"subset{i}/*.mhd"))) for i in range(3)] == [2, 2, 2]
    assert {path.stem for path in folder.glob("seg-lungs/*.mhd")} == set(uids)


def test_annotations_lead_to_the_nodules_through_each_scans_own_axes(folder: Path) -> None:
    """Oracle: the brightness of the voxels, which know nothing of the table."""
    volumes = {uid: read_volume(path) for uid, path in scans(folder).items()}
    signs = {uid: float(np.sign(volume.affine[0, 0])) for uid, volume in volumes.items()}
    assert set(signs.values()) == {-1.0, 1.0}
    rows = read_rows(folder / "annotations.csv", "diameter_mm")
    assert len(rows) >= COUNT
    for row in rows:
        assert 3 <= row.value <= 30
        i, j, k = np.rint(to_index(volumes[row.uid], row.position_mm)).astype(int)
        mask = read_volume(folder / "seg-lungs" / f"{row.uid}.mhd", modality="LABEL")
        assert mask.array[i, j, k] == 3
        around = volumes[row.uid].array[i - 1 : i + 2, j - 1 : j + 2, k - 1 : k + 2]
        if row.value > 6:
            assert around.max() > -600


def test_excluded_findings_of_no_measured_size_have_minus_one(folder: Path) -> None:
    rows = read_rows(folder / "annotations_excluded.csv", "diameter_mm")
    assert len(rows) >= COUNT
    assert all(row.value == -1 or row.value >= 2 for row in rows)
    assert any(row.value == -1 for row in rows)


def test_every_image_says_that_it_is_synthetic_and_all_truth_is_beside_it(folder: Path) -> None:
    for uid, path in scans(folder).items():
        assert read_volume(path).synthetic
        assert "Synthetic = YES" in path.read_text(errors="replace")
        truth = json.loads((folder / "truth" / f"{uid}.json").read_text())
        assert len(truth["annotations"]) + len(truth["excluded"]) >= 4


def test_only_what_is_missing_is_made_again_and_is_the_same(folder: Path) -> None:
    path = next(iter(scans(folder).values()))
    before = {file: file.stat().st_mtime_ns for file in folder.glob("*/*")}
    tables = {file.name: file.read_bytes() for file in folder.glob("*.csv")}
    pixels = path.with_name(path.stem + ".zraw")
    old = read_volume(path).array.copy()
    pixels.unlink()
    write_luna16_phantoms(folder, COUNT, 0, subsets=3, spacing_mm=SPACING, nodules=2, jobs=2)
    np.testing.assert_array_equal(read_volume(path).array, old)
    changed = {f.stem for f, time in before.items() if f.stat().st_mtime_ns != time}
    assert changed == {path.stem}
    assert tables == {file.name: file.read_bytes() for file in folder.glob("*.csv")}


def test_numbers_out_of_range_are_refused(tmp_path: Path) -> None:
    for wrong in ({"count": 0}, {"count": 2, "subsets": 0}, {"count": 2, "jobs": 0}):
        with pytest.raises(ConfigError, match="range"):
            write_luna16_phantoms(tmp_path, **wrong)
