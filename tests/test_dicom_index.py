import numpy as np
import pydicom
import pytest

from medgan.errors import FileError
from medgan.io.dicom import errors, index_folder, read_series
from medgan.phantoms.dicom_cases import write_case
from medgan.phantoms.dicom_slices import Uids, dataset, save, stack, write_slices


def parts(folder):
    return [entry.part for entry in index_folder(folder).entries]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("regular", [""]),
        ("localizer_in_series", ["", "localizer"]),
        ("two_time_points", ["time 1", "time 2"]),
        ("two_echoes", ["echo 2", "no echo"]),
        ("b_values", ["b 1000", "no b"]),
        ("mixed_orientations", ["geometry 1", "geometry 2"]),
        ("enhanced_two_times", ["time 1", "time 2"]),
    ],
)
def test_a_part_says_what_sets_it_apart(tmp_path, name, expected):
    write_case(name, tmp_path, "MR")
    assert parts(tmp_path) == expected


def test_an_entry_tells_shape_spacing_and_files_from_headers_alone(tmp_path):
    write_case("anisotropic_pixels", tmp_path)
    write_case("regular", tmp_path / "deep" / "below", "MR")
    ct, mr = sorted(index_folder(tmp_path).entries, key=lambda entry: entry.modality)
    assert ct.shape == (10, 12, 8) and ct.spacing_mm == pytest.approx((1.9, 0.7, 2.0))
    assert mr.modality == "MR" and len(mr.paths) == 8
    assert all(path.is_relative_to(tmp_path / "deep") for path in mr.paths)
    assert ct.problem is None and mr.problem is None


def test_a_single_file_is_a_folder_of_one(tmp_path):
    write_case("regular", tmp_path)
    (entry,) = index_folder(tmp_path / "a_003.dcm").entries
    assert entry.shape == (10, 12, 1)
    assert read_series(entry).volume.shape == (10, 12, 1)


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(FileError, match="no such file"):
        index_folder(tmp_path / "absent")


@pytest.mark.parametrize(
    ("uid", "reason"),
    [
        ("1.2.840.10008.5.1.4.1.1.66.4", "Segmentation"),
        ("1.2.840.10008.5.1.4.1.1.481.3", "RT Structure Set"),
        ("1.2.840.10008.5.1.4.1.1.88.11", "Basic Text SR"),
        ("1.2.840.10008.5.1.4.1.1.7", "Secondary Capture Image"),
        ("1.2.840.10008.5.1.4.1.1.128", "Positron Emission Tomography Image"),
        ("1.2.3.4.5.99", "an unknown kind of DICOM object"),
    ],
)
def test_other_objects_are_skipped_by_name(tmp_path, uid, reason):
    write_slices(stack(slices=1, SOPClassUID=uid), tmp_path, "MR", Uids("a", "other"))
    index = index_folder(tmp_path)
    assert not index.entries
    assert [skipped.reason for skipped in index.skipped] == [reason]


def test_files_that_are_not_dicom_are_skipped_whatever_their_name(tmp_path):
    (tmp_path / "scan.dcm").write_bytes(b"\x89PNG")
    (tmp_path / "empty").touch()
    assert {skipped.reason for skipped in index_folder(tmp_path).skipped} == {"not DICOM"}


def test_links_are_not_followed(tmp_path):
    write_case("regular", tmp_path / "outside")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "link").symlink_to(tmp_path / "outside")
    (tmp_path / "root" / "file.dcm").symlink_to(tmp_path / "outside" / "a_000.dcm")
    index = index_folder(tmp_path / "root")
    assert not index.entries
    assert [skipped.reason for skipped in index.skipped] == 2 * ["a link, which is not followed"]


def test_a_file_cut_within_its_header_is_reported_not_passed_over(tmp_path):
    write_case("regular", tmp_path)
    path = tmp_path / "a_007.dcm"
    path.write_bytes(path.read_bytes()[:420])
    problems = [entry.problem for entry in index_folder(tmp_path).entries]
    assert any(isinstance(problem, FileError) for problem in problems)
    assert any("a_007.dcm" in str(problem) for problem in problems)


