"""The listening side: who may connect, what is answered, and what is on the disk by then."""

import logging
import shutil
import socket
import subprocess
from contextlib import ExitStack

import pydicom
import pytest
from ports import free_port
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.sop_class import CTImageStorage, MRImageStorage, Verification

from medgan.errors import NetworkError
from medgan.node.config import PeerConfig, QueueConfig, ReceiveConfig, TlsConfig
from medgan.node.journal import Journal
from medgan.node.queue import Queue
from medgan.node.receiver import Receiver
from medgan.node.tls import client_context
from medgan.phantoms.dicom_slices import Uids, rescaled, stack, write_slices

HERE = PeerConfig(ae_title="SENDER", address="127.0.0.1")
ELSEWHERE = PeerConfig(ae_title="ELSEWHERE", address="10.0.0.0/8")


class Place:
    """A queue that a receiver fills."""

    def __init__(self, queue, journal, port):
        self.queue, self.journal, self.port = queue, journal, port

    def call(self, title="SENDER", called="MEDGAN", tls=None):
        entity = AE(title)
        entity.connection_timeout = 30
        for sop_class in (MRImageStorage, CTImageStorage, Verification):
            entity.add_requested_context(sop_class, ExplicitVRLittleEndian)
        tls_args = (client_context(tls), "localhost") if tls else None
        return entity.associate("127.0.0.1", self.port, ae_title=called, tls_args=tls_args)

    def send(self, dataset):
        association = self.call()
        try:
            return association.send_c_store(dataset)
        finally:
            association.release()


@pytest.fixture
def place(tmp_path, monkeypatch):
    # The command line of another test may have left a handler whose stream is closed.
    monkeypatch.setattr(logging.getLogger("medgan"), "handlers", [])
    with ExitStack() as opened:

        def make(max_gb=1.0, **changes):
            port = free_port()
            config = ReceiveConfig(port=port, **{"peers": (HERE, ELSEWHERE), **changes})
            limits = QueueConfig(folder=tmp_path / "queue", max_gb=max_gb, min_free_gb=0)
            queue = opened.enter_context(Queue.open(limits, "MR"))
            journal = Journal()
            receiver = Receiver(config, "MEDGAN", queue, journal)
            opened.enter_context(receiver.listening())
            return Place(queue, journal, port)

        yield make


@pytest.fixture
def images(tmp_path):
    paths = write_images(tmp_path / "mr", "MR")
    return [pydicom.dcmread(path) for path in paths]


def write_images(folder, modality):
    write_slices(rescaled(stack(slices=2, shape=(64, 64)), 1, 0), folder, modality, Uids("a", "b"))
    return sorted(folder.iterdir())


def test_an_instance_is_on_the_disk_when_success_is_answered(place, images):
    node = place()
    for count, image in enumerate(images, 1):
        assert node.send(image).Status == 0
        (item,) = node.queue.items()
        assert item.instances == count
        stored = [pydicom.dcmread(path) for path in node.queue.source(item.name).iterdir()]
        assert image in stored
        assert {file.file_meta.TransferSyntaxUID for file in stored} == {ExplicitVRLittleEndian}


def test_an_echo_is_answered(place):
    association = place().call()
    assert association.send_c_echo().Status == 0
    association.release()


@pytest.mark.parametrize(
    ("title", "called"), [("STRANGER", "MEDGAN"), ("ELSEWHERE", "MEDGAN"), ("SENDER", "OTHER")]
)
def test_who_is_no_peer_or_calls_another_node_is_refused(place, title, called):
    node = place()
    assert node.call(title, called).is_rejected
    assert node.call().is_established
    assert "STRANGER" not in str(node.journal.troubles())


def test_an_unknown_address_is_hung_up_on_before_it_says_anything(place):
    node = place(peers=(ELSEWHERE,))
    with socket.create_connection(("127.0.0.1", node.port), timeout=30) as connection:
        assert connection.recv(1) == b""


