import numpy as np
import pytest
from monai.data import MetaTensor
from monai.transforms import Compose, Orientationd, ScaleIntensityRanged

from medgan.data.transforms import LoadVolumed
from medgan.errors import FileError
from medgan.io import write_volume
from medgan.volumes import Volume
from medgan.volumes.geometry import reorient

AFFINE = np.array([[-0.9, 0.1, 0, 20], [0.1, 1.1, 0.3, 5], [0, -0.2, 2.5, 33], [0, 0, 0, 1.0]])


@pytest.fixture
def scan(tmp_path):
    array = np.random.default_rng(0).integers(-1000, 2000, (5, 6, 7), np.int16)
    volume = Volume(array, AFFINE, "CT")
    write_volume(volume, tmp_path / "a.mha")
    return tmp_path / "a.mha", volume


def test_a_file_becomes_a_channel_first_tensor_with_its_place(scan):
    path, volume = scan
    sample = LoadVolumed("image")({"image": path, "case": 7})
    tensor = sample["image"]
    assert isinstance(tensor, MetaTensor)
    np.testing.assert_array_equal(tensor.numpy(), volume.array[None])
    np.testing.assert_allclose(tensor.affine.numpy(), AFFINE)
    assert sample["case"] == 7
    assert tensor.meta["modality"] == "CT"
    assert tensor.meta["synthetic"] is False


def test_it_starts_a_monai_pipeline(scan):
    path, volume = scan
    pipeline = Compose(
        [
            LoadVolumed(["image"], modality="CT"),
            Orientationd(["image"], "RAS"),
            ScaleIntensityRanged(["image"], -1000, 2000, -1, 1),
        ]
    )
    tensor = pipeline({"image": str(path)})["image"]
    expected = reorient(volume, "RAS")
    np.testing.assert_allclose(tensor.numpy()[0] * 1500 + 500, expected.array, atol=1e-3)
    np.testing.assert_allclose(tensor.affine.numpy(), expected.affine, atol=1e-9)


def test_a_missing_file_or_key_is_an_error(tmp_path):
    with pytest.raises(FileError, match="no such file"):
        LoadVolumed("image")({"image": tmp_path / "none.nii"})
    with pytest.raises(KeyError):
        LoadVolumed("image")({})
    assert LoadVolumed("image", allow_missing_keys=True)({}) == {}