def test_rubbish_behind_the_prefix_is_a_damaged_file(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "x.dcm").write_bytes(bytes(128) + b"DICM" + rng.bytes(400))
    (entry,) = index_folder(tmp_path).entries
    assert isinstance(entry.problem, errors.DamagedFile)
    with pytest.raises(errors.DamagedFile):
        read_series(entry)


def test_series_of_the_same_uid_in_two_studies_stay_apart(tmp_path):
    for study in ("a", "b"):
        uids = Uids("s", study)
        for number, image in enumerate(stack(), 1):
            header = dataset(image, "MR", uids, number)
            header.SeriesInstanceUID = "1.2.3"
            save(header, tmp_path / study / f"{number}.dcm")
    assert len(index_folder(tmp_path).entries) == 2


def test_a_repeated_slice_of_another_acquisition_is_left_over(tmp_path):
    extra = stack(slices=4)[3].with_tags(AcquisitionNumber=2)
    write_slices([*stack(), extra], tmp_path, "MR", Uids("a", "again"))
    whole, single = sorted(index_folder(tmp_path).entries, key=lambda entry: -entry.shape[2])
    assert whole.problem is None and whole.shape[2] == 8
    assert isinstance(single.problem, errors.LeftoverImages)


def test_an_attribute_that_differs_in_every_image_hides_no_duplicate(tmp_path):
    images = [image.with_tags(AcquisitionNumber=n) for n, image in enumerate(stack())]
    images.append(stack(slices=3, first=2000)[2].with_tags(AcquisitionNumber=99))
    write_slices(images, tmp_path, "MR", Uids("a", "numbers"))
    (entry,) = index_folder(tmp_path).entries
    assert isinstance(entry.problem, errors.DuplicateSlices)


def test_multi_frame_without_functional_groups_is_refused(tmp_path):
    header = dataset(stack(slices=1)[0], "MR", Uids("a", "frames"), 1)
    header.NumberOfFrames = 2
    header.PixelData = header.PixelData * 2
    save(header, tmp_path / "a.dcm")
    (entry,) = index_folder(tmp_path).entries
    assert isinstance(entry.problem, errors.MissingGeometry)
    assert "1 of 2 frames" in str(entry.problem)


@pytest.mark.parametrize(
    ("tags", "contrast"),
    [
        ({"RepetitionTime": "500", "EchoTime": "10"}, "T1"),
        ({"RepetitionTime": "4000", "EchoTime": "90"}, "T2"),
        ({"RepetitionTime": "3000", "EchoTime": "15"}, "PD"),
        ({"RepetitionTime": "9000", "EchoTime": "120", "InversionTime": "2500"}, "FLAIR"),
        (
            {
                "ScanningSequence": ["GR", "IR"],
                "RepetitionTime": "2000",
                "EchoTime": "3",
                "InversionTime": "900",
            },
            "T1",
        ),
        ({"ScanningSequence": "GR", "RepetitionTime": "30", "EchoTime": "20"}, ""),
        ({"RepetitionTime": "4000", "EchoTime": "90", "DiffusionBValue": 800.0}, ""),
        ({"EchoTime": None}, ""),
    ],
)
def test_contrast_is_told_from_acquisition_parameters(tmp_path, tags, contrast):
    write_slices(stack(slices=2, **tags), tmp_path, "MR", Uids("a", "contrast"))
    (entry,) = index_folder(tmp_path).entries
    assert entry.contrast == contrast


def test_an_invalid_value_is_not_quoted_in_a_warning(tmp_path, recwarn, caplog):
    write_case("regular", tmp_path)
    path = tmp_path / "a_000.dcm"
    header = pydicom.dcmread(path)
    with pydicom.config.disable_value_validation():
        header.SeriesDescription = "Marker^Name" * 10
        header.FrameOfReferenceUID = "1.2.Marker"
        header.save_as(path)
    for entry in index_folder(tmp_path).entries:
        if entry.problem is None:
            read_series(entry)
    assert not [w for w in recwarn if "Marker" in str(w.message)]
    assert "Marker" not in caplog.text
