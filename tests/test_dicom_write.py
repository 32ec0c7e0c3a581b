import itertools
import logging
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pydicom
import pytest
from dicom_tools import (
    CREATED,
    DERIVATION,
    PATIENT,
    headers,
    require_values_at_places,
    sitk_volume,
    source,
    synthetic,
)
from pydicom.datadict import dictionary_is_retired
from pydicom.dataset import Dataset

from medgan.errors import DataError, GeometryError
from medgan.io.dicom import index_folder, read_series
from medgan.io.dicom.derived import KEPT
from medgan.io.dicom.uids import derived_uid, keyed_uid
from medgan.io.dicom.write import (
    frame_of_reference,
    write_derived,
    write_parametric_map,
)
from medgan.phantoms.dicom_cases import write_case

CASES = ["regular", "sagittal", "oblique", "enhanced", "single_slice"]


@pytest.mark.parametrize("name", CASES)
def test_patient_study_and_place_are_those_of_the_source(tmp_path, name):
    series = source(name, tmp_path / "mr")
    written = headers(write_derived(synthetic(series), series, tmp_path / "ct", DERIVATION))
    original = series.planes[0].header
    for header in written:
        for keyword in (key for key in KEPT if key in original):
            assert header[keyword].value == original[keyword].value, keyword
        assert header.FrameOfReferenceUID == original.FrameOfReferenceUID
        assert header.PatientName == PATIENT["PatientName"]
    assert len(written) == series.volume.shape[2]
    if name != "enhanced":
        for header, plane in zip(written, series.planes, strict=True):
            for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
                expected = np.array(plane.header[keyword].value, float)
                np.testing.assert_allclose(header[keyword].value, expected, atol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_every_voxel_is_read_back_at_its_place(tmp_path, name):
    series = source(name, tmp_path / "mr")
    volume = synthetic(series)
    paths = write_derived(volume, series, tmp_path / "ct", DERIVATION)
    if name != "single_slice":
        require_values_at_places(sitk_volume(paths), volume)
    stored = np.stack([header.pixel_array.T for header in headers(paths)], axis=2)
    np.testing.assert_array_equal(stored, np.rint(volume.array))


def test_each_plane_names_the_plane_it_was_made_from(tmp_path):
    for name in ("oblique", "enhanced"):
        series = source(name, tmp_path / name)
        paths = write_derived(synthetic(series), series, tmp_path / f"{name}_ct", DERIVATION)
        for header, plane in zip(headers(paths), series.planes, strict=True):
            (reference,) = header.SourceImageSequence
            assert reference.ReferencedSOPInstanceUID == plane.header.SOPInstanceUID
            assert reference.ReferencedSOPClassUID == plane.header.SOPClassUID
            assert reference.get("ReferencedFrameNumber") == plane.frame
            assert reference.SpatialLocationsPreserved == "YES"
            assert reference.PurposeOfReferenceCodeSequence[0].CodeValue == "121322"
    assert plane.frame is not None


def test_a_synthetic_ct_says_what_it_is_and_how_it_was_made(tmp_path):
    series = source("regular", tmp_path / "mr")
    paths = write_derived(synthetic(series), series, tmp_path / "ct", DERIVATION)
    header = headers(paths)[2]
    expected = {
        "Modality": "CT",
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2",
        "ImageType": ["DERIVED", "SECONDARY", "AXIAL"],
        "SyntheticData": "YES",
        "ContentQualification": "RESEARCH",
        "ImageComments": "RESEARCH USE ONLY - NOT FOR CLINICAL USE",
        "SeriesDescription": "sCT (synthetic, research) AttentionGAN pelvis",
        "SeriesNumber": 1003,
        "InstanceNumber": 3,
        "RescaleType": "HU",
        "RescaleSlope": 1,
        "RescaleIntercept": 0,
        "WindowCenter": 40,
        "WindowWidth": 400,
        "BurnedInAnnotation": "NO",
        "LossyImageCompression": "00",
        "PixelRepresentation": 1,
        "SpacingBetweenSlices": 2,
        "SliceThickness": 7.5,
        "ContentDate": "20261122",
    }
    assert {keyword: header[keyword].value for keyword in expected} == expected
    (contributor,) = header.ContributingEquipmentSequence
    assert contributor.PurposeOfReferenceCodeSequence[0].CodeValue == "109100"
    for words in (header.DerivationDescription, contributor.ContributionDescription):
        for part in ("AttentionGAN pelvis 1.2", DERIVATION.weights_sha256, "percentile 99.5"):
            assert part in words
    assert "DerivationCodeSequence" not in header
    # dcm2niix takes the first two letters for a vendor's.
    vendors = ("ME", "SI", "GE", "PH", "TO", "CA", "UI", "BR", "HI", "LO", "MR", "HY")
    assert not header.Manufacturer.upper().startswith(vendors)


def test_resampling_is_coded(tmp_path):
    series = source("regular", tmp_path / "mr")
    derivation = replace(DERIVATION, resampled=True)
    header = headers(write_derived(synthetic(series), series, tmp_path / "ct", derivation))[0]
    assert header.DerivationCodeSequence[0].CodeValue == "113085"


def test_the_same_work_twice_is_the_same_bytes(tmp_path):
    series = source("oblique", tmp_path / "mr")
    first = write_derived(synthetic(series), series, tmp_path / "a", DERIVATION)
    again = write_derived(synthetic(series), series, tmp_path / "b", DERIVATION)
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]
    assert not list(tmp_path.rglob(".*"))


