"""The sending side: tried again after growing pauses, and given up in the end."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import pairwise

import pytest
from ports import free_port
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.sop_class import CTImageStorage

from medgan.errors import ConfigError, NetworkError
from medgan.node import sender as sender_module
from medgan.node.config import QueueConfig, SendConfig, StoreConfig, WebConfig
from medgan.node.destinations import Stopped, StoreArchive, WebArchive
from medgan.node.journal import Journal
from medgan.node.queue import Queue
from medgan.node.sender import Sender
from medgan.phantoms.dicom_slices import Uids, rescaled, stack, write_slices

CONFIG = SendConfig(
    store=StoreConfig(ae_title="PACS", address="127.0.0.1", port=1),
    first_pause_seconds=10.0,
    longest_pause_seconds=60.0,
)


def written(folder, modality):
    images = rescaled(stack(slices=2, shape=(8, 8)), 1, 0)
    write_slices(images, folder, modality, Uids("series", "study"))
    return sorted(folder.iterdir())


class Archive:
    """Fails as often as it is told to, then stores."""

    def __init__(self, name, failures=0, error=None):
        self.name, self.failures, self.sent = name, failures, []
        self.error = error or NetworkError("no answer")

    def send(self, files, stopping):
        if self.failures:
            self.failures -= 1
            raise self.error
        self.sent += [path.name for path in files]


class Clock:
    """``time`` of the sender, moved by the test."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now

    def time(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(sender_module, "time", clock)
    return clock


@pytest.fixture
def queue(tmp_path):
    with Queue.open(QueueConfig(folder=tmp_path / "queue", min_free_gb=0), "MR") as queue:
        yield queue


@pytest.fixture
def ready(queue, slices):
    """A series that is to be sent, since now."""
    item = queue.receive(slices[0].read_bytes())
    folder = queue.result(item.name) / "synthetic_ct"
    folder.mkdir(parents=True)
    for name in ("0001.dcm", "0002.dcm"):
        (folder / name).touch()
    return queue.advance(item, "sending")


@pytest.fixture
def slices(tmp_path):
    write_slices(
        rescaled(stack(slices=3, shape=(8, 8)), 1, 0), tmp_path / "in", "MR", Uids("a", "b")
    )
    return sorted((tmp_path / "in").iterdir())


def sender(queue, *archives, stopping=lambda: False):
    return Sender(CONFIG, archives, queue, Journal(), stopping)


def test_pauses_double_up_to_a_limit(queue, ready, clock):
    archive = Archive("store", failures=5)
    sending = sender(queue, archive)
    clock.now = ready.since
    tries = []
    while queue.items("sending"):
        before = archive.failures
        sending.step()
        if archive.failures != before or archive.sent:
            tries.append(clock.now - ready.since)
        clock.now += 1
    pauses = [b - a for a, b in pairwise(tries)]
    assert pauses == [10, 20, 40, 60, 60]
    assert archive.sent == ["0001.dcm", "0002.dcm"]
    (item,) = queue.items()
    assert (item.state, item.error) == ("done", "")


def test_an_archive_that_has_a_result_does_not_get_it_again_while_another_fails(
    queue, ready, clock
):
    clock.now = ready.since
    first, second = Archive("store"), Archive("web", failures=1)
    sending = sender(queue, first, second)
    sending.step()
    assert queue.items()[0].sent == ("store",)
    assert queue.items()[0].error == "no answer"
    clock.now += 10
    sending.step()
    assert (first.sent, second.sent) == (["0001.dcm", "0002.dcm"],) * 2
    assert queue.items()[0].state == "done"


def test_what_cannot_be_sent_for_long_has_failed(queue, ready, clock):
    sending = sender(queue, Archive("store", failures=9))
    clock.now = ready.since + 72 * 3600 - 1
    sending.step()
    assert queue.items()[0].state == "sending"
    clock.now += 60
    sending.step()
    (item,) = queue.items()
    assert (item.state, item.error) == ("failed", "no answer")


def test_an_error_that_nobody_foresaw_is_told_without_its_message(queue, ready, clock):
    clock.now = ready.since
    sending = sender(queue, Archive("store", 1, KeyError("Doe^Jane")))
    sending.step()
    assert "KeyError" in queue.items()[0].error
    assert "Doe" not in queue.items()[0].error + str(sending.journal.troubles())


def test_a_stop_leaves_the_series_to_be_sent(queue, ready):
    sender(queue, Archive("store", 1, Stopped())).step()
    assert queue.items()[0] is ready


def test_a_result_that_changed_while_it_was_sent_is_not_done(queue, ready, slices):
    class Slow(Archive):
        def send(self, files, stopping):
            queue.receive(slices[1].read_bytes())

    sender(queue, Slow("store")).step()
    assert queue.items()[0].state == "receiving"


@contextmanager
def archive_that_answers(status, port, title="PACS"):
    entity = AE(title)
    entity.add_supported_context(CTImageStorage, ExplicitVRLittleEndian)
    entity.require_called_aet = True
    handlers = [(evt.EVT_C_STORE, lambda event: status)]
    server = entity.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)
    try:
        yield
    finally:
        server.shutdown()