def test_another_modality_is_not_even_negotiated(place, tmp_path):
    association = place().call()
    with pytest.raises(ValueError, match="presentation context"):
        association.send_c_store(write_images(tmp_path / "ct", "CT")[0])
    association.release()


def test_a_data_set_that_is_not_what_the_command_says_is_refused(place, images):
    node = place()
    association = node.call()
    other = pydicom.dcmread(images[0].filename)
    other.SOPClassUID = CTImageStorage
    context = next(c for c in association.accepted_contexts if c.abstract_syntax == MRImageStorage)
    request = association.dimse
    assert store_as(request, context, other, MRImageStorage).Status == 0xA900
    del images[0].StudyInstanceUID
    assert node.send(images[0]).Status == 0xA900
    association.release()
    assert node.queue.items() == []


def store_as(dimse, context, dataset, sop_class):
    """A C-STORE whose command names another class than its data set."""
    from io import BytesIO

    from pynetdicom.dimse_primitives import C_STORE
    from pynetdicom.dsutils import encode

    request = C_STORE()
    request.MessageID, request.Priority = 1, 2
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = sop_class, "1.2.3"
    request.DataSet = BytesIO(encode(dataset, False, True))
    dimse.assoc._reactor_checkpoint.clear()
    dimse.send_msg(request, context.context_id)
    _, answer = dimse.get_msg(block=True)
    dimse.assoc._reactor_checkpoint.set()
    return answer


def test_a_full_queue_and_a_large_instance_are_refused_with_their_status(place, images, tmp_path):
    node = place(max_gb=12e-6)
    assert node.send(images[0]).Status == 0
    answer = node.send(images[1])
    assert (answer.Status, answer.ErrorComment) == (0xA700, "the queue is full")
    (item,) = node.queue.items()
    assert item.instances == 1


def test_a_large_instance_is_refused_and_a_huge_one_ends_the_connection(place, images):
    node = place(max_instance_mb=0.012)
    assert node.send(images[0]).Status == 0
    images[1].PixelData = bytes(14_000)
    assert node.send(images[1]).Status == 0xA700
    images[1].PixelData = bytes(40_000)
    assert node.send(images[1]).get("Status") != 0
    assert "far above max_instance_mb" in str(node.journal.troubles())
    (item,) = node.queue.items()
    assert item.instances == 1


def test_a_port_that_is_taken_is_an_error_with_a_remedy(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        config = ReceiveConfig(port=taken.getsockname()[1], peers=(HERE,))
        receiver = Receiver(config, "MEDGAN", Queue(QueueConfig(folder=tmp_path), "MR"), Journal())
        with pytest.raises(NetworkError, match="Choose another port"), receiver.listening():
            pass


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def certificate(folder, name, signer):
    """A certificate for localhost, signed by an authority of its own name."""
    ca, ca_key = folder / f"{signer}.pem", folder / f"{signer}.key"
    if not ca.exists():
        openssl(
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", ca_key, "-out", ca,
            "-days", 2, "-subj", f"/CN={signer}",
        )  # fmt: skip
    key, request, made = (folder / f"{name}.{ending}" for ending in ("key", "csr", "pem"))
    openssl(
        "req", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", request,
        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
    )  # fmt: skip
    openssl(
        "x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca_key, "-CAcreateserial",
        "-out", made, "-days", 2, "-copy_extensions", "copy",
    )  # fmt: skip
    return TlsConfig(certificate=made, key=key, ca=ca)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_with_certificates_only_their_owners_connect(place, images, tmp_path):
    ours = certificate(tmp_path, "node", "authority")
    friend = certificate(tmp_path, "friend", "authority")
    stranger = certificate(tmp_path, "stranger", "nobody").model_copy(update={"ca": ours.ca})
    node = place(tls=ours)
    association = node.call(tls=friend)
    assert association.send_c_store(images[0]).Status == 0
    association.release()
    assert not node.call(tls=stranger).is_established
    assert not node.call().is_established
    assert node.call(tls=friend).is_established
