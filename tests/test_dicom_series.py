import pickle
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk

from medgan.errors import MedganError
from medgan.io.dicom import errors, index_folder, read_series
from medgan.phantoms import dicom_slices
from medgan.phantoms.dicom_cases import CASES, write_case
from medgan.phantoms.dicom_slices import Uids, rescaled, stack, truth_of, write_slices
from medgan.volumes.geometry import apply_affine

PLACE_MM = 1e-4


def finds(volume, truth):
    """Whether every voxel is where it should be with its value, and there are no others."""
    if volume.array.size != len(truth.values):
        return False
    at = apply_affine(np.linalg.inv(volume.affine), truth.points_ras)
    index = np.rint(at).astype(int)
    if (index < 0).any() or (index >= volume.shape).any():
        return False
    return (
        np.abs(apply_affine(volume.affine, index) - truth.points_ras).max() < PLACE_MM
        and len(np.unique(index, axis=0)) == len(index)
        and np.abs(volume.array[tuple(index.T)] - truth.values).max() < 1e-3
    )


def outcomes(folder, **options):
    """Volumes and errors of every entry."""
    volumes, faults = [], []
    for entry in index_folder(folder).entries:
        try:
            volumes.append(read_series(entry, **options).volume)
        except MedganError as error:
            faults.append(error)
    return volumes, faults


@pytest.mark.parametrize("modality", ["CT", "MR"])
@pytest.mark.parametrize("name", CASES)
def test_every_voxel_is_in_its_place_or_the_right_error_is_raised(tmp_path, name, modality):
    case = write_case(name, tmp_path, modality)
    volumes, faults = outcomes(tmp_path)
    assert sorted(type(fault).__name__ for fault in faults) == sorted(
        error.__name__ for error in case.errors
    )
    assert len(volumes) == len(case.volumes)
    for truth in case.volumes:
        assert sum(finds(volume, truth) for volume in volumes) == 1
    assert all(volume.modality == modality for volume in volumes)
    assert len(index_folder(tmp_path).skipped) == case.skipped


def test_there_are_at_least_the_24_kinds_of_the_specification():
    assert len(CASES) >= 24


@pytest.mark.parametrize("name", ["regular", "sagittal", "oblique", "anisotropic_pixels"])
def test_simpleitk_finds_the_same_values_at_the_same_places(tmp_path, name):
    write_case(name, tmp_path)
    (entry,) = index_folder(tmp_path).entries
    volume = read_series(entry).volume
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path)))
    image = reader.Execute()
    for index in [(0, 0, 0), (9, 0, 3), (2, 11, 7), (4, 5, 6)]:
        x, y, z = image.TransformIndexToPhysicalPoint(index)
        at = np.rint(apply_affine(np.linalg.inv(volume.affine), (-x, -y, z))).astype(int)
        np.testing.assert_allclose(apply_affine(volume.affine, at), (-x, -y, z), atol=1e-3)
        assert volume.array[tuple(at)] == image[index]


@pytest.mark.parametrize("name", ["regular", "reversed_names", "oblique", "enhanced"])
def test_a_plane_names_the_file_and_the_frame_it_came_from(tmp_path, name):
    write_case(name, tmp_path)
    (entry,) = index_folder(tmp_path).entries
    series = read_series(entry)
    assert len(series.planes) == series.volume.shape[2]
    for number, plane in enumerate(series.planes):
        header = plane.header
        assert "PixelData" not in header
        if plane.frame:
            group = header.PerFrameFunctionalGroupsSequence[plane.frame - 1]
            position = group.PlanePositionSequence[0].ImagePositionPatient
        else:
            position = header.ImagePositionPatient
        lps = np.array([-1, -1, 1]) * apply_affine(series.volume.affine, (0, 0, number))
        np.testing.assert_allclose(lps, [float(value) for value in position], atol=PLACE_MM)
    if name == "enhanced":
        assert len({id(plane.header) for plane in series.planes}) == 1


def test_integral_values_stay_integers_and_others_become_float32(tmp_path):
    for name, dtype in (
        ("regular", np.int16),
        ("signed_values", np.int16),
        ("rescale_per_slice", np.float32),
    ):
        write_case(name, tmp_path / name)
        (entry,) = index_folder(tmp_path / name).entries
        assert read_series(entry).volume.array.dtype == dtype


