"""Weights of feature networks: downloaded once, checked, or put by hand."""

import threading
from collections.abc import Iterator
from functools import partial
from hashlib import sha256
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from feature_networks import Standard, scripted

from medgan.errors import FileError
from medgan.metrics import features, weights
from medgan.metrics.features import extractor_named
from medgan.metrics.weights import fetch_weights


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """A folder ``tmp_path / "served"`` on loopback; its address."""
    (tmp_path / "served").mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

    handler = partial(Quiet, directory=str(tmp_path / "served"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


def test_inception_is_downloaded_once_and_checked(
    tmp_path: Path, server: str, weights_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = scripted(Standard(), tmp_path / "served" / "inception.pt")
    digest = sha256(served.read_bytes()).hexdigest()
    monkeypatch.setattr(features, "INCEPTION_URL", f"{server}/inception.pt")
    monkeypatch.setattr(features, "INCEPTION_SHA256", digest)
    assert extractor_named("inception").facts.hash == digest
    assert [path.name for path in weights_cache.iterdir()] == ["inception.pt"]
    by_path = extractor_named(str(served))
    served.unlink()
    assert extractor_named("inception").facts == by_path.facts
    assert by_path.facts.name == "inception"


def test_a_download_of_other_contents_is_refused_and_not_kept(
    tmp_path: Path, server: str, weights_cache: Path
) -> None:
    (tmp_path / "served" / "inception.pt").write_bytes(b"something else")
    with pytest.raises(FileError, match="SHA-256 differs") as caught:
        fetch_weights(f"{server}/inception.pt", "0" * 64)
    assert caught.value.measured == sha256(b"something else").hexdigest()
    assert list(weights_cache.iterdir()) == []


def test_without_a_connection_the_error_says_what_to_put_where(weights_cache: Path) -> None:
    url = "http://127.0.0.1:9/inception-2015-12-05.pt"
    with pytest.raises(FileError, match="cannot be downloaded") as caught:
        fetch_weights(url, "0" * 64)
    assert f"download {url} and put it at {weights_cache / 'inception-2015-12-05.pt'}" in str(
        caught.value
    )
    assert list(weights_cache.iterdir()) == []


def test_weights_put_by_hand_are_checked_too(weights_cache: Path) -> None:
    path = weights.weights_folder() / "net.pt"
    path.write_bytes(b"damaged")
    with pytest.raises(FileError, match="Delete it") as caught:
        fetch_weights("http://127.0.0.1:9/net.pt", "0" * 64)
    assert caught.value.where == str(path)
