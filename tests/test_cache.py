from pathlib import Path

import numpy as np
import pytest

from medgan.config import PreparationConfig
from medgan.data import cache
from medgan.data.cache import default_cache_dir, prepare_cached
from medgan.data.preparation import prepare
from medgan.errors import OutputError
from medgan.io import write_volume
from medgan.volumes import Volume

SETTINGS = PreparationConfig(spacing_mm=(4.0, 4.0, 4.0))


def ct(value=40):
    x, y, z = np.indices((30, 28, 20)) - np.array([15, 14, 10])[:, None, None, None]
    body = x**2 + y**2 + (1.5 * z) ** 2 < 12**2
    return Volume(np.where(body, value, -1000).astype(np.int16), np.diag([3, 3, 4, 1.0]), "CT")


@pytest.fixture
def scan(tmp_path):
    path = tmp_path / "scan.mhd"
    write_volume(ct(), path)
    return path


@pytest.fixture
def made(monkeypatch):
    """Counts how often a scan is really prepared."""
    calls = []

    def counting(volume, settings):
        calls.append(settings)
        return prepare(volume, settings)

    monkeypatch.setattr(cache, "prepare", counting)
    return calls


def test_the_second_time_comes_from_disk_and_is_the_same(scan, tmp_path, made):
    fresh = prepare(ct(), SETTINGS)
    for _ in range(2):
        cached = prepare_cached(scan, SETTINGS, tmp_path / "cache")
        np.testing.assert_array_equal(cached.scaled(), fresh.scaled())
        np.testing.assert_array_equal(cached.volume.affine, fresh.volume.affine)
        np.testing.assert_array_equal(cached.mask, fresh.mask)
        np.testing.assert_array_equal(cached.mask_with_margin, fresh.mask_with_margin)
        assert cached.scale == fresh.scale
        assert cached.native_mm == fresh.native_mm == (3.0, 3.0, 4.0)
        assert cached.volume.modality == "CT"
    assert isinstance(cached.mask, np.memmap)
    assert len(made) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"settings": SETTINGS.model_copy(update={"window_hu": (-1000.0, 1000.0)})},
        {"settings": SETTINGS.model_copy(update={"mask_margin_mm": 8.0})},
        {"modality": "CT"},
        {"hu_offset": -24.0},
    ],
)
def test_whatever_changes_the_result_changes_the_entry(scan, tmp_path, made, change):
    prepare_cached(scan, SETTINGS, tmp_path / "cache")
    prepare_cached(scan, **{"settings": SETTINGS, "cache_dir": tmp_path / "cache", **change})
    assert len(made) == 2


def test_other_voxels_under_the_same_name_are_prepared_anew(scan, tmp_path, made):
    first = prepare_cached(scan, SETTINGS, tmp_path / "cache")
    header = scan.read_bytes()
    write_volume(ct(80), scan)
    # Only the voxels in the file beside it differ, as after an edit in place.
    assert len(header) == len(scan.read_bytes())
    second = prepare_cached(scan, SETTINGS, tmp_path / "cache")
    assert second.volume.array.max() - first.volume.array.max() == pytest.approx(40)
    assert len(made) == 2


def test_the_name_of_the_file_does_not_matter(scan, tmp_path, made):
    for name in ("a.nii.gz", "b.nii.gz"):
        write_volume(ct(), tmp_path / name)
        prepare_cached(tmp_path / name, SETTINGS, tmp_path / "cache")
    assert len(made) == 1


@pytest.mark.parametrize(
    "name", ["volume.npy", "mask.npy", "mask_with_margin.npy", "prepared.json"]
)
@pytest.mark.parametrize("damage", ["truncate", "flip", "remove"])
def test_a_damaged_entry_is_made_anew(scan, tmp_path, made, name, damage):
    fresh = prepare_cached(scan, SETTINGS, tmp_path / "cache").scaled()
    (victim,) = (tmp_path / "cache").rglob(name)
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 0xFF
    if damage == "remove":
        victim.unlink()
    else:
        victim.write_bytes(content if damage == "flip" else content[:-7])
    again = prepare_cached(scan, SETTINGS, tmp_path / "cache")
    np.testing.assert_array_equal(again.scaled(), fresh)
    assert len(made) == 2


def test_an_offset_turns_stored_values_into_hu(tmp_path):
    stored = ct().with_array(ct().array + 1024)
    write_volume(stored, tmp_path / "a.nii")
    prepared = prepare_cached(
        tmp_path / "a.nii", SETTINGS, tmp_path / "cache", modality="CT", hu_offset=-1024
    )
    np.testing.assert_array_equal(prepared.scaled(), prepare(ct(), SETTINGS).scaled())


def test_the_default_folder_can_be_named(monkeypatch, tmp_path):
    monkeypatch.setenv("MEDGAN_CACHE", str(tmp_path))
    assert default_cache_dir() == tmp_path
    monkeypatch.delenv("MEDGAN_CACHE")
    assert default_cache_dir() == Path.home() / ".cache" / "medgan"


def test_a_cache_that_cannot_be_written_is_the_users_to_mend(scan, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        prepare_cached(scan, SETTINGS, tmp_path / "file")
