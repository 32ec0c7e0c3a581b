"""A node beside a real archive: MR comes in by either way, the synthetic CT is found there."""

import json
import logging
import urllib.error
import urllib.request

import numpy as np
import orthanc
import pydicom
import pytest
from listening import (
    PEERS,
    STORESCU,
    page,
    phantom,
    running_node,
    settings,
    store,
    until,
    write_model,
    write_mr,
)
from ports import free_port

pytestmark = pytest.mark.skipif(
    orthanc.why_not() is not None or STORESCU is None,
    reason=str(orthanc.why_not() or "storescu is not installed (Debian: dcmtk)"),
)


@pytest.fixture(scope="module")
def head():
    return phantom()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def archive(tmp_path):
    (tmp_path / "orthanc").mkdir()
    with orthanc.running_orthanc(tmp_path / "orthanc") as running:
        yield running


def series_of(archive, modality):
    """The series of a modality in the archive, each as its instances in order of position."""
    from dicomweb_client import DICOMwebClient

    client = DICOMwebClient(archive.dicomweb)
    found = []
    for answer in client.search_for_series(search_filters={"Modality": modality}):
        study, series = (answer[tag]["Value"][0] for tag in ("0020000D", "0020000E"))
        instances = client.retrieve_series(study, series)
        found.append(sorted(instances, key=lambda instance: int(instance.InstanceNumber)))
    return found


def push(archive, port):
    """Let the archive send all that it holds to the node, as its user would."""
    place = f"http://127.0.0.1:{archive.http_port}/modalities/medgan"
    node = {"AET": "MEDGAN", "Host": "127.0.0.1", "Port": port}
    for method, path, body in (("PUT", "", node), ("POST", "/store", archive.get("/series"))):
        data = json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(place + path, data, method=method)):
            pass


def require_synthetic_ct_of(folder, made):
    """One plane for each of the source's, in its study, at its place."""
    source = [pydicom.dcmread(path) for path in sorted(folder.iterdir())]
    assert len(made) == len(source)
    for ours, theirs in zip(source, made, strict=True):
        assert (theirs.Modality, theirs.SyntheticData) == ("CT", "YES")
        for keyword in ("StudyInstanceUID", "FrameOfReferenceUID", "PatientName", "PatientID"):
            assert theirs[keyword].value == ours[keyword].value
        np.testing.assert_allclose(theirs.ImagePositionPatient, ours.ImagePositionPatient)
        assert theirs.SourceImageSequence[0].ReferencedSOPInstanceUID == ours.SOPInstanceUID


def test_what_storescu_sends_gains_a_synthetic_ct_and_what_is_broken_fails_alone(
    head, model, archive, tmp_path, caplog
):
    caplog.set_level(logging.INFO)
    http, dicom = free_port(), free_port()
    document = settings(
        model,
        tmp_path,
        http,
        series="min_slices=8",
        receive={
            "port": dicom,
            "peers": [*PEERS, {"ae_title": "ORTHANC", "address": "127.0.0.0/8"}],
        },
        send={"store": {"ae_title": "ORTHANC", "address": "127.0.0.1", "port": archive.dicom_port}},
    )
    good = write_mr(head, tmp_path / "good", "good")
    broken = write_mr(head, tmp_path / "broken", "broken")
    (broken / "0009.dcm").unlink()
    scout = write_mr(head, tmp_path / "scout", "scout")
    for path in sorted(scout.iterdir())[3:]:
        path.unlink()
    with running_node(document):
        assert store(good, dicom, title="STRANGER") != 0
        assert page(http)["series"] == []
        assert store(scout, archive.dicom_port, called="ORTHANC") == 0
        push(archive, dicom)
        for folder in (broken, good):
            assert store(folder, dicom) == 0
        shown = until(
            lambda: (seen := page(http))["counts"]["done"] == 2 and seen, "all are done with"
        )
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"http://127.0.0.1:{http}/series")
    said = str(shown) + caplog.text
    (made,) = series_of(archive, "CT")
    require_synthetic_ct_of(good, made)
    assert shown["counts"]["failed"] == 1
    by_state = {item["state"]: item for item in shown["series"] if not item["note"]}
    assert "slices are missing" in by_state["failed"]["error"]
    assert by_state["done"]["sent"] == ["store"]
    (aside,) = [item for item in shown["series"] if item["note"]]
    assert aside["note"].startswith("left aside: ")
    assert (aside["state"], aside["sent"]) == ("done", [])
    for folder in (good, broken, scout):
        header = pydicom.dcmread(next(folder.iterdir()))
        for keyword in ("PatientName", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
            assert str(header[keyword].value) not in said
    assert "Doe" not in said


def test_what_lies_on_a_dicomweb_server_is_fetched_once_and_its_synthetic_ct_stored_there(
    head, model, archive, tmp_path
):
    http = free_port()
    wanted = write_mr(head, tmp_path / "wanted", "one", patient_id="4711")
    other = write_mr(head, tmp_path / "other", "two", patient_id="4712")
    for folder in (wanted, other):
        assert store(folder, archive.dicom_port, called="ORTHANC") == 0
    document = settings(
        model,
        tmp_path,
        http,
        fetch={
            "url": archive.dicomweb,
            "filters": {"PatientID": "4711"},
            "days": None,
            "interval_seconds": 0.2,
        },
        send={"web": {"url": archive.dicomweb}},
    )
    with running_node(document):
        (item,) = until(
            lambda: (seen := page(http))["counts"]["done"] and seen["series"], "it is sent"
        )
    assert item["instances"] == item["expected"] == len(list(wanted.iterdir()))
    with running_node(document):
        until(lambda: page(http)["uptime_seconds"] > 3, "it has looked again")
        assert page(http)["series"] == [item]
    (made,) = series_of(archive, "CT")
    require_synthetic_ct_of(wanted, made)
    # Fetched as the server has it: not an element is changed on the way.
    queue = tmp_path / "queue" / "series" / item["name"] / "source"
    ours = {file.SOPInstanceUID: file for file in map(pydicom.dcmread, wanted.iterdir())}
    fetched = {file.SOPInstanceUID: file for file in map(pydicom.dcmread, queue.iterdir())}
    assert fetched == ours
