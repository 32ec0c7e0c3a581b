"""What other programs make of written DICOM: two builds of a validator, and three readers."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import highdicom
import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_tools import (
    CREATED,
    DERIVATION,
    complaints,
    has_validator,
    read_only_series,
    some_points,
    source,
    synthetic,
    write_source,
)

from medgan.io.dicom.deidentify import deidentify_file
from medgan.io.dicom.write import write_derived, write_parametric_map, write_series
from medgan.volumes import Volume

STACKS = ["regular", "sagittal", "oblique", "enhanced"]
CONVERTERS = [Path(sys.executable).with_name("dcm2niix"), Path("/usr/bin/dcm2niix")]


@pytest.fixture(params=["current", "debian"])
def validate(request):
    if not has_validator(request.param):
        pytest.skip(f"the {request.param} build of dciodvfy is not installed")
    return lambda path: complaints(path, request.param)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Synthetic CT from MR of every orientation and kind: the volumes and their files."""
    folder = tmp_path_factory.mktemp("written")
    works = {}
    for name in STACKS:
        series = source(name, folder / name)
        volume = synthetic(series)
        works[name] = volume, write_derived(volume, series, folder / f"{name}_ct", DERIVATION)
    return works


def test_a_validator_finds_faults_where_there_are_some(validate, written, tmp_path):
    header = pydicom.dcmread(written["regular"][1][0])
    header.ImageType = ["DERIVED", "SECONDARY"]
    header.save_as(tmp_path / "a.dcm")
    assert validate(tmp_path / "a.dcm")


@pytest.mark.parametrize("name", STACKS)
def test_validators_accept_synthetic_ct(validate, written, name):
    for path in (written[name][1][0], written[name][1][-1]):
        assert validate(path) == []


@pytest.mark.parametrize("name", ["oblique", "enhanced", "single_slice"])
def test_validators_accept_synthetic_mr(validate, tmp_path, name):
    series = source(name, tmp_path / "ct", "CT")
    paths = write_derived(synthetic(series, "MR"), series, tmp_path / "mr", DERIVATION)
    assert validate(paths[0]) == []


def test_validators_accept_synthetic_ct_from_deidentified_mr(validate, tmp_path):
    (tmp_path / "clean").mkdir()
    for path in write_source("regular", tmp_path / "mr").iterdir():
        deidentify_file(path, tmp_path / "clean" / path.name, b"k" * 32)
    series = read_only_series(tmp_path / "clean")
    paths = write_derived(synthetic(series), series, tmp_path / "ct", DERIVATION)
    assert pydicom.dcmread(paths[0]).PatientIdentityRemoved == "YES"
    assert validate(paths[0]) == []


def test_validators_accept_a_source_that_names_no_body_part(validate, tmp_path):
    series = source("regular", tmp_path / "mr", BodyPartExamined=None, PatientPosition=None)
    paths = write_derived(synthetic(series), series, tmp_path / "ct", DERIVATION)
    assert validate(paths[0]) == []


@pytest.mark.parametrize("modality", ["CT", "MR"])
@pytest.mark.parametrize("made", [False, True])
def test_validators_accept_a_series_from_a_volume_without_headers(
    validate, tmp_path, modality, made
):
    array = np.random.default_rng(0).uniform(-100, 100, (6, 7, 5))
    volume = Volume(array, np.diag([1, 1, 2, 1.0]), modality, synthetic=made)
    paths = write_series(volume, tmp_path / "out", created=CREATED, seed="a")
    assert validate(paths[0]) == []


@pytest.mark.parametrize("name", ["oblique", "enhanced"])
def test_the_current_validator_accepts_parametric_maps(tmp_path, name):
    # The 2022 build does not know the image type QUANTITY.
    series = source(name, tmp_path / "mr")
    array = np.random.default_rng(2).random(series.volume.shape)
    path = tmp_path / "map.dcm"
    write_parametric_map(
        series.volume.with_array(array), series, path, DERIVATION, label="attention"
    )
    assert complaints(path, "current") == []


@pytest.mark.parametrize("program", CONVERTERS, ids=["current", "debian"])
@pytest.mark.parametrize("name", STACKS)
def test_dcm2niix_finds_every_voxel_at_its_place(tmp_path, written, name, program):
    if not shutil.which(program):
        pytest.skip("this build of dcm2niix is not installed")
    volume, paths = written[name]
    command = [program, "-b", "y", "-f", "out", "-o", tmp_path, paths[0].parent]
    subprocess.run(command, check=True, capture_output=True)
    image = nib.load(tmp_path / "out.nii")
    points, values = some_points(volume)
    indices = nib.affines.apply_affine(np.linalg.inv(image.affine), points * [-1, -1, 1])
    np.testing.assert_allclose(indices, np.rint(indices), atol=1e-3)
    found = np.asanyarray(image.dataobj)[tuple(np.rint(indices).astype(int).T)]
    np.testing.assert_array_equal(found, np.rint(values))
    vendor = (tmp_path / "out.json").read_text()
    assert "Mediso" not in vendor


@pytest.mark.parametrize("name", STACKS)
def test_highdicom_finds_every_voxel_at_its_place(written, name):
    volume, paths = written[name]
    back = highdicom.get_volume_from_series([pydicom.dcmread(path) for path in paths])
    points, values = some_points(volume)
    indices = back.map_reference_to_indices(points)
    np.testing.assert_allclose(indices, np.rint(indices), atol=1e-3)
    found = back.array[tuple(np.rint(indices).astype(int).T)]
    np.testing.assert_array_equal(found, np.rint(values))


@pytest.mark.parametrize("name", STACKS)
def test_simpleitk_finds_the_series_and_every_voxel_at_its_place(written, name):
    volume, paths = written[name]
    folder = os.fspath(paths[0].parent)
    (uid,) = sitk.ImageSeriesReader.GetGDCMSeriesIDs(folder)
    names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(folder, uid)
    image = sitk.ReadImage(names)
    points, values = some_points(volume)
    for point, value in zip(points, values, strict=True):
        index = image.TransformPhysicalPointToContinuousIndex(point.tolist())
        np.testing.assert_allclose(index, np.rint(index), atol=1e-3)
        assert image[tuple(np.rint(index).astype(int).tolist())] == np.rint(value)


def test_what_is_written_is_read_back(written):
    for volume, paths in written.values():
        series = read_only_series(paths[0].parent)
        np.testing.assert_allclose(series.volume.affine, volume.affine, atol=1e-6)
        np.testing.assert_array_equal(series.volume.array, np.rint(volume.array))
        assert series.volume.synthetic
        assert series.volume.frame_of_reference == volume.frame_of_reference