def test_values_above_int16_are_kept(tmp_path):
    images = rescaled(stack(slices=3), 60, 0)
    write_slices(images, tmp_path, "MR", Uids("a", "wide"))
    (volume,), _ = outcomes(tmp_path)
    assert volume.array.max() == 359 * 60 and volume.array.dtype == np.int16
    images = rescaled(stack(slices=3), 150, 0)
    write_slices(images, tmp_path / "wider", "MR", Uids("b", "wide"))
    (volume,), _ = outcomes(tmp_path / "wider")
    assert volume.array.max() == 359 * 150 and volume.array.dtype == np.uint16


def test_slice_thickness_is_the_spacing_of_a_single_slice_only(tmp_path):
    write_case("single_slice", tmp_path / "one")
    write_case("regular", tmp_path / "many")
    (one,), _ = outcomes(tmp_path / "one")
    (many,), _ = outcomes(tmp_path / "many")
    assert one.spacing_mm[2] == pytest.approx(7.5)
    assert many.spacing_mm[2] == pytest.approx(2)


@pytest.mark.parametrize(("name", "made"), [("missing_slice", 1), ("duplicate_file", 0)])
def test_a_repair_keeps_every_slice_that_is_there(tmp_path, name, made):
    case = write_case(name, tmp_path)
    (entry,) = index_folder(tmp_path).entries
    series = read_series(entry, irregular="resample")
    assert series.repairs and series.volume.shape[2] == dicom_slices.SLICES
    truth = case.sources[0]
    at = np.rint(apply_affine(np.linalg.inv(series.volume.affine), truth.points_ras)).astype(int)
    np.testing.assert_allclose(
        apply_affine(series.volume.affine, at), truth.points_ras, atol=PLACE_MM
    )
    np.testing.assert_allclose(series.volume.array[tuple(at.T)], truth.values)
    # Stored values count up linearly: what is interpolated must be the slice taken away.
    step = series.volume.array[:, :, 1:].astype(float) - series.volume.array[:, :, :-1]
    np.testing.assert_allclose(step, dicom_slices.ROWS * dicom_slices.COLUMNS)
    assert len(series.planes) == series.volume.shape[2]
    assert (f"{made} planes interpolated" in series.repairs[0]) == bool(made)


def linear(images):
    """The same slices with values that are a linear function of the place in the patient."""
    out = []
    for image in images:
        truth = truth_of([image])
        values = np.rint(1000 + truth.points_ras @ [8, -4, 6]).reshape(image.stored.shape)
        out.append(replace(image, stored=values.astype(int), truth=values))
    return out


@pytest.mark.parametrize("kind", ["variable", "tilted", "tilted with a gap"])
def test_a_repair_puts_values_where_they_belong(tmp_path, kind):
    images = []
    for number, image in enumerate(stack(shape=(20, 10), orientation=dicom_slices.OBLIQUE)):
        normal = np.cross(image.orientation[:3], image.orientation[3:])
        shift = 0.1 * number**2 * normal if kind == "variable" else 0
        side = 0.5 * number * np.array(image.orientation[3:]) if "tilted" in kind else 0
        images.append(replace(image, position=tuple(np.array(image.position) + shift + side)))
    if "gap" in kind:
        del images[2]
    images = linear(images)
    write_slices(images, tmp_path, "MR", Uids("a", kind))
    (entry,) = index_folder(tmp_path).entries
    series = read_series(entry, irregular="resample")
    volume = series.volume
    axes = volume.affine[:3, :3] / np.linalg.norm(volume.affine[:3, :3], axis=0)
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-9)
    index = np.argwhere(volume.array > 0)
    expected = 1000 + apply_affine(volume.affine, index) @ [8, -4, 6]
    error = np.abs(volume.array[tuple(index.T)] - expected)
    # Half a voxel beyond the border the border's value continues.
    assert np.median(error) < 1 and np.quantile(error, 0.95) < 10
    assert len(index) >= 20 * 10 * 7
    assert "mm" in series.repairs[0]


def test_duplicates_that_differ_are_never_merged(tmp_path):
    write_case("duplicate_slice", tmp_path)
    _, (fault,) = outcomes(tmp_path, irregular="resample")
    assert isinstance(fault, errors.DuplicateSlices)


@pytest.mark.parametrize("name", ["no_position", "truncated_file", "no_rescale", "colour"])
def test_what_cannot_be_mended_is_refused_with_repair_too(tmp_path, name):
    case = write_case(name, tmp_path)
    _, (fault,) = outcomes(tmp_path, irregular="resample")
    assert type(fault) is case.errors[0]


