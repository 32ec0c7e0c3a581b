from pathlib import Path

import numpy as np
import pytest

from medgan.errors import FileError
from medgan.io import write_volume
from medgan.io.studies import find_sources, likely_modality
from medgan.phantoms.dicom_slices import Uids, stack, write_slices
from medgan.phantoms.scan import scan_head
from medgan.volumes import Volume

MR = Volume(np.random.default_rng(0).integers(0, 900, (4, 5, 6)).astype(np.int16), np.eye(4), "MR")


def test_series_are_named_by_their_folder_or_first_file(tmp_path: Path) -> None:
    write_slices(stack(), tmp_path / "alone", "MR", Uids("a", "one"))
    write_slices(stack(), tmp_path / "both", "MR", Uids("b", "one"))
    write_slices(stack(), tmp_path / "both", "MR", Uids("c", "one"))
    write_slices(stack(slices=1), tmp_path / "single", "MR", Uids("d", "one"))
    tree = find_sources(tmp_path)
    assert [source.name for source in tree.sources] == [
        "alone",
        "both/b_000.dcm",
        "both/c_000.dcm",
        "single/d_000.dcm",
    ]
    assert [len(source.paths) for source in tree.sources] == [8, 8, 8, 1]
    assert tree.leftovers == ()


def test_the_data_of_a_detached_header_is_no_leftover(tmp_path: Path) -> None:
    write_volume(MR, tmp_path / "scan.mhd")
    (tmp_path / "other.raw").write_bytes(b"of another kind")
    tree = find_sources(tmp_path)
    assert [source.name for source in tree.sources] == ["scan.mhd"]
    assert {path.suffix for path in tree.sources[0].paths} == {".mhd", ".zraw"}
    assert [leftover.name for leftover in tree.leftovers] == ["other.raw"]


def test_a_folder_below_is_left_out(tmp_path: Path) -> None:
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
        write_volume(MR, tmp_path / name / "scan.mha")
    write_slices(stack(), tmp_path / "out" / "series", "MR", Uids("a", "one"))
    tree = find_sources(tmp_path, without=tmp_path / "out")
    assert [source.name for source in tree.sources] == ["in/scan.mha"]
    assert tree.leftovers == ()


def test_one_file_is_found_alone(tmp_path: Path) -> None:
    write_volume(MR, tmp_path / "scan.nrrd")
    paths = write_slices(stack(), tmp_path, "MR", Uids("a", "one"))
    assert [source.name for source in find_sources(tmp_path / "scan.nrrd").sources] == ["scan.nrrd"]
    (source,) = find_sources(paths[3]).sources
    assert source.name == "a_003.dcm"


def test_the_json_beside_a_file_tells_its_modality(tmp_path: Path) -> None:
    for name, text in (("a", '{"Modality": "CT"}'), ("b", '{"Modality": "XX"}'), ("c", "[" * 9999)):
        write_volume(MR, tmp_path / f"{name}.nii.gz")
        (tmp_path / f"{name}.json").write_text(text)
    tree = find_sources(tmp_path)
    assert [source.modality for source in tree.sources] == ["CT", None, None]
    assert [leftover.name for leftover in tree.leftovers] == ["b.json", "c.json"]


def test_nothing_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no such file or folder"):
        find_sources(tmp_path / "absent")


def test_every_leftover_of_real_studies_says_what_it_is(medgan_data: Path) -> None:
    tree = find_sources(medgan_data / "dicom_zoo" / "pydicom_data")
    assert all(leftover.reason for leftover in tree.leftovers)
    names = [leftover.name for leftover in tree.leftovers]
    assert names == sorted(names)


@pytest.fixture(scope="module")
def labels() -> np.ndarray:
    """Balls of three labels in air."""
    x, y, z = np.indices((24, 24, 24)) - 11.5
    radius = np.sqrt(x**2 + y**2 + z**2)
    return np.digitize(-radius, (-11, -7, -3)).astype(np.uint8)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_masks_and_label_maps_are_recognised(labels: np.ndarray, dtype: type) -> None:
    for values in (labels, labels > 1, labels * 40):
        assert likely_modality(Volume(values.astype(dtype), np.eye(4), "MR")) == "LABEL"


def test_scans_are_not_taken_for_labels(labels: np.ndarray) -> None:
    head = scan_head(1, spacing_mm=(6.0, 6.0, 6.0), supersample=1)
    assert likely_modality(head.mr) == "MR"
    assert likely_modality(head.ct) == "CT"
    noise = np.random.default_rng(0).integers(0, 255, (9, 9, 9)).astype(np.uint8)
    assert likely_modality(Volume(noise, np.eye(4), "MR")) == "MR"
    assert likely_modality(Volume(labels * 0.3, np.eye(4), "MR")) == "MR"
    assert likely_modality(Volume(labels, np.eye(4), "CT")) == "CT"


def test_real_scans_are_not_taken_for_labels(medgan_data: Path) -> None:
    from medgan.io import read_volume

    scan = read_volume(medgan_data / "niivue_mr_heads" / "chris_t1.nii.gz")
    assert scan.array.max() < 256
    assert likely_modality(scan) == "MR"
