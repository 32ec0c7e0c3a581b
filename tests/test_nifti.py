import gzip
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from medgan import __version__
from medgan.errors import DataError, FileError, GeometryError, MedganError
from medgan.io import read_volume, split_suffix, values, write_volume
from medgan.volumes import Volume
from medgan.volumes.geometry import is_sheared

OBLIQUE = np.array([[0.8, -0.6, 0, -20], [0.6, 0.8, 0, 5], [0, 0, 2.5, 33.3], [0, 0, 0, 1.0]])
SHEARED = OBLIQUE + np.array([[0, 0, 0.7, 0]] + 3 * [[0.0] * 4])
CT = Volume(np.random.default_rng(0).integers(-1000, 2000, (5, 6, 7), np.int16), OBLIQUE, "CT")


def nifti(array, affine=OBLIQUE, code=1, **header):
    image = nib.Nifti1Image(array, None, dtype=array.dtype)
    image.set_sform(affine, code)
    image.set_qform(affine, code)
    for key, value in header.items():
        image.header[key] = value
    return image


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".NII.GZ"])
@pytest.mark.parametrize("affine", [OBLIQUE, SHEARED], ids=["oblique", "sheared"])
def test_a_volume_comes_back_as_it_was(tmp_path, suffix, affine):
    volume = replace(CT, affine=affine)
    write_volume(volume, tmp_path / f"1.2.840{suffix}")
    back = read_volume(tmp_path / f"1.2.840{suffix}")
    np.testing.assert_array_equal(back.array, volume.array)
    np.testing.assert_allclose(back.affine, affine, atol=1e-5)
    assert (back.modality, back.synthetic, back.array.dtype) == ("CT", False, np.int16)


def test_both_forms_hold_the_affine_unless_it_is_sheared(tmp_path):
    write_volume(CT, tmp_path / "a.nii")
    header = nib.load(tmp_path / "a.nii").header
    np.testing.assert_allclose(header.get_qform(coded=True)[0], OBLIQUE, atol=1e-5)
    np.testing.assert_allclose(header.get_sform(coded=True)[0], OBLIQUE, atol=1e-5)
    write_volume(replace(CT, affine=SHEARED), tmp_path / "b.nii")
    header = nib.load(tmp_path / "b.nii").header
    assert header.get_qform(coded=True)[0] is None
    assert is_sheared(header.get_sform(coded=True)[0])


@pytest.mark.parametrize(
    ("modality", "array", "stored"),
    [
        ("CT", np.array([-1000.0, 40, 3071], np.float64), np.int16),
        ("CT", np.array([-1000.0, 40.5, 3071], np.float64), np.float32),
        ("CT", np.array([-1000, 40, 70000], np.int32), np.float32),
        ("MR", np.array([0, 40, 65535], np.uint16), np.uint16),
        ("MR", np.array([0, 40, 300], ">i2"), np.int16),
        ("MR", np.array([0, 40.25, 300], np.float64), np.float32),
        ("LABEL", np.array([False, True, True]), np.uint8),
        ("LABEL", np.array([0, 1, 2], np.int64), np.int64),
    ],
)
@pytest.mark.parametrize("suffix", [".nii.gz", ".mha", ".nrrd"])
def test_values_are_stored_without_loss_in_a_fitting_type(
    tmp_path, modality, array, stored, suffix
):
    path = tmp_path / f"a{suffix}"
    write_volume(Volume(array.reshape(3, 1, 1), np.eye(4), modality), path)
    back = read_volume(path, modality=modality).array
    np.testing.assert_array_equal(back.ravel(), array)
    assert back.dtype == stored


