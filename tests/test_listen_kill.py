"""A node killed while it receives, translates and sends loses nothing and makes nothing twice."""

import signal
import time
from collections import defaultdict

import pydicom
import pytest
from listening import (
    PEERS,
    NodeProcess,
    page,
    phantom,
    settings,
    states,
    until,
    write_model,
    write_mr,
)
from ports import free_port
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.sop_class import CTImageStorage, MRImageStorage

KILL_AFTER = 5


@pytest.fixture
def archive():
    """A slow archive: its port, and the contents of every instance it was sent."""
    stored = defaultdict(set)
    port = free_port()

    def on_store(event):
        stored[event.request.AffectedSOPInstanceUID].add(event.encoded_dataset())
        time.sleep(0.2)
        return 0

    entity = AE("SLOW")
    entity.add_supported_context(CTImageStorage, ExplicitVRLittleEndian)
    server = entity.start_server(
        ("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, on_store)]
    )
    yield port, stored
    server.shutdown()


def send(files, port, acknowledged, stop_after=None):
    """C-STORE one file after the other; those that were acknowledged are noted."""
    entity = AE("SENDER")
    entity.add_requested_context(MRImageStorage, ExplicitVRLittleEndian)
    association = entity.associate("127.0.0.1", port, ae_title="MEDGAN")
    assert association.is_established
    for path in files[:stop_after]:
        if association.send_c_store(path).get("Status") == 0:
            acknowledged.add(path)
    if stop_after is None:
        association.release()
    return association


def uids(paths):
    return {pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID for path in paths}


@pytest.mark.slow
def test_kills_while_receiving_translating_and_sending_lose_nothing(archive, tmp_path):
    port, stored = archive
    http, dicom = free_port(), free_port()
    document = settings(
        write_model(tmp_path),
        tmp_path,
        http,
        receive={"port": dicom, "peers": PEERS},
        send={"store": {"ae_title": "SLOW", "address": "127.0.0.1", "port": port}},
    )
    document["queue"]["quiet_seconds"] = 5.0
    queue = tmp_path / "queue"
    files = sorted(write_mr(phantom(), tmp_path / "mr").iterdir())
    acknowledged = set()

    node = NodeProcess(document, tmp_path)
    send(files, dicom, acknowledged, stop_after=KILL_AFTER)
    assert node.end(signal.SIGKILL) == -signal.SIGKILL
    assert len(acknowledged) == KILL_AFTER
    assert uids(queue.glob("series/*/source/*.dcm")) == uids(acknowledged)

    node = NodeProcess(document, tmp_path)
    send([path for path in files if path not in acknowledged], dicom, acknowledged)
    assert len(acknowledged) == len(files)
    until(lambda: states(queue) == ["translating"], "it is being translated")
    assert node.end(signal.SIGKILL) == -signal.SIGKILL
    assert not stored

    node = NodeProcess(document, tmp_path)
    until(lambda: len(stored) == 3, "it is being sent")
    assert node.end(signal.SIGKILL) == -signal.SIGKILL
    assert states(queue) == ["sending"]

    node = NodeProcess(document, tmp_path)
    until(lambda: page(http)["counts"]["done"] == 1, "it is sent")
    assert node.end(signal.SIGTERM) == 0
    assert len(stored) == len(files)
    # What was sent again was the same, byte for byte: one series, each plane of it once.
    assert {len(contents) for contents in stored.values()} == {1}
    made = [pydicom.dcmread(path) for path in queue.glob("series/*/result/**/*.dcm")]
    assert {file.SOPInstanceUID for file in made} == set(stored)
    assert len({file.SeriesInstanceUID for file in made}) == 1
    said = node.log.read_text()
    assert "Traceback" not in said
    assert "Doe" not in said
    assert not any(file.SeriesInstanceUID in said or file.StudyInstanceUID in said for file in made)
