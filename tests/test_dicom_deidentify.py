import copy
import itertools
import logging

import numpy as np
import pydicom
import pytest
from dicom_tools import (
    DERIVATION,
    PATIENT,
    complaints,
    has_validator,
    source,
    synthetic,
    write_source,
)
from pydicom.datadict import DicomDictionary, dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import UID

from medgan.errors import ConfigError
from medgan.io.dicom.deidentify import deidentify, deidentify_file
from medgan.io.dicom.errors import BurnedInAnnotation, DamagedFile, SecondaryCapture
from medgan.io.dicom.index import index_folder
from medgan.io.dicom.profile import basic_profile
from medgan.io.dicom.write import write_derived

KEY = b"a key that nobody else has"
MARKS = {
    **dict.fromkeys(["AE", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"], "MARKER"),
    **dict.fromkeys(["OB", "UN"], b"MARKER"),
    "AS": "077Y",
    "DA": "19761204",
    "DT": "19761204031415",
    "TM": "031415.926",
    "UI": "1.2.3.926535897",
}
TRACES = (b"MARKER", b"077Y", b"19761204", b"031415", b"926535897")
NUMBERS_AND_CODES = {
    "PatientSex": "F",
    "PatientSize": "1.23456789",
    "PatientWeight": "98.7654321",
    "SmokingStatus": "YES",
    "PregnancyStatus": 3,
    "PatientSexNeutered": "ALTERED",
    "GPSLatitude": ["51.5007", "0", "0"],
}
"""Of table E.1-1, actions X or Z, whose value representation alone would not give them away."""


def deidentified(path, folder, key=KEY, **options):
    folder.mkdir(exist_ok=True)
    deidentify_file(path, folder / path.name, key, **options)
    return pydicom.dcmread(folder / path.name)


def marked(nested=True):
    """Every attribute of the dictionary whose value representation can hold a mark."""
    header = Dataset()
    for tag, entry in DicomDictionary.items():
        if tag >> 16 > 0x0007 and entry[0] in MARKS and entry[4] not in basic_profile().keep:
            header.add(DataElement(tag, entry[0], MARKS[entry[0]]))
    for keyword, value in NUMBERS_AND_CODES.items():
        setattr(header, keyword, value)
    header.add(DataElement(0x60000010, "US", 64))
    header.add(DataElement(0x60003000, "OW", b"MARKER"))
    header.add(DataElement(0x60020022, "LO", "MARKER"))
    header.add(DataElement(0x50003000, "OW", b"MARKER"))
    header.add(DataElement(0x00191001, "UN", b"MARKER"))
    header.private_block(0x0029, "MARKER", create=True).add_new(1, "LO", "MARKER")
    header.add(DataElement(0x00080999, "LO", "MARKER"))
    if nested:
        for keyword in ("RequestAttributesSequence", "OtherPatientIDsSequence", "ViewCodeSequence"):
            setattr(header, keyword, [marked(nested=False)])
    return header


def add_marks(path):
    header = pydicom.dcmread(path)
    needed = ("SOPClassUID", "CodeMeaning")
    for element in marked():
        if element.keyword not in needed:
            header[element.tag] = element
    header.file_meta.SourceApplicationEntityTitle = "MARKER"
    header.preamble = b"MARKER".ljust(128)
    with pydicom.config.disable_value_validation():
        header.save_as(path)


def test_a_mark_in_every_text_date_name_and_uid_is_gone(tmp_path):
    folder = write_source("regular", tmp_path / "mr")
    path = next(folder.iterdir())
    add_marks(path)
    assert all(trace in path.read_bytes() for trace in TRACES)
    result = deidentified(path, tmp_path / "clean")
    content = (tmp_path / "clean" / path.name).read_bytes()
    assert [trace for trace in TRACES if trace in content] == []
    for keyword in NUMBERS_AND_CODES:
        assert not result.get(keyword), keyword
    assert not [element for element in result.iterall() if element.tag.is_private]
    assert not [element for element in result if element.tag.group & 0xFF00 in (0x5000, 0x6000)]


def test_the_marks_cover_what_the_standard_lists():
    present = {element.keyword for element in marked()}
    listed = (
        "AccessionNumber AcquisitionComments AdmittingDate AdmittingDiagnosesDescription "
        "ContributionDescription DerivationDescription DetectorID DeviceSerialNumber DeviceUID "
        "FrameComments FrameOfReferenceUID ImageComments InstitutionAddress InstitutionName "
        "IrradiationEventUID IssuerOfPatientID MedicalRecordLocator MilitaryRank Occupation "
        "OperatorsName OtherPatientIDs OtherPatientNames PatientAddress PatientAge "
        "PatientBirthDate PatientBirthName PatientBirthTime PatientComments PatientID PatientName "
        "PatientTelephoneNumbers PerformedProcedureStepDescription PerformedProcedureStepID "
        "PerformedStationName PerformingPhysicianName PhysiciansOfRecord ProtocolName "
        "ReferringPhysicianName RequestedProcedureDescription RequestedProcedureID "
        "RequestingPhysician ResponsiblePerson RetrieveAETitle SeriesDate SeriesDescription "
        "SeriesInstanceUID SOPInstanceUID StationName StudyDate StudyDescription StudyID "
        "StudyInstanceUID TimezoneOffsetFromUTC UniqueDeviceIdentifier"
    )
    assert set(listed.split()) <= present


def test_the_profile_names_only_attributes_that_exist_and_each_once():
    profile = basic_profile()
    actions = [profile.dummy, profile.pseudonym, profile.empty, profile.remove, profile.keep]
    for keyword in itertools.chain(*actions, profile.characteristics):
        assert tag_for_keyword(keyword) is not None, keyword
    for one, other in itertools.combinations(actions, 2):
        assert not one & other


def test_uids_agree_over_all_files_of_a_tree(tmp_path):
    series = source("regular", tmp_path / "mr")
    paths = write_derived(synthetic(series), series, tmp_path / "ct", DERIVATION)
    mr = [deidentified(plane.path, tmp_path / "mr_clean") for plane in series.planes]
    ct = [deidentified(path, tmp_path / "ct_clean") for path in paths]
    for keyword in ("StudyInstanceUID", "FrameOfReferenceUID", "PatientID", "StudyID"):
        assert len({header[keyword].value for header in (*mr, *ct)}) == 1
    for original, synthesized in zip(mr, ct, strict=True):
        (reference,) = synthesized.SourceImageSequence
        assert reference.ReferencedSOPInstanceUID == original.SOPInstanceUID
        assert reference.ReferencedSOPClassUID == original.SOPClassUID
    assert len({header.SOPInstanceUID for header in (*mr, *ct)}) == len(mr) + len(ct)
    for header in (*mr, *ct):
        assert header.file_meta.MediaStorageSOPInstanceUID == header.SOPInstanceUID
        assert UID(header.SOPInstanceUID).is_valid


def test_pseudonyms_follow_patient_and_key():
    def pseudonym(patient, study, key=KEY):
        header = Dataset()
        header.PatientID, header.PatientName, header.StudyInstanceUID = patient, "Doe", study
        result = deidentify(header, key)
        return str(result.PatientID), str(result.PatientName), result.StudyInstanceUID

    first, later = pseudonym("4711", "1.2.1"), pseudonym("4711 ", "1.2.2")
    assert first[:2] == later[:2]
    assert first[2] != later[2]
    assert pseudonym("4712", "1.2.1")[0] != first[0]
    other_key = pseudonym("4711", "1.2.1", KEY + b"!")
    assert not set(other_key) & set(first)


def test_what_was_done_is_coded_in_the_file(tmp_path):
    path = next(write_source("regular", tmp_path / "mr").iterdir())
    for retained in (False, True):
        result = deidentified(path, tmp_path / "clean", retain_characteristics=retained)
        given = [item.CodeValue for item in result.DeidentificationMethodCodeSequence]
        assert given == (["113100", "113108"] if retained else ["113100"])
        assert result.PatientIdentityRemoved == "YES"
        assert result.LongitudinalTemporalInformationModified == "REMOVED"
        (tool,) = result.ContributingEquipmentSequence
        assert tool.PurposeOfReferenceCodeSequence[0].CodeValue == "109104"


def test_patient_characteristics_are_kept_only_on_request(tmp_path):
    path = next(write_source("regular", tmp_path / "mr").iterdir())
    names = ("PatientSex", "PatientAge", "PatientWeight")
    gone = deidentified(path, tmp_path / "clean")
    assert [gone.get(name) for name in names] == ["", None, None]
    kept = deidentified(path, tmp_path / "kept", retain_characteristics=True)
    assert [str(kept.get(name)) for name in names] == [PATIENT[name] for name in names]
    assert kept.PatientID != PATIENT["PatientID"]


def test_the_marks_of_a_synthetic_image_stay(tmp_path):
    series = source("regular", tmp_path / "mr")
    path = write_derived(synthetic(series), series, tmp_path / "ct", DERIVATION)[0]
    original = pydicom.dcmread(path)
    result = deidentified(path, tmp_path / "clean")
    for keyword in ("SyntheticData", "ContentQualification", "ImageComments", "ImageType"):
        assert result[keyword].value == original[keyword].value
    assert result.DerivationDescription == original.DerivationDescription
    assert result.SeriesDescription == "sCT (synthetic, research)"
    made, tool = result.ContributingEquipmentSequence
    assert made.ContributionDescription == original.DerivationDescription
    assert made.PurposeOfReferenceCodeSequence[0].CodeValue == "109100"
    assert "ContributionDateTime" not in made
    assert tool.PurposeOfReferenceCodeSequence[0].CodeValue == "109104"


def test_descriptions_of_other_makers_do_not_stay_even_in_synthetic_images(tmp_path):
    tags = {
        "SyntheticData": "YES",
        "SeriesDescription": "sCT (synthetic, research) of Jane Doe",
        "ImageComments": "Jane Doe",
        "DerivationDescription": "Jane Doe",
    }
    path = next(write_source("regular", tmp_path / "mr", **tags).iterdir())
    result = deidentified(path, tmp_path / "clean")
    assert result.SyntheticData == "YES"
    for keyword in ("SeriesDescription", "ImageComments", "DerivationDescription"):
        assert keyword not in result


@pytest.mark.parametrize("name", ["regular", "deflated", "explicit_big_endian", "rle", "enhanced"])
def test_pixels_and_their_coding_stay(tmp_path, name):
    for path in write_source(name, tmp_path / "mr").iterdir():
        original, result = pydicom.dcmread(path), deidentified(path, tmp_path / "clean")
        assert result.file_meta.TransferSyntaxUID == original.file_meta.TransferSyntaxUID
        assert result.PixelData == original.PixelData
        np.testing.assert_array_equal(result.pixel_array, original.pixel_array)
        for keyword in ("Rows", "PixelSpacing", "ImagePositionPatient", "RescaleSlope"):
            assert result.get(keyword) == original.get(keyword)


@pytest.mark.parametrize("validator", ["current", "debian"])
@pytest.mark.parametrize("modality", ["CT", "MR"])
@pytest.mark.parametrize("name", ["regular", "enhanced"])
def test_validators_find_no_fault_that_was_not_there_before(tmp_path, validator, modality, name):
    if not has_validator(validator):
        pytest.skip(f"the {validator} build of dciodvfy is not installed")
    kind = {"MR": {"ImageType": ["ORIGINAL", "PRIMARY", "OTHER"]}}.get(modality, {})
    tags = kind if name == "regular" else {}
    path = next(write_source(name, tmp_path / "in", modality, **tags).iterdir())
    deidentified(path, tmp_path / "clean")
    before, after = (complaints(file, validator) for file in (path, tmp_path / "clean" / path.name))
    assert set(after) <= set(before)
    assert after == [] or name == "enhanced"


def test_the_original_is_not_changed():
    header = marked()
    before = copy.deepcopy(header)
    result = deidentify(header, KEY)
    assert header == before
    result.Manufacturer = "another"
    for element in result.iterall():
        if element.VR == "CS":
            element.value = "X"
    assert header == before


@pytest.mark.parametrize(
    ("tags", "error"),
    [
        ({"BurnedInAnnotation": "YES"}, BurnedInAnnotation),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, SecondaryCapture),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7.2"}, SecondaryCapture),
        ({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, SecondaryCapture),
        ({"ConversionType": "DV"}, SecondaryCapture),
    ],
)
def test_pixels_that_may_identify_are_refused(tmp_path, tags, error):
    path = next(write_source("regular", tmp_path / "mr", **tags).iterdir())
    # Whatever the reader refuses for its pixels must not pass here.
    problems = [entry.problem for entry in index_folder(tmp_path / "mr").entries]
    assert all(isinstance(problem, error) for problem in problems)
    with pytest.raises(error, match=f"mr/{path.name}"):
        deidentify_file(path, tmp_path / "out.dcm", KEY, root=tmp_path)
    assert not (tmp_path / "out.dcm").exists()


def test_a_short_key_is_refused_and_not_repeated():
    with pytest.raises(ConfigError, match="16 bytes") as refused:
        deidentify(Dataset(), b"secret")
    assert "secret" not in str(refused.value)


def test_a_damaged_file_is_a_typed_error_without_its_values(tmp_path):
    (tmp_path / "a.dcm").write_bytes(b"MARKER" * 100)
    with pytest.raises(DamagedFile) as refused:
        deidentify_file(tmp_path / "a.dcm", tmp_path / "b.dcm", KEY)
    assert "MARKER" not in str(refused.value)


def test_a_text_in_the_place_of_a_number_or_a_code_does_not_stay(tmp_path):
    path = next(write_source("regular", tmp_path / "mr").iterdir())
    header = pydicom.dcmread(path)
    header.SliceThickness = "123456"
    with pydicom.config.disable_value_validation():
        header.PatientPosition = "MARKER of more than 16"
        header.save_as(path)
    path.write_bytes(path.read_bytes().replace(b"123456", b"MARKER"))
    assert path.read_bytes().count(b"MARKER") == 2
    result = deidentified(path, tmp_path / "clean")
    assert b"MARKER" not in (tmp_path / "clean" / path.name).read_bytes()
    assert result.PixelSpacing == [1, 1]
    assert result.ImageType == header.ImageType


def test_nothing_of_the_patient_is_logged_or_warned(tmp_path, caplog, recwarn):
    path = next(write_source("regular", tmp_path / "mr").iterdir())
    add_marks(path)
    recwarn.clear()
    with caplog.at_level(logging.DEBUG):
        deidentified(path, tmp_path / "clean")
    assert "MARKER" not in caplog.text
    assert not [warning for warning in recwarn if "MARKER" in str(warning.message)]


def test_invalid_values_are_not_quoted(tmp_path, recwarn):
    path = next(write_source("regular", tmp_path / "mr").iterdir())
    with pydicom.config.disable_value_validation():
        header = pydicom.dcmread(path)
        header.StudyInstanceUID = "MARKER"
        header.AccessionNumber = "MARKER" * 9
        header.save_as(path)
    recwarn.clear()
    deidentified(path, tmp_path / "clean")
    assert not list(recwarn)


REAL = [
    "dicom2nifti_siemens_anatomical_001",
    "dicom2nifti_ge_anatomical_001",
    "dicom2nifti_philips_enhanced_anatomical_001",
    "dicom2nifti_hitachi_anatomical_001",
]


@pytest.mark.parametrize("name", REAL)
def test_no_name_text_or_date_of_a_real_scan_is_left(medgan_data, tmp_path, name):
    files = sorted(path for path in (medgan_data / "dicom_zoo" / name).rglob("*") if path.is_file())
    path = next(path for path in files if pydicom.misc.is_dicom(path))
    original = pydicom.dcmread(path)
    deidentified(path, tmp_path)
    head = (tmp_path / path.name).read_bytes().partition(b"\xe0\x7f\x10\x00")[0]
    kept = {
        str(element.value)
        for element in original.iterall()
        if element.keyword in basic_profile().keep or element.VR in ("CS", "DS", "IS")
    }
    texts = {
        str(element.value)
        for element in original.iterall()
        if element.VR in ("DA", "DT", "LO", "LT", "PN", "SH", "ST", "TM", "UI", "UT")
        and not str(element.value).startswith("1.2.840.10008.")
        and len(str(element.value)) >= 8
    }
    assert texts - kept
    assert [text for text in texts - kept if text.encode("latin-1", "replace") in head] == []


def test_every_text_that_is_kept_is_about_machine_method_or_code():
    identifying = ("Patient", "Physician", "Name", "Institution", "Comments", "Date", "Address")
    allowed = {
        "AlgorithmName", "ManufacturerModelName", "MultiCoilElementName", "PulseSequenceName",
        "ReceiveCoilManufacturerName", "ReceiveCoilName", "SequenceName",
        "TransmitCoilManufacturerName", "TransmitCoilName",
    }  # fmt: skip
    suspicious = {k for k in basic_profile().keep if any(word in k for word in identifying)}
    assert suspicious == allowed
    assert all(keyword_for_tag(tag_for_keyword(k)) == k for k in suspicious)
    assert dictionary_VR("PatientName") in basic_profile().representations