@pytest.mark.parametrize("suffix", [".nii", ".mha", ".mhd", ".nrrd"])
def test_a_synthetic_volume_says_so_in_its_file(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    write_volume(replace(CT, synthetic=True), path)
    assert read_volume(path).synthetic
    if suffix == ".nii":
        described = nib.load(path).header["descrip"].item().decode()
        assert described == f"SYNTHETIC CT medgan {__version__}"
    write_volume(CT, path)
    assert not read_volume(path).synthetic


def test_scaled_and_big_endian_values_agree_with_nibabel(tmp_path):
    raw = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    image = nifti(raw)
    image.header.set_slope_inter(0.5, -1024)
    image = nib.Nifti1Image(raw * 0.5 - 1024, OBLIQUE, image.header)
    image.set_data_dtype(np.int16)
    nib.save(image, tmp_path / "scaled.nii")
    back = read_volume(tmp_path / "scaled.nii")
    assert back.array.dtype == np.float32
    np.testing.assert_allclose(back.array, nib.load(tmp_path / "scaled.nii").get_fdata())
    header = nib.Nifti1Header(endianness=">")
    big = nib.Nifti1Image(raw.astype(">i2"), OBLIQUE, header)
    nib.save(big, tmp_path / "big.nii")
    back = read_volume(tmp_path / "big.nii").array
    np.testing.assert_array_equal(back, raw)
    assert back.dtype.isnative


def test_nifti_2_and_trailing_axes_of_one_are_read(tmp_path):
    array = np.arange(24, dtype=np.float32).reshape(2, 3, 4, 1, 1)
    nib.save(nib.Nifti2Image(array, OBLIQUE), tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(read_volume(tmp_path / "a.nii.gz").array, array[..., 0, 0])


def test_the_qform_places_an_image_without_sform(tmp_path):
    image = nifti(CT.array)
    image.set_sform(None, 0)
    nib.save(image, tmp_path / "a.nii")
    np.testing.assert_allclose(read_volume(tmp_path / "a.nii").affine, OBLIQUE, atol=1e-5)


@pytest.mark.parametrize(("unit", "millimetres"), [("meter", 1000), ("mm", 1), ("micron", 1e-3)])
def test_lengths_become_millimetres(tmp_path, unit, millimetres):
    image = nifti(CT.array)
    image.header.set_xyzt_units(unit)
    nib.save(image, tmp_path / "a.nii")
    spacing = read_volume(tmp_path / "a.nii").spacing_mm
    np.testing.assert_allclose(spacing, np.array([1, 1, 2.5]) * millimetres, rtol=1e-5)


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (nifti(CT.array, code=0), GeometryError, "where the image lies"),
        (nifti(np.zeros((2, 3, 4, 2), np.int16)), GeometryError, "3-D"),
        (nifti(np.zeros((2, 3), np.int16)), GeometryError, "3-D"),
        (nifti(np.zeros((2, 3, 4), np.complex64)), FileError, "scalar"),
        (nifti(np.zeros((2, 3, 4), [(c, "u1") for c in "RGB"])), FileError, "scalar"),
        (nifti(np.full((2, 3, 4), np.nan, np.float32)), DataError, "24 voxels"),
        (nifti(CT.array, xyzt_units=6), GeometryError, "unit"),
    ],
)
def test_what_cannot_be_right_is_refused(tmp_path, image, error, message):
    nib.save(image, tmp_path / "a.nii")
    with pytest.raises(error, match=message) as caught:
        read_volume(tmp_path / "a.nii")
    assert caught.value.where == str(tmp_path / "a.nii")


