"""Weights of feature extractors: where they lie, whether they are the right ones."""

import hashlib
import logging
import os
import shutil
from http.client import HTTPException
from pathlib import Path
from urllib.request import urlopen

from medgan.errors import FileError
from medgan.io.files import output_errors, writing

_TIMEOUT_S = 30

_log = logging.getLogger(__name__)


def weights_folder() -> Path:
    """The folder ``weights`` in the cache (MEDGAN_CACHE, else ``~/.cache/medgan``), made if new.

    Raises:
        OutputError: it cannot be made.
    """
    cache = Path(os.environ.get("MEDGAN_CACHE") or Path.home() / ".cache" / "medgan")
    folder = cache / "weights"
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, 64 hexadecimal digits.

    Raises:
        FileError: missing or unreadable.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise FileError("the weights cannot be read", where=path) from error


def fetch_weights(url: str, sha256: str) -> Path:
    """A file of the weights folder, downloaded the first time.

    Args:
        url: where it is published; its last part is the name of the file.
        sha256: what it must hash to.

    Raises:
        FileError: it cannot be downloaded, or is another file.
        OutputError: it cannot be written.
    """
    path = weights_folder() / url.rsplit("/", 1)[-1]
    if not path.exists():
        _download(url, sha256, path)
    _require_hash(path, sha256, where=path, remedy=f"Delete it, or put the file of {url} there")
    return path


def _download(url: str, sha256: str, path: Path) -> None:
    remedy = f"On a machine with a connection, download {url} and put it at {path}"
    _log.info("downloading %s", url)
    try:
        with urlopen(url, timeout=_TIMEOUT_S) as response, writing(path) as temporary:
            with temporary.open("wb") as file:
                shutil.copyfileobj(response, file)
            _require_hash(temporary, sha256, where=url, remedy=remedy)
    except (OSError, HTTPException) as error:
        raise FileError("the weights cannot be downloaded", where=url, remedy=remedy) from error


def _require_hash(path: Path, sha256: str, *, where: object, remedy: str) -> None:
    found = sha256_of(path)
    if found != sha256:
        raise FileError(
            "not the published weights: the SHA-256 differs",
            where=where,
            measured=found,
            limit=sha256,
            remedy=remedy,
        )
