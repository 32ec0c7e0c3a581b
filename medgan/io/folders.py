"""Folders that appear whole or not at all, and folders that one process has for itself."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from medgan.errors import OutputError
from medgan.io.files import output_errors


@contextmanager
def making_folder(path: Path, mark: str, *, overwrite: bool = False) -> Iterator[Path]:
    """Fill a folder under a temporary name beside its place and rename it at the end.

    When the ``with`` block raises, what was made is removed and what was there stays.

    Args:
        path: the folder to make; it may be there if it is empty.
        mark: a file, relative to the folder, that tells folders of the kind made here.
        overwrite: replace a folder that has ``mark``.

    Yields:
        An empty folder.

    Raises:
        OutputError: there is something already that must not be replaced, or the place cannot be
            written to.
    """
    _require_free(path, mark, overwrite=overwrite)
    temporary = path.with_name(f".{uuid4().hex[:12]}-{path.name}")
    old = temporary.with_name(f"{temporary.name}-old")
    try:
        with output_errors(path):
            temporary.mkdir()
        yield temporary
        with output_errors(path):
            if path.exists():
                # A folder cannot take the place of one that is not empty.
                path.replace(old)
            temporary.replace(path)
    finally:
        for leftover in (temporary, old):
            shutil.rmtree(leftover, ignore_errors=True)


def continued_folder(path: Path, records: str) -> Path:
    """Make a folder to fill bit by bit, or find the one that was begun.

    Args:
        path: the folder; it may be there if it is empty or was begun here.
        records: a folder in it, which tells folders begun here from those of others.

    Returns:
        The folder of records.

    Raises:
        OutputError: it holds what others put there, or cannot be written to.
    """
    made = path / records
    with output_errors(path):
        if path.is_dir() and any(path.iterdir()) and not made.is_dir():
            raise OutputError(
                "is a folder with files that medgan did not write",
                where=path,
                remedy="Name a new folder, or one to continue",
            )
        made.mkdir(parents=True, exist_ok=True)
    return made


@contextmanager
def held_folder(path: Path, who: str) -> Iterator[None]:
    """Have a folder that is there for oneself; the lock ends with the process at the latest.

    Args:
        path: the folder.
        who: what else may be at work in it, e.g. "another batch".

    Raises:
        OutputError: it is held already, or cannot be opened.
    """
    with output_errors(path):
        handle = os.open(path, os.O_RDONLY)
    try:
        _lock(handle, path, who)
        yield
    finally:
        os.close(handle)


def _lock(handle: int, path: Path, who: str) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise OutputError(
            f"{who} is at work in this folder",
            where=path,
            remedy="Wait for it to end or stop it, or choose another folder",
        ) from error
    except OSError:
        # Some network disks know no locks.
        pass


def _require_free(path: Path, mark: str, *, overwrite: bool) -> None:
    if path.is_dir() and not any(path.iterdir()):
        return
    if not (path.exists() or path.is_symlink()):
        return
    if not (path / mark).is_file():
        raise OutputError(
            "is there already, and is nothing that medgan would replace",
            where=path,
            remedy="Choose another name",
        )
    if not overwrite:
        raise OutputError(
            "is there already", where=path, remedy="Use --overwrite, or choose another name"
        )
