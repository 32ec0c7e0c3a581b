import gzip
import json
import math
import os
import re
import struct
import subprocess
import sys
import zlib
from collections import Counter
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from hostile_seeds import FORMATS, seeds
from mutations import mutant

from medgan.errors import DataError, FileError, GeometryError, MedganError
from medgan.io import read_volume, values
from medgan.io.dicom import errors, index_folder, parsing, read_series
from medgan.phantoms.dicom_cases import write_case

FUZZ = Path(__file__).parents[1] / "benchmarks" / "fuzz.py"
sys.path.append(str(FUZZ.parent))
import fuzz  # noqa: E402

COUNT = 320


@pytest.fixture(scope="module")
def sound():
    return seeds()


@pytest.fixture
def spoiled(sound):
    return mutant(0, 0, sound)


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory):
    target = tmp_path_factory.mktemp("fuzz") / "verdicts.json"
    done = subprocess.run(
        [sys.executable, FUZZ, "--count", str(COUNT), "--seed", "7", "--json", target],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return json.loads(target.read_text())


@pytest.mark.slow
def test_hostile_files_end_in_a_volume_or_in_a_typed_error(verdicts):
    assert sorted(verdict["number"] for verdict in verdicts) == list(range(COUNT))
    assert [verdict["faults"] for verdict in verdicts if verdict["faults"]] == []
    typed = {kind.__name__ for kind in _below(MedganError)} | {"read", "skipped"}
    assert {verdict["outcome"] for verdict in verdicts} <= typed


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMATS)
def test_at_least_half_of_the_hostile_files_pass_the_header(verdicts, form):
    own = [verdict for verdict in verdicts if verdict["format"] == form]
    outcomes = Counter(verdict["outcome"] == "read" for verdict in own)
    assert sum(verdict["header"] for verdict in own) >= len(own) / 2
    assert outcomes[True] > 5 and outcomes[False] > 5


def _below(kind):
    return {kind}.union(*(_below(child) for child in kind.__subclasses__()))


def test_a_hostile_file_depends_on_its_number_and_the_seed_alone(sound):
    anew = seeds()
    forwards = [mutant(number, 5, sound) for number in range(8)]
    backwards = [mutant(number, 5, anew) for number in reversed(range(8))]
    assert forwards == backwards[::-1]
    assert all(one != mutant(one.number, 6, sound) for one in forwards)


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("LONGEST_SECONDS", -1.0, r"took \d\.\d s$"),
        ("LARGEST_BYTES", -1.0, "GB of memory$"),
    ],
)
def test_time_and_memory_are_judged(monkeypatch, tmp_path, spoiled, name, value, fault):
    # the process may be large already from other tests: one limit is looked at, not both
    for limit in ("LONGEST_SECONDS", "LARGEST_BYTES"):
        monkeypatch.setattr(fuzz, limit, math.inf)
    monkeypatch.setattr(fuzz, name, value)
    (found,) = fuzz.Examination(spoiled, tmp_path).run().faults
    assert re.search(fault, found)


def test_an_untyped_error_is_a_fault(monkeypatch, tmp_path, spoiled):
    monkeypatch.setattr(fuzz, "index_folder", lambda path: 1 / 0)
    verdict = fuzz.Examination(spoiled, tmp_path).run()
    assert verdict.outcome == "defect ZeroDivisionError"
    assert "ZeroDivisionError at test_fuzz.py" in verdict.faults[0]


def test_a_file_outside_the_folder_for_results_is_a_fault(monkeypatch, tmp_path, spoiled):
    def leave(request):
        (tmp_path / "secret.raw").write_bytes(b"changed")
        return []

    monkeypatch.setattr(fuzz, "plan", leave)
    assert "outside" in fuzz.Examination(spoiled, tmp_path).run().faults[0]


def test_a_copied_secret_is_a_fault(monkeypatch, tmp_path, spoiled):
    def leak(request):
        request.target.mkdir()
        (request.target / "a.nii").write_bytes(b"head" + fuzz.SECRET)
        return []

    monkeypatch.setattr(fuzz, "plan", leak)
    assert "none of its own" in fuzz.Examination(spoiled, tmp_path).run().faults[0]


def dying(connection, seed):
    connection.send(None)
    connection.send(fuzz.Verdict(connection.recv(), "dicom", "none", "none"))
    os.abort()


