import zlib
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from medgan.errors import DataError, FileError, GeometryError, OutputError
from medgan.io import metaimage, read_volume, write_volume
from medgan.io.metaimage import as_image, as_volume
from medgan.volumes import Volume
from medgan.volumes.geometry import apply_affine

AFFINE = np.array([[-0.9, 0.1, 0, -20], [0.1, 1.1, 0.3, 5], [0, -0.2, 2.5, 33], [0, 0, 0, 1.0]])
CT = Volume(np.random.default_rng(0).integers(-1000, 2000, (5, 6, 7), np.int16), AFFINE, "CT")
SUFFIXES = [".mha", ".mhd", ".nrrd"]


def uncompressed(path):
    sitk.WriteImage(as_image(CT), str(path), useCompression=False)
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_volume_comes_back_as_it_was_shear_included(tmp_path, suffix):
    path = tmp_path / f"1.3.6.1.4{suffix}"
    write_volume(CT, path)
    back = read_volume(path)
    np.testing.assert_array_equal(back.array, CT.array)
    np.testing.assert_allclose(back.affine, AFFINE, atol=1e-12)
    expected = {path.name} | ({"1.3.6.1.4.zraw"} if suffix == ".mhd" else set())
    assert {found.name for found in tmp_path.iterdir()} == expected


def test_itk_finds_every_voxel_at_the_mirrored_place():
    image = as_image(CT)
    for index in [(0, 0, 0), (4, 1, 6)]:
        x, y, z = image.TransformIndexToPhysicalPoint(index)
        np.testing.assert_allclose((-x, -y, z), apply_affine(AFFINE, index))
        assert image[index] == CT.array[index]
    np.testing.assert_allclose(as_volume(image).affine, AFFINE)


def test_metaimage_and_nifti_of_one_image_agree(tmp_path):
    sitk.WriteImage(as_image(replace(CT, affine=np.diag([-1, 2, 3, 1.0]))), str(tmp_path / "a.nii"))
    write_volume(read_volume(tmp_path / "a.nii"), tmp_path / "a.mha")
    reference = nib.load(tmp_path / "a.nii")
    np.testing.assert_allclose(read_volume(tmp_path / "a.mha").affine, reference.affine)


@pytest.mark.parametrize(
    ("space", "signs"),
    [("right-anterior-superior", (1, 1)), ("left-anterior-superior", (-1, 1))],
)
def test_nrrd_coordinate_systems_are_told_apart(tmp_path, space, signs):
    path = uncompressed(tmp_path / "a.nrrd")
    stored = np.diag([-1, -1, 1, 1]) @ AFFINE
    path.write_bytes(path.read_bytes().replace(b"left-posterior-superior", space.encode()))
    np.testing.assert_allclose(read_volume(path).affine, np.diag([*signs, 1, 1]) @ stored)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("compressed", [False, True])
def test_truncated_voxels_are_refused(tmp_path, suffix, compressed):
    path = tmp_path / f"a{suffix}"
    sitk.WriteImage(as_image(CT), str(path), useCompression=compressed)
    data = metaimage.data_file(path)
    data.write_bytes(data.read_bytes()[:-20])
    with pytest.raises(FileError, match="truncated"):
        read_volume(path)


def test_fewer_voxels_than_declared_in_intact_compression_are_refused(tmp_path):
    path = tmp_path / "a.mhd"
    write_volume(CT, path)
    packed = zlib.compress(CT.array.tobytes()[:-2])
    (tmp_path / "a.zraw").write_bytes(packed)
    lines = path.read_text().splitlines()
    lines = [f"CompressedDataSize = {len(packed)}" if "DataSize" in x else x for x in lines]
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(FileError, match=r"418 bytes.*420"):
        read_volume(path)
    (tmp_path / "a.zraw").write_bytes(b"?" * len(packed))
    with pytest.raises(FileError, match="damaged"):
        read_volume(path)


@pytest.mark.parametrize(
    "name", ["../a.raw", "/etc/passwd", "LIST", "a%03d.raw", "sub/a.raw", ".."]
)
def test_voxels_outside_the_folder_are_not_touched(tmp_path, name):
    path = uncompressed(tmp_path / "a.mhd")
    path.write_text(path.read_text().replace("a.raw", name))
    with pytest.raises(FileError, match="outside its folder"):
        read_volume(path)


def test_a_missing_data_file_is_named(tmp_path):
    path = uncompressed(tmp_path / "a.mhd")
    (tmp_path / "a.raw").unlink()
    with pytest.raises(FileError, match=r"data file is missing.*a\.raw"):
        read_volume(path)


@pytest.mark.parametrize(
    ("suffix", "key"),
    [
        (".mha", b"ElementSpacing"),
        (".mha", b"TransformMatrix"),
        (".mha", b"Offset"),
        (".nrrd", b"space directions"),
        (".nrrd", b"space origin"),
        (".nrrd", b"space:"),
    ],
)
def test_geometry_is_never_made_up(tmp_path, suffix, key):
    path = uncompressed(tmp_path / f"a{suffix}")
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join(line for line in lines if not line.startswith(key)))
    with pytest.raises(GeometryError, match="where the image lies"):
        read_volume(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    ("image", "error"),
    [
        (sitk.Image([3, 3, 3], sitk.sitkVectorFloat32, 3), FileError),
        (sitk.Image([3, 3, 3, 2], sitk.sitkInt16), GeometryError),
        (sitk.Image([3, 3], sitk.sitkInt16), GeometryError),
        (sitk.Image([3, 3, 3], sitk.sitkFloat32) / 0.0, DataError),
    ],
    ids=["colour", "4-D", "2-D", "nan"],
)
def test_what_is_not_one_scalar_image_is_refused(tmp_path, suffix, image, error):
    path = tmp_path / f"a{suffix}"
    sitk.WriteImage(image, str(path))
    with pytest.raises(error):
        read_volume(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_other_files_are_named_as_such(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_text("hello\n\n" * 200)
    with pytest.raises(FileError, match="is not a"):
        read_volume(path)
    path.write_bytes(b"")
    with pytest.raises(FileError, match="is not a"):
        read_volume(path)


def test_a_damaged_header_size_is_refused(tmp_path):
    path = uncompressed(tmp_path / "a.mhd")
    path.write_text("HeaderSize = many\n" + path.read_text())
    with pytest.raises(FileError, match="HeaderSize"):
        read_volume(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path, suffix, monkeypatch):
    def fill_the_disk(*_, **__):
        raise RuntimeError("No space left on device")

    write_volume(CT, tmp_path / f"a{suffix}")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.setattr(metaimage.sitk, "WriteImage", fill_the_disk)
    with pytest.raises(OutputError, match="completely"):
        write_volume(replace(CT, modality="MR"), tmp_path / f"a{suffix}")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    with pytest.raises(OutputError, match="folder"):
        write_volume(CT, tmp_path / "none" / f"a{suffix}")


def test_real_scans_agree_with_simpleitk(medgan_data):
    path = medgan_data / "elastix_lung_ct" / "3DCT_lung.mha"
    volume = read_volume(path)
    image = sitk.ReadImage(str(path))
    np.testing.assert_array_equal(volume.array, sitk.GetArrayFromImage(image).T)
    last = [size - 1 for size in image.GetSize()]
    x, y, z = image.TransformIndexToPhysicalPoint(last)
    np.testing.assert_allclose(apply_affine(volume.affine, last), (-x, -y, z))