def test_no_uid_has_two_contents(tmp_path):
    series = source("regular", tmp_path / "mr")
    volume = synthetic(series)
    other = volume.array.copy()
    other[0, 0, 0] += 1
    works = {
        "first": (volume, DERIVATION),
        "pixels": (volume.with_array(other), DERIVATION),
        "weights": (volume, replace(DERIVATION, weights_sha256="cd" * 32)),
        "model": (volume, replace(DERIVATION, model_version="1.3")),
        "later": (volume, replace(DERIVATION, created=CREATED + timedelta(microseconds=1))),
        "direction": (volume.with_array(volume.array + 1000, modality="MR"), DERIVATION),
    }
    written = [
        headers(write_derived(result, series, tmp_path / name, derivation))
        for name, (result, derivation) in works.items()
    ]
    assert len({planes[0].SeriesInstanceUID for planes in written}) == len(works)
    instances = {header.SOPInstanceUID for header in itertools.chain(*written)}
    assert len(instances) == len(works) * len(written[0])


def test_derived_uids_are_legal_and_keep_the_borders_of_their_parts():
    uids = {derived_uid("ab", "c"), derived_uid("a", "bc"), derived_uid("abc"), derived_uid("abc")}
    assert len(uids) == 3
    for uid in (*uids, keyed_uid("1.2.3", b"k" * 16)):
        assert pydicom.uid.UID(uid).is_valid
        assert int(uid.removeprefix("2.25.")) < 2**128
    assert keyed_uid("1.2.3", b"k" * 16) != keyed_uid("1.2.3", b"l" * 16)
    assert keyed_uid("1.2.840.10008.1.2.1", b"k" * 16) == "1.2.840.10008.1.2.1"


def test_values_below_air_are_clipped_and_counted(tmp_path, caplog):
    series = source("regular", tmp_path / "mr")
    values = synthetic(series).array.copy()
    values[0, 0, 0], values[1, 1, 1] = -3000, 1e6
    volume = synthetic(series).with_array(values)
    paths = write_derived(volume, series, tmp_path / "ct", DERIVATION)
    assert "2 voxels clipped" in caplog.text
    stored = [header.pixel_array for header in headers(paths)]
    assert stored[0][0, 0] == -1024
    assert stored[1][1, 1] == 32767


def test_another_grid_is_refused(tmp_path):
    series = source("regular", tmp_path / "mr")
    volume = synthetic(series)
    affine = volume.affine.copy()
    affine[0, 3] += 1
    with pytest.raises(GeometryError, match="different grids"):
        write_derived(replace(volume, affine=affine), series, tmp_path / "ct", DERIVATION)