def test_the_death_of_a_process_is_a_fault(monkeypatch):
    monkeypatch.setattr(fuzz, "serve", dying)
    (verdict,) = fuzz.examine([3], 0, 1)
    assert verdict.number == 3
    assert verdict.faults == ("killed its process: exit code -6",)


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("NDims = 3", "NDims = 2147483647", "NDims"),
        ("NDims = 3", "NDims = 1e308", "NDims"),
        ("NDims = 3", "NDims = 3\nNDims = 3", "twice"),
        ("ElementSpacing = 1 1 1", "ElementSpacing = 1 1", "ElementSpacing"),
        ("ElementSpacing = 1 1 1", "ElementSpacing = 1 nan 1", "ElementSpacing"),
        ("Matrix = 1 0 0 0 1 0 0 0 1", "Matrix = 1 0 0", "TransformMatrix"),
        ("Matrix = 1 0 0 0 1 0 0 0 1", "Matrix = 1 0 0 0 1 0 0 1e308 1", "TransformMatrix"),
        ("DimSize = 5 4 3", "DimSize = 0 4 3", "no voxels"),
    ],
)
def test_a_metaimage_header_that_kills_or_stalls_its_parser_is_refused(tmp_path, old, new, match):
    path = tmp_path / "a.mha"
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((3, 4, 5), np.int16)), str(path))
    content = path.read_bytes()
    assert old.encode() in content
    path.write_bytes(content.replace(old.encode(), new.encode()))
    with pytest.raises(FileError, match=match):
        read_volume(path)


@pytest.mark.parametrize("line", ["x" * 900, "x" * 900 + ": y", "type: " + "x" * 900])
def test_an_nrrd_line_that_kills_its_parser_is_refused(tmp_path, line):
    path = tmp_path / "a.nrrd"
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((3, 4, 5), np.int16)), str(path))
    content = path.read_bytes()
    path.write_bytes(content.replace(b"NRRD0004\n", b"NRRD0004\nkey:=" + b"x" * 9000 + b"\n"))
    assert read_volume(path).shape == (5, 4, 3)
    path.write_bytes(content.replace(b"kinds", line.encode() + b"\nkinds"))
    with pytest.raises(FileError, match="too long a line"):
        read_volume(path)


@pytest.mark.parametrize("number", ["1e308", "nan", "inf"])
def test_nrrd_axes_beyond_all_bounds_are_refused(tmp_path, number):
    path = tmp_path / "a.nrrd"
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((3, 4, 5), np.int16)), str(path))
    content = path.read_bytes()
    assert b"(0,1,0)" in content
    path.write_bytes(content.replace(b"(0,1,0)", f"(0,1,{number})".encode()))
    with pytest.raises(FileError, match="space directions"):
        read_volume(path)


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b"])
def test_an_impossible_name_of_a_data_file_is_refused(tmp_path, name):
    path = tmp_path / "a.mhd"
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((3, 4, 5), np.int16)), str(path))
    path.write_bytes(path.read_bytes().replace(b"a.raw", name.encode()))
    with pytest.raises(FileError, match="data file is missing"):
        read_volume(path)


def test_axes_that_are_all_but_parallel_are_refused(tmp_path):
    affine = np.eye(4)
    affine[0] = 1e30, 1, 1, 0
    nib.save(nib.Nifti1Image(np.zeros((3, 3, 3), np.float32), affine), tmp_path / "a.nii")
    with pytest.raises(GeometryError, match="impossible voxel size"):
        read_volume(tmp_path / "a.nii")
    affine[:3, :3] = [[1, 1, 0], [1e-8, 0, 0], [0, 0, 1e3]]
    nib.save(nib.Nifti1Image(np.zeros((3, 3, 3), np.float32), affine), tmp_path / "a.nii")
    with pytest.raises(GeometryError, match="parallel"):
        read_volume(tmp_path / "a.nii")


@pytest.mark.parametrize("scale", [1, 2])
def test_a_gzip_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch, scale):
    image = nib.Nifti1Image(np.zeros((64, 64, 64), np.uint8), np.eye(4))
    image.header.set_slope_inter(scale, 0)
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(image.to_bytes()))
    assert read_volume(tmp_path / "a.nii.gz").array.max() == 0
    # Scaled values take four times the memory.
    monkeypatch.setattr(values, "LARGEST_UNPACKED", 2**18 * scale**2 - 2**18)
    monkeypatch.setattr(values, "LARGEST_EXPANSION", 1)
    with pytest.raises(FileError, match="unpacks to more"):
        read_volume(tmp_path / "a.nii.gz")


@pytest.mark.parametrize("suffix", [".mha", ".nrrd"])
def test_packed_zeros_are_refused_before_they_are_unpacked(tmp_path, monkeypatch, suffix):
    path = tmp_path / f"a{suffix}"
    sitk.WriteImage(sitk.Image(64, 64, 64, sitk.sitkUInt8), str(path), useCompression=True)
    assert read_volume(path).shape == (64, 64, 64)
    monkeypatch.setattr(values, "LARGEST_UNPACKED", 2**17)
    monkeypatch.setattr(values, "LARGEST_EXPANSION", 1)
    with pytest.raises(FileError, match="unpacks to more"):
        read_volume(path)


