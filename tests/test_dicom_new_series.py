from dataclasses import replace

import numpy as np
import pydicom
import pytest
from dicom_tools import CREATED, headers, require_values_at_places, sitk_volume

from medgan.errors import ConfigError, DataError, GeometryError
from medgan.io.dicom.write import (
    Identity,
    write_series,
)
from medgan.volumes import Volume
from medgan.volumes.geometry import reorient


def test_integral_mr_is_stored_as_it_is(tmp_path):
    for low in (0, -5):
        array = np.arange(low, low + 60).reshape(3, 4, 5)
        volume = Volume(array, np.eye(4), "MR")
        paths = write_series(volume, tmp_path / str(low), created=CREATED, seed="a")
        assert sorted(np.concatenate([h.pixel_array.ravel() for h in headers(paths)])) == list(
            range(low, low + 60)
        )
        assert "RealWorldValueMappingSequence" not in headers(paths)[0]


@pytest.mark.parametrize("codes", ["RAS", "LPS", "PIR", "ASL", "LIP", "SAR"])
@pytest.mark.parametrize("spacing", [(1, 1, 1), (3, 1, 1), (1.2, 1.2, 0.5)])
def test_a_series_from_any_volume_has_its_voxels_at_their_places(tmp_path, codes, spacing):
    angle = np.deg2rad(10)
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
    affine = np.eye(4)
    affine[:3, :3] = turn * spacing
    affine[:3, 3] = (-11.5, 22.25, 3)
    array = np.random.default_rng(3).integers(-1000, 3000, (5, 6, 7), np.int16)
    volume = reorient(Volume(array, affine, "CT"), codes)
    paths = write_series(volume, tmp_path / "ct", created=CREATED, seed="a")
    require_values_at_places(sitk_volume(paths), volume, tolerance=0)
    positions = [header.SliceLocation for header in headers(paths)]
    assert positions == sorted(positions)


def test_slices_stay_slices(tmp_path):
    thick = Volume(np.zeros((4, 8, 8), np.int16), np.diag([5, 1, 1, 1.0]), "CT")
    paths = write_series(thick, tmp_path / "ct", created=CREATED, seed="a")
    assert len(paths) == 4
    assert pydicom.dcmread(paths[0]).PixelSpacing == [1, 1]


def test_a_sheared_volume_is_refused(tmp_path):
    affine = np.eye(4)
    affine[1, 2] = 0.2
    with pytest.raises(GeometryError, match="right angles"):
        write_series(
            Volume(np.zeros((4, 4, 4)), affine, "CT"), tmp_path / "ct", created=CREATED, seed="a"
        )


def test_a_label_map_does_not_become_an_image(tmp_path):
    labels = Volume(np.zeros((4, 4, 4), np.uint8), np.eye(4), "LABEL")
    with pytest.raises(DataError, match="only CT and MR"):
        write_series(labels, tmp_path / "ct", created=CREATED, seed="a")


def test_hu_beyond_16_bits_are_refused_in_a_real_ct(tmp_path):
    for value, message in ((40000, "HU beyond"), (np.nan, "NaN")):
        volume = Volume(np.full((2, 2, 2), value, np.float32), np.eye(4), "CT")
        with pytest.raises(DataError, match=message):
            write_series(volume, tmp_path / "ct", created=CREATED, seed="a")


def test_an_identity_is_taken_or_generated(tmp_path):
    volume = Volume(np.zeros((4, 4, 4), np.int16), np.eye(4), "CT")
    given = Identity(patient_id="P1", patient_name="王^小東", study_uid="1.2.3", series_number=9)
    first = headers(write_series(volume, tmp_path / "a", given, created=CREATED, seed="a"))[0]
    assert (first.PatientID, first.PatientName, first.StudyInstanceUID) == (
        "P1",
        "王^小東",
        "1.2.3",
    )
    assert first.SeriesNumber == 9
    generated = headers(write_series(volume, tmp_path / "b", created=CREATED, seed="a"))[0]
    same_seed = headers(
        write_series(volume.with_array(volume.array + 1), tmp_path / "c", created=CREATED, seed="a")
    )[0]
    other = headers(write_series(volume, tmp_path / "d", created=CREATED, seed="b"))[0]
    for keyword in ("PatientID", "StudyInstanceUID", "FrameOfReferenceUID"):
        assert generated[keyword].value == same_seed[keyword].value
        assert generated[keyword].value != other[keyword].value
    assert generated.SeriesInstanceUID != same_seed.SeriesInstanceUID
    assert generated.PatientID.startswith("MEDGAN-")


@pytest.mark.parametrize(
    "wrong", [{"patient_sex": "female"}, {"study_date": "2020-01-02"}, {"patient_id": "x" * 65}]
)
def test_an_identity_without_a_form_in_dicom_is_refused_and_not_repeated(tmp_path, wrong):
    volume = Volume(np.zeros((4, 4, 4), np.int16), np.eye(4), "CT")
    with pytest.raises(ConfigError, match=next(iter(wrong))) as refused:
        write_series(volume, tmp_path, Identity(**wrong), created=CREATED, seed="a")
    assert next(iter(wrong.values())) not in str(refused.value)


def test_only_a_synthetic_volume_is_marked_synthetic(tmp_path):
    volume = Volume(np.zeros((4, 4, 4), np.int16), np.eye(4), "CT", frame_of_reference="1.2.9")
    real = headers(write_series(volume, tmp_path / "a", created=CREATED, seed="a"))[0]
    made = replace(volume, synthetic=True)
    marked = headers(write_series(made, tmp_path / "b", created=CREATED, seed="a"))[0]
    assert "SyntheticData" not in real
    assert "ImageComments" not in real
    assert (marked.SyntheticData, marked.ContentQualification) == ("YES", "RESEARCH")
    assert marked.SeriesDescription.startswith("sCT (synthetic, research)")
    assert real.FrameOfReferenceUID == marked.FrameOfReferenceUID == "1.2.9"