def test_slices_off_the_line_are_refused(tmp_path):
    images = stack()
    x, y, z = images[3].position
    images[3] = replace(images[3], position=(x + 0.5, y, z))
    write_slices(images, tmp_path, "MR", Uids("a", "off"))
    for irregular in ("error", "resample"):
        _, (fault,) = outcomes(tmp_path, irregular=irregular)
        assert isinstance(fault, errors.UnalignedSlices)
        assert "0.5 mm off" in str(fault)


@pytest.mark.parametrize(("shift", "refused"), [(0.015, False), (0.03, True)])
def test_a_slice_may_be_off_by_one_percent_of_the_distance(tmp_path, shift, refused):
    images = stack()
    x, y, z = images[3].position
    images[3] = replace(images[3], position=(x, y, z + shift))
    write_slices(images, tmp_path, "MR", Uids("a", "jitter"))
    _, faults = outcomes(tmp_path)
    assert [type(fault) for fault in faults] == [errors.VariableSpacing] * refused


@pytest.mark.parametrize(("degrees", "refused"), [(0.05, False), (0.2, True)])
def test_a_tilt_of_a_tenth_of_a_degree_is_borne(tmp_path, degrees, refused):
    images = []
    for number, image in enumerate(stack()):
        x, y, z = image.position
        side = 2 * number * np.tan(np.radians(degrees))
        images.append(replace(image, position=(x, y + side, z)))
    write_slices(images, tmp_path, "MR", Uids("a", "tilt"))
    _, faults = outcomes(tmp_path)
    assert [type(fault) for fault in faults] == [errors.GantryTilt] * refused


def test_an_error_names_files_tags_and_figures_and_survives_a_process_boundary(tmp_path):
    write_case("missing_slice", tmp_path)
    (entry,) = index_folder(tmp_path).entries
    text = str(entry.problem)
    for part in ("a_000.dcm and 6 more", "(0020,0032) Image Position (Patient)", "2 to 4 mm"):
        assert part in text
    assert str(tmp_path) not in text
    again = pickle.loads(pickle.dumps(entry.problem))
    assert type(again) is errors.MissingSlices and str(again) == text


def test_a_file_that_changed_since_it_was_indexed_is_refused(tmp_path):
    case = write_case("regular", tmp_path)
    (entry,) = index_folder(tmp_path).entries
    other = write_case("two_series", tmp_path / "other")
    files = sorted(case.folder.glob("*.dcm"))
    files[0].write_bytes(sorted(other.folder.glob("a*.dcm"))[0].read_bytes())
    with pytest.raises(errors.DamagedFile, match="changed"):
        read_series(entry)


def test_frame_of_reference_and_the_synthetic_mark_are_read(tmp_path):
    write_case("regular", tmp_path / "real")
    write_slices(stack(SyntheticData="YES"), tmp_path / "made", "MR", Uids("a", "made"))
    (real,), _ = outcomes(tmp_path / "real")
    (made,), _ = outcomes(tmp_path / "made")
    assert real.frame_of_reference == Uids("a", "regular CT").frame_of_reference
    assert made.synthetic and not real.synthetic


def test_lossy_compression_is_warned_of_without_identifiers(tmp_path, caplog):
    images = stack(LossyImageCompression="01", PatientName="Marker^Name")
    write_slices(images, tmp_path, "MR", Uids("a", "lossy"))
    outcomes(tmp_path)
    assert "8 of 8 images were compressed with losses" in caplog.text
    assert "Marker" not in caplog.text


def test_a_real_series_with_a_hole_is_refused_and_mended_on_request(medgan_data):
    (entry,) = index_folder(medgan_data / "umcu_pelvis_ct" / "dicom_with_gap").entries
    assert isinstance(entry.problem, errors.MissingSlices)
    assert "7 missing, 2.5 to 10 mm" in str(entry.problem)
    with pytest.raises(errors.MissingSlices):
        read_series(entry)
    series = read_series(entry, irregular="resample")
    assert series.volume.shape == (480, 480, 21)
    assert series.volume.spacing_mm[2] == pytest.approx(2.5)
    assert len(series.repairs) == 1
    axial = [float(plane.header.ImagePositionPatient[2]) for plane in series.planes]
    bottom = apply_affine(series.volume.affine, (0, 0, 0))[2]
    apart = np.abs(np.array(axial) - bottom - 2.5 * np.arange(21))
    assert np.count_nonzero(apart < 0.01) == 14 and apart.max() < 5.01