def test_a_slope_that_makes_values_infinite_is_refused(tmp_path):
    write_case("single_slice", tmp_path)
    (path,) = tmp_path.iterdir()
    header = pydicom.dcmread(path)
    header.RescaleSlope = "1e300"
    header.save_as(path)
    (entry,) = index_folder(tmp_path).entries
    with pytest.raises(DataError, match="infinite"):
        read_series(entry)


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("ImagePositionPatient", ["0", "1e308", "0"]),
        ("ImagePositionPatient", ["0", "-1e9", "0"]),
        ("PixelSpacing", ["1e308", "1"]),
        ("PixelSpacing", ["1", "1e-308"]),
        ("PixelSpacing", ["1", "-1"]),
        ("SliceThickness", "1e308"),
    ],
)
def test_lengths_that_overflow_are_refused_by_name(tmp_path, keyword, value):
    write_case("single_slice", tmp_path)
    (path,) = tmp_path.iterdir()
    header = pydicom.dcmread(path)
    setattr(header, keyword, value)
    header.save_as(path)
    (entry,) = index_folder(tmp_path).entries
    assert isinstance(entry.problem, errors.MissingGeometry)
    assert errors.tag(keyword) in str(entry.problem)


def test_attributes_that_cannot_be_converted_are_left_out_of_headers(tmp_path):
    write_case("single_slice", tmp_path)
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    assert content.count(b"\x08\x00\x70\x00LO") == 1
    path.write_bytes(content.replace(b"\x08\x00\x70\x00LO", b"\x08\x00\x70\x00L\x93"))
    (entry,) = index_folder(tmp_path).entries
    header = read_series(entry).planes[0].header
    assert "Manufacturer" not in header
    assert header.BodyPartExamined == "HEAD"
    assert [element.tag for element in header] == sorted(header.keys())


def test_a_file_of_nothing_but_elements_is_refused_in_time(tmp_path, monkeypatch):
    write_case("single_slice", tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes() + bytes(8 * 5000))
    (entry,) = index_folder(tmp_path).entries
    assert read_series(entry).volume.array.size
    monkeypatch.setattr(parsing, "MOST_PIECES", 4000)
    with pytest.raises(errors.DamagedFile, match="too many elements"):
        read_series(entry)


def test_a_deflated_file_cannot_hide_its_size_behind_a_wrong_length(tmp_path, monkeypatch):
    """The length of group 0002 says where the deflated data is; pydicom does not believe it."""
    write_case("deflated", tmp_path)
    path = sorted(tmp_path.iterdir())[0]
    content = path.read_bytes()
    start = 144 + struct.unpack("<I", content[140:144])[0]
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    plain = zlib.decompress(content[start:], -zlib.MAX_WBITS)
    packed = packer.compress(plain + bytes(2**22)) + packer.flush()
    path.write_bytes(content[:140] + struct.pack("<I", 2**31) + content[144:start] + packed)
    monkeypatch.setattr(values, "LARGEST_UNPACKED", 2**22)
    found = [entry.problem for entry in index_folder(path).entries]
    assert [type(problem) for problem in found] == [FileError]
    assert "unpacks to more" in str(found[0])


def test_deflated_data_cut_short_is_named_so(tmp_path):
    write_case("deflated", tmp_path)
    path = sorted(tmp_path.iterdir())[0]
    path.write_bytes(path.read_bytes()[:-40])
    (entry,) = index_folder(path).entries
    assert isinstance(entry.problem, errors.TruncatedFile)


def without_prefix(path, *, group_2):
    content = path.read_bytes()
    meta_end = 144 + struct.unpack("<I", content[140:144])[0]
    path.write_bytes(content[132 if group_2 else meta_end :])


@pytest.mark.parametrize(
    ("name", "group_2"),
    [
        ("regular", True),
        ("regular", False),
        ("implicit_little_endian", True),
        ("implicit_little_endian", False),
        ("explicit_big_endian", True),
        ("explicit_big_endian", False),
        ("deflated", True),
        ("jpeg_ls", True),
    ],
)
def test_files_of_old_archives_without_prefix_are_read_alike(tmp_path, name, group_2):
    write_case(name, tmp_path)
    (entry,) = index_folder(tmp_path).entries
    before = read_series(entry).volume
    for path in tmp_path.iterdir():
        without_prefix(path, group_2=group_2)
    (entry,) = index_folder(tmp_path).entries
    after = read_series(entry).volume
    np.testing.assert_array_equal(after.array, before.array)
    np.testing.assert_array_equal(after.affine, before.affine)


def test_pixels_whose_coding_is_unsaid_are_refused_and_not_taken_as_they_are(tmp_path):
    write_case("jpeg_ls", tmp_path)
    for path in tmp_path.iterdir():
        without_prefix(path, group_2=False)
    for entry in index_folder(tmp_path).entries:
        with pytest.raises(FileError):
            read_series(entry)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x08\x00",
        b"\x08\x00\x05\x00CS\x0a",
        b"\x08\x00\x05\x00XX\x0a\x00ISO_IR 100",
        b"\x08\x00\x05\x00\x0b\x00\x00\x00ISO_IR 100",
        b"\x08\x00\x06\xee\x0a\x00\x00\x00ISO_IR 100",
        b"\x10\x00\x10\x00PN\x04\x00Doe ",
        b"\x00\x00\x00\x08ftypisom and the rest of a film",
        b"plain text that goes on for a while",
    ],
)
def test_what_only_looks_a_little_like_a_file_without_prefix_is_skipped(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    index = index_folder(tmp_path)
    assert index.entries == ()
    assert [skipped.reason for skipped in index.skipped] == ["not DICOM"]
