"""A node beside a real archive: MR comes in by either way, the synthetic CT is found there."""

import numpy as np
import orthanc
import pydicom
import pytest
from listening import (
    STORESCU,
    page,
    phantom,
    running_node,
    settings,
    store,
    until,
    write_mr,
)

from medgan.inference.translator import Translator

pytestmark = pytest.mark.skipif(
    orthanc.why_not() is not None or STORESCU is None,
    reason=str(orthanc.why_not() or "storescu is not installed (Debian: dcmtk)"),
)


@pytest.fixture(scope="module")
def head():
    return phantom()


@pytest.fixture
def archive(tmp_path):
    (tmp_path / "orthanc").mkdir()
    with orthanc.running_orthanc(tmp_path / "orthanc") as running:
        yield running


def series_of(archive, modality):
    """The series of a modality in the archive, each as its headers in order of position."""
    from dicomweb_client import DICOMwebClient

    client = DICOMwebClient(archive.dicomweb)
    found = []
    for answer in client.search_for_series(search_filters={"Modality": modality}):
        study, series = (answer[tag]["Value"][0] for tag in ("0020000D", "0020000E"))
        headers = client.retrieve_series(study, series)
        found.append(sorted(headers, key=lambda header: int(header.InstanceNumber)))
    return found


def test_a_study_sent_by_storescu_gains_a_synthetic_ct_in_the_archive(
    head, archive, tiny_run, tmp_path
):
    http, dicom = orthanc.free_port(), orthanc.free_port()
    document = settings(
        tiny_run,
        tmp_path,
        http,
        receive={"port": dicom, "peers": [{"ae_title": "SENDER", "address": "127.0.0.1"}]},
        send={"store": {"ae_title": "ORTHANC", "address": "127.0.0.1", "port": archive.dicom_port}},
    )
    folder = write_mr(head, tmp_path / "mr")
    with running_node(document):
        assert store(folder, dicom) == 0
        until(lambda: page(http)["counts"]["done"] == 1, "the series is sent")
    (made,) = series_of(archive, "CT")
    source = [pydicom.dcmread(path) for path in sorted(folder.iterdir())]
    assert len(made) == len(source)
    for ours, theirs in zip(source, made, strict=True):
        assert theirs.SyntheticData == "YES"
        for keyword in ("StudyInstanceUID", "FrameOfReferenceUID", "PatientName", "PatientID"):
            assert theirs[keyword].value == ours[keyword].value
        np.testing.assert_allclose(theirs.ImagePositionPatient, ours.ImagePositionPatient)