def test_a_plane_that_is_not_where_its_header_says_is_refused(tmp_path):
    series = source("regular", tmp_path / "mr")
    affine = series.volume.affine.copy()
    affine[0, 3] += 1
    moved = replace(series, volume=replace(series.volume, affine=affine))
    with pytest.raises(GeometryError, match=r"elsewhere.*1 mm"):
        write_derived(synthetic(moved), moved, tmp_path / "ct", DERIVATION)
    assert not (tmp_path / "ct").exists()


def test_a_repaired_source_is_said_to_be_repaired(tmp_path):
    series = source("regular", tmp_path / "mr")
    affine = series.volume.affine.copy()
    affine[2, 2] *= 0.9
    volume = replace(series.volume, affine=affine)
    repaired = replace(series, volume=volume, repairs=("slices 1.8 mm apart interpolated",))
    result = synthetic(repaired)
    paths = write_derived(result, repaired, tmp_path / "ct", DERIVATION)
    require_values_at_places(sitk_volume(paths), result)
    header = headers(paths)[3]
    assert header.SourceImageSequence[0].SpatialLocationsPreserved == "NO"
    assert header.DerivationCodeSequence[0].CodeValue == "113085"
    assert "slices 1.8 mm apart" in header.DerivationDescription
    assert header.SliceThickness == header.SpacingBetweenSlices == pytest.approx(1.8)


def test_what_lies_outside_a_tilted_stack_is_padding_that_no_row_is_blended_with(tmp_path):
    for modality, padding in (("CT", -1024), ("MR", 0)):
        write_case("gantry_tilt", tmp_path / modality, modality)
        (entry,) = index_folder(tmp_path / modality).entries
        columns, rows, planes = entry.shape
        array = read_series(entry, irregular="resample").volume.array
        lowest = 0 if modality == "MR" else -1024
        shift = 2 * np.tan(np.pi / 12)
        for k in range(planes):
            at = np.arange(array.shape[1]) - k * shift
            inside = np.clip(at, 0, rows - 1)
            first = lowest + k * rows * columns
            expected = first + columns * inside[None, :] + np.arange(columns)[:, None]
            expected[:, (at < -0.5) | (at > rows - 0.5)] = padding
            np.testing.assert_allclose(array[:, :, k], expected, atol=0.01)


def test_codes_of_the_retired_snomed_become_current_and_retired_attributes_stay_behind(tmp_path):
    def region(code):
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code, "SRT", "Brain"
        return item

    other = Dataset()
    other.PatientID = "4712"
    series = source(
        "regular",
        tmp_path / "mr",
        AnatomicRegionSequence=[region("T-A0100")],
        ProcedureCodeSequence=[region("no such code")],
        OtherPatientIDs="4712",
        OtherPatientIDsSequence=[other],
    )
    (header, *_) = headers(write_derived(synthetic(series), series, tmp_path / "ct", DERIVATION))
    (item,) = header.AnatomicRegionSequence
    # PS3.16 annex O: T-A0100 is 12738006 |Brain structure|.
    assert (item.CodeValue, item.CodingSchemeDesignator) == ("12738006", "SCT")
    assert "ProcedureCodeSequence" not in header
    assert header.OtherPatientIDsSequence[0].PatientID == "4712"
    assert not [element for element in header if dictionary_is_retired(element.tag)]
    assert series.planes[0].header.AnatomicRegionSequence[0].CodingSchemeDesignator == "SRT"


def test_a_missing_frame_of_reference_is_generated_once_and_reported(tmp_path, caplog):
    series = source("regular", tmp_path / "mr", FrameOfReferenceUID=None)
    first = headers(write_derived(synthetic(series), series, tmp_path / "a", DERIVATION))
    assert "no frame of reference" in caplog.text
    later = replace(DERIVATION, created=CREATED + timedelta(days=1))
    second = headers(write_derived(synthetic(series), series, tmp_path / "b", later))
    generated = frame_of_reference(series)
    assert generated.generated
    assert {header.FrameOfReferenceUID for header in (*first, *second)} == {generated.uid}
    assert "frame of reference generated" in first[0].DerivationDescription


