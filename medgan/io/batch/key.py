"""The secret that pseudonyms are derived with."""

import os
import secrets
from pathlib import Path

from medgan.errors import ConfigError, FileError
from medgan.io.dicom.deidentify import SHORTEST_KEY
from medgan.io.files import output_errors

_MAKE_ONE = "Make one, e.g. with: head -c 32 /dev/urandom > key"


def read_key(path: Path) -> bytes:
    """Read a key from a file.

    Raises:
        FileError: no such file, or it cannot be opened.
        ConfigError: too short to keep anything secret.
    """
    try:
        key = path.read_bytes()
    except OSError as error:
        raise FileError(
            "cannot be read", where=path, measured=error.strerror, remedy=_MAKE_ONE
        ) from error
    if len(key) < SHORTEST_KEY:
        raise ConfigError(
            "the key is too short",
            where=path,
            measured=f"{len(key)} bytes",
            limit=f"{SHORTEST_KEY} or more",
            remedy=_MAKE_ONE,
        )
    return key


def own_key() -> bytes:
    """This user's key, made at first use, away from what is de-identified with it.

    It lies in ``medgan/deidentification.key`` in ``XDG_CONFIG_HOME``, which is ``~/.config`` where
    it is not set, and only its owner may read it.

    Raises:
        OutputError: it cannot be made.
    """
    home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    path = Path(home) / "medgan" / "deidentification.key"
    with output_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return read_key(path)
        with os.fdopen(handle, "wb") as stream:
            stream.write(secrets.token_bytes(32))
    return read_key(path)
