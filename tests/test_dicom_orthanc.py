"""An archive takes what is written and gives it back unchanged."""

import numpy as np
import orthanc
import pydicom
import pytest
from dicom_tools import DERIVATION, source, synthetic
from pydicom.uid import ExplicitVRLittleEndian

from medgan.io.dicom.write import write_derived, write_parametric_map

pytestmark = pytest.mark.skipif(orthanc.why_not() is not None, reason=str(orthanc.why_not()))


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    with orthanc.running_orthanc(tmp_path_factory.mktemp("orthanc")) as running:
        yield running


def store(archive, paths):
    """C-STORE every file; the status of each."""
    from pynetdicom import AE

    files = [pydicom.dcmread(path) for path in paths]
    entity = AE()
    for sop_class in {file.SOPClassUID for file in files}:
        entity.add_requested_context(sop_class, ExplicitVRLittleEndian)
    association = entity.associate("127.0.0.1", archive.dicom_port)
    assert association.is_established
    try:
        return [association.send_c_store(file).Status for file in files]
    finally:
        association.release()


def retrieve(archive, header):
    """The instances of a series by DICOMweb, in order of their position."""
    from dicomweb_client import DICOMwebClient

    client = DICOMwebClient(archive.dicomweb)
    found = client.retrieve_series(header.StudyInstanceUID, header.SeriesInstanceUID)
    return sorted(found, key=lambda instance: int(instance.InstanceNumber))


@pytest.mark.parametrize("name", ["oblique", "enhanced"])
def test_a_synthetic_ct_comes_back_in_its_frame_of_reference(archive, tmp_path, name):
    series = source(
        name, tmp_path / "mr", PatientName="Grün^Zoë", SpecificCharacterSet="ISO_IR 100"
    )
    volume = synthetic(series)
    paths = write_derived(volume, series, tmp_path / "ct", DERIVATION)
    assert set(store(archive, paths)) == {0}
    sent = [pydicom.dcmread(path) for path in paths]
    back = retrieve(archive, sent[0])
    assert len(back) == len(sent)
    for ours, theirs in zip(sent, back, strict=True):
        assert theirs.FrameOfReferenceUID == series.volume.frame_of_reference
        assert {element.tag: element.value for element in theirs} == {
            element.tag: element.value for element in ours
        }
    stored = np.stack([instance.pixel_array.T for instance in back], axis=2)
    np.testing.assert_array_equal(stored, np.rint(volume.array))


def test_source_and_synthetic_ct_are_one_study(archive, tmp_path):
    series = source("regular", tmp_path / "mr")
    paths = write_derived(synthetic(series), series, tmp_path / "ct", DERIVATION)
    store(archive, [*(plane.path for plane in series.planes), *paths])
    study = pydicom.dcmread(paths[0]).StudyInstanceUID
    studies = [archive.get(f"/studies/{key}") for key in archive.get("/studies")]
    (found,) = [s for s in studies if s["MainDicomTags"]["StudyInstanceUID"] == study]
    assert len(found["Series"]) == 2


def test_storing_the_same_work_twice_leaves_one_of_each_instance(archive, tmp_path):
    series = source("sagittal", tmp_path / "mr")
    store(archive, write_derived(synthetic(series), series, tmp_path / "a", DERIVATION))
    before = archive.get("/statistics")["CountInstances"]
    store(archive, write_derived(synthetic(series), series, tmp_path / "b", DERIVATION))
    assert archive.get("/statistics")["CountInstances"] == before


def test_a_parametric_map_is_taken(archive, tmp_path):
    series = source("regular", tmp_path / "mr")
    values = series.volume.with_array(np.random.default_rng(0).random(series.volume.shape))
    path = tmp_path / "map.dcm"
    write_parametric_map(values, series, path, DERIVATION, label="attention")
    assert store(archive, [path]) == [0]
    (back,) = retrieve(archive, pydicom.dcmread(path))
    assert back.FloatPixelData == pydicom.dcmread(path).FloatPixelData