@pytest.fixture
def made(tmp_path):
    write_slices(
        rescaled(stack(slices=2, shape=(8, 8)), 1, 0), tmp_path / "ct", "CT", Uids("ct", "b")
    )
    return sorted((tmp_path / "ct").iterdir())


@pytest.mark.parametrize(
    ("status", "title", "message"),
    [
        (0xA700, "PACS", "refuses an instance .measured status A700"),
        (0x0000, "OTHER", "refuses the connection"),
        (None, "PACS", "cannot be reached"),
        (0xB000, "PACS", None),
    ],
)
def test_an_archive_has_a_result_or_an_error_says_why_not(made, status, title, message):
    port = free_port()
    archive = StoreArchive(
        StoreConfig(ae_title="PACS", address="127.0.0.1", port=port), "MEDGAN", "CT"
    )
    if status is None:
        with pytest.raises(NetworkError, match=message):
            archive.send(made, lambda: False)
        return
    with archive_that_answers(status, port, title):
        if message is None:
            archive.send(made, lambda: False)
            return
        with pytest.raises(NetworkError, match=message):
            archive.send(made, lambda: False)


@contextmanager
def web_server(code, document):
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            body = json.dumps(document).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/dicom+json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/dicom-web"
    finally:
        server.shutdown()
        server.server_close()


FAILED = {"00081198": {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": ["1.2.3"]}}]}}


@pytest.mark.parametrize(
    ("code", "document", "message"),
    [
        (500, {}, "answers with an error .measured 500"),
        (202, FAILED, "refuses instances .measured 1 of 2"),
        (200, [], "cannot be understood"),
        (200, {}, None),
    ],
)
def test_a_web_archive_has_a_result_or_an_error_says_why_not(made, code, document, message):
    with web_server(code, document) as url:
        archive = WebArchive(WebConfig(url=url))
        if message is None:
            archive.send(made, lambda: False)
            return
        with pytest.raises(NetworkError, match=message) as caught:
            archive.send(made, lambda: False)
        assert "1.2." not in str(caught.value)


def test_a_password_comes_from_the_environment_only(monkeypatch):
    config = WebConfig(url="http://127.0.0.1/x", user="node", password_variable="MEDGAN_TEST")
    monkeypatch.delenv("MEDGAN_TEST", raising=False)
    with pytest.raises(ConfigError, match="MEDGAN_TEST"):
        WebArchive(config)
    monkeypatch.setenv("MEDGAN_TEST", "secret")
    assert WebArchive(config)._client._session.auth == ("node", "secret")
    with pytest.raises(ValueError, match="user"):
        WebConfig(url="http://node:secret@127.0.0.1/x")