def test_an_image_without_extent_is_refused_with_its_name(tmp_path):
    content = bytearray(nifti(CT.array).to_bytes())
    first_row_of_sform = slice(280, 296)
    content[first_row_of_sform] = bytes(16)
    (tmp_path / "a.nii").write_bytes(content)
    with pytest.raises(GeometryError, match=r"a\.nii: the affine is singular"):
        read_volume(tmp_path / "a.nii")


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("kept", [0, 1, 100, 347, 352, 400, -9, -1])
def test_a_truncated_file_is_refused(tmp_path, suffix, kept):
    path = tmp_path / f"a{suffix}"
    write_volume(CT, path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(FileError):
        read_volume(path)


def test_a_flipped_bit_in_a_compressed_file_is_noticed(tmp_path):
    path = tmp_path / "a.nii.gz"
    content = bytearray(nifti(CT.array).to_bytes())
    packed = bytearray(gzip.compress(bytes(content), compresslevel=0))
    packed[-20] ^= 1
    path.write_bytes(packed)
    with pytest.raises(FileError, match="damaged"):
        read_volume(path)


def test_no_damage_of_the_header_escapes_as_another_error(tmp_path):
    path = tmp_path / "a.nii"
    good = nifti(CT.array).to_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(200):
        content = bytearray(good)
        for position in rng.integers(0, 348, 4):
            content[position] = rng.integers(256)
        path.write_bytes(content)
        try:
            assert read_volume(path).array.ndim == 3
        except MedganError:
            refused += 1
    assert refused > 20


def test_more_data_than_is_accepted_is_refused_before_reading(tmp_path, monkeypatch):
    header = nifti(CT.array).header
    header["vox_offset"] = 352
    header["dim"] = [3, 30000, 30000, 30000, 1, 1, 1, 1]
    (tmp_path / "a.nii").write_bytes(header.binaryblock + bytes(4))
    with pytest.raises(FileError, match="GiB"):
        read_volume(tmp_path / "a.nii")
    write_volume(CT, tmp_path / "b.mha")
    monkeypatch.setattr(values, "LARGEST_BYTES", 100)
    with pytest.raises(FileError, match="more voxel data"):
        read_volume(tmp_path / "b.mha")


def test_other_files_are_named_as_such(tmp_path):
    (tmp_path / "a.nii").write_text("hello" * 200)
    with pytest.raises(FileError, match="not a NIfTI"):
        read_volume(tmp_path / "a.nii")
    (tmp_path / "b.nii.gz").write_text("hello" * 200)
    with pytest.raises(FileError, match="damaged"):
        read_volume(tmp_path / "b.nii.gz")
    with pytest.raises(FileError, match="no such file"):
        read_volume(tmp_path / "none.nii")
    (tmp_path / "folder.nii").mkdir()
    with pytest.raises(FileError, match="not a file"):
        read_volume(tmp_path / "folder.nii")
    for action in (read_volume, lambda path: write_volume(CT, path)):
        with pytest.raises(FileError, match=r"\.nii\.gz.*\.nrrd"):
            action(tmp_path / "a.png")


def test_modality_is_told_by_air_unless_declared(tmp_path):
    write_volume(CT, tmp_path / "a.nii")
    assert read_volume(tmp_path / "a.nii").modality == "CT"
    assert read_volume(tmp_path / "a.nii", modality="MR").modality == "MR"
    write_volume(Volume(np.full((2, 2, 2), -400.0), np.eye(4), "MR"), tmp_path / "b.nii")
    assert read_volume(tmp_path / "b.nii").modality == "MR"


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("a/1.2.840.nii.gz", ("1.2.840", ".nii.gz")),
        ("1.3.6.MHD", ("1.3.6", ".mhd")),
        ("notes.md", ("notes", ".md")),
        ("none", ("none", "")),
    ],
)
def test_endings_are_split_from_dotted_names(name, parts):
    assert split_suffix(name) == parts


def test_not_finite_values_are_not_written(tmp_path):
    with pytest.raises(DataError, match="1 voxels"):
        write_volume(Volume(np.array([[[0, np.inf]]]), np.eye(4), "CT"), tmp_path / "a.nii")
    assert not list(tmp_path.iterdir())


def test_real_scans_agree_with_nibabel(medgan_data):
    for name in ("uih_t1_head/uih_t1_1mm", "invesalius_cranium_ct/cranium_ct_hu"):
        path = medgan_data / f"{name}.nii.gz"
        reference = nib.load(path)
        volume = read_volume(path)
        np.testing.assert_array_equal(volume.array, np.asarray(reference.dataobj))
        np.testing.assert_allclose(volume.affine, reference.affine)
        assert volume.modality == ("CT" if "ct" in path.name else "MR")