@pytest.mark.parametrize(
    ("encoding", "name", "stored"),
    [
        ("ISO_IR 100", "Müller^Jörg", "Müller^Jörg".encode("latin-1")),
        ("ISO_IR 144", "Жуков^Юрий", "Жуков^Юрий".encode("iso8859_5")),
        ("ISO_IR 192", "Wang^XiaoDong=王^小東", "Wang^XiaoDong=王^小東".encode()),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎", b"\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B"),
    ],
)
def test_names_keep_their_letters_and_their_coding(tmp_path, encoding, name, stored):
    tags = {"SpecificCharacterSet": encoding, "PatientName": name}
    series = source("single_slice", tmp_path / "mr", **tags)
    (path,) = write_derived(synthetic(series), series, tmp_path / "ct", DERIVATION)
    header = pydicom.dcmread(path)
    assert header.PatientName == name
    assert header.SpecificCharacterSet == encoding
    assert stored in path.read_bytes()


def test_times_of_creation_are_in_the_zone_of_the_study(tmp_path):
    series = source("single_slice", tmp_path / "mr", TimezoneOffsetFromUTC="-0930")
    (header,) = headers(write_derived(synthetic(series), series, tmp_path / "ct", DERIVATION))
    assert (header.ContentDate, header.ContentTime) == ("20261122", "053001.123456")
    contributed = header.ContributingEquipmentSequence[0].ContributionDateTime
    assert contributed == "20261122150001.123456+0000"


def test_a_time_without_a_zone_is_refused(tmp_path):
    series = source("single_slice", tmp_path / "mr")
    derivation = replace(DERIVATION, created=datetime(2026, 1, 1))
    with pytest.raises(DataError, match="time zone"):
        write_derived(synthetic(series), series, tmp_path / "ct", derivation)


def test_what_is_made_from_a_lossy_image_stays_lossy(tmp_path):
    lossy = {"LossyImageCompression": "01", "LossyImageCompressionRatio": "12.5"}
    series = source("single_slice", tmp_path / "mr", **lossy)
    (header,) = headers(write_derived(synthetic(series), series, tmp_path / "ct", DERIVATION))
    assert header.LossyImageCompression == "01"
    assert header.LossyImageCompressionRatio == 12.5


def test_a_synthetic_mr_holds_scaled_integers_and_says_the_scale(tmp_path):
    series = source("oblique", tmp_path / "ct", "CT")
    volume = synthetic(series, "MR")
    paths = write_derived(volume, series, tmp_path / "mr", DERIVATION)
    written = headers(paths)
    assert written[0].Modality == "MR"
    assert written[0].ImageType == ["DERIVED", "SECONDARY", "OTHER"]
    slope = written[0].RealWorldValueMappingSequence[0].RealWorldValueSlope
    stored = np.stack([header.pixel_array.T for header in written], axis=2)
    np.testing.assert_allclose(stored * slope, volume.array, atol=slope / 2 * 1.001)
    assert slope < 0.1


def test_a_number_that_is_none_is_left_out_and_named(tmp_path, caplog):
    with pydicom.config.disable_value_validation():
        series = source("single_slice", tmp_path / "mr", PatientAge="0Y", StudyDescription="a")
    (header,) = headers(write_derived(synthetic(series), series, tmp_path / "ct", DERIVATION))
    assert "PatientAge" not in header
    assert header.StudyDescription == "a"
    assert "PatientAge" in caplog.text
    assert "0Y" not in caplog.text


def test_nothing_of_the_patient_is_logged_or_warned(tmp_path, caplog, recwarn):
    marker = "MARKER"
    tags = {"PatientID": marker * 20, "StudyDate": marker, "PatientName": marker}
    with caplog.at_level(logging.DEBUG), pydicom.config.disable_value_validation():
        series = source("regular", tmp_path / "mr", FrameOfReferenceUID=None, **tags)
    recwarn.clear()
    write_derived(synthetic(series), series, tmp_path / "ct", DERIVATION)
    values = series.volume.with_array(series.volume.array.astype(np.float32))
    write_parametric_map(values, series, tmp_path / "map.dcm", DERIVATION, label="attention")
    assert caplog.text
    assert marker not in caplog.text
    assert not [warning for warning in recwarn if marker in str(warning.message)]
