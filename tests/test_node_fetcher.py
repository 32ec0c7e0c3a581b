"""The fetching side beside a stand-in for a DICOMweb server: what it gives is bounded."""

import json
import logging
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pydicom
import pytest
from listening import phantom, write_mr

from medgan.node.config import FetchConfig, QueueConfig
from medgan.node.fetcher import Fetcher
from medgan.node.journal import Journal
from medgan.node.queue import Queue

BEGIN = b"--part\r\nContent-Type: application/dicom\r\n\r\n"
PIECE = bytes(1_000_000)


class Handler(BaseHTTPRequestHandler):
    """One series; ``server.endless`` adds an instance that has no end."""

    def log_message(self, *_):
        pass

    def do_GET(self):
        url = urlsplit(self.path)
        if url.path.endswith("/series"):
            self._begin("application/dicom+json")
            # what there is fits on the first page of answers
            later = parse_qs(url.query).get("offset", ["0"]) != ["0"]
            self.wfile.write(json.dumps([] if later else [self._series()]).encode())
            return
        self._begin('multipart/related; type="application/dicom"; boundary=part')
        for path in self.server.paths:
            self.wfile.write(BEGIN + path.read_bytes() + b"\r\n")
        if not self.server.endless:
            self.wfile.write(b"--part--\r\n")
            return
        self.wfile.write(BEGIN)
        try:
            for _ in range(200):
                self.wfile.write(PIECE)
                self.server.sent += len(PIECE)
        except OSError:
            pass

    def _begin(self, kind):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()

    def _series(self):
        first = pydicom.dcmread(self.server.paths[0])
        answer = pydicom.Dataset()
        answer.StudyInstanceUID, answer.SeriesInstanceUID = (
            first.StudyInstanceUID,
            first.SeriesInstanceUID,
        )
        answer.NumberOfSeriesRelatedInstances = len(self.server.paths) + self.server.endless
        return answer.to_json_dict()


@pytest.fixture
def server(tmp_path):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.paths = sorted(write_mr(phantom(), tmp_path / "series").glob("*.dcm"))
    server.endless, server.sent = False, 0
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def fetched(server, tmp_path, monkeypatch):
    # The command line of another test may have left a handler whose stream is closed.
    monkeypatch.setattr(logging.getLogger("medgan"), "handlers", [])
    limits = QueueConfig(folder=tmp_path / "queue", quiet_seconds=0.001, min_free_gb=0)
    with Queue.open(limits, "MR") as queue:

        def fetch(max_instance_mb):
            config = FetchConfig(
                url=f"http://127.0.0.1:{server.server_port}", max_instance_mb=max_instance_mb
            )
            fetcher = Fetcher(config, queue, Journal(), lambda: False)
            # the first look notes how many there are, the second finds as many
            fetcher.step()
            fetcher.step()
            (series,) = fetcher.look()
            return queue.get(series.name)

        yield fetch


def test_how_many_series_match_is_said_once(fetched, caplog):
    with caplog.at_level(logging.INFO, "medgan.node.fetcher"):
        fetched(max_instance_mb=100)
    said = [record.message for record in caplog.records if record.message.startswith("fetch: ")]
    assert said == ["fetch: 1 MR series match, of the last 2 days"]


def test_a_series_within_the_limit_is_fetched_whole(server, fetched):
    largest = max(path.stat().st_size for path in server.paths) / 1e6
    item = fetched(max_instance_mb=largest * 1.1)
    assert item.state == "receiving", item.error
    assert item.instances == len(server.paths) == item.expected


def test_an_instance_above_the_limit_fails_its_series_by_name(server, fetched):
    smallest = min(path.stat().st_size for path in server.paths) / 1e6
    item = fetched(max_instance_mb=smallest * 0.9)
    assert item.state == "failed"
    assert "an instance is too large" in item.error


def test_an_instance_without_an_end_is_given_up_before_memory_ends(server, fetched):
    server.endless = True
    item = fetched(max_instance_mb=4)
    assert item.state == "failed"
    assert "an instance is too large" in item.error
    # twice the limit, and what connections hold between sender and taker
    assert server.sent < 40e6
    assert item.instances == len(server.paths)
