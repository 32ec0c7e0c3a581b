"""Files whole or not at all: listed without passing any over, written so that no half is left."""

import errno
import hashlib
import json
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any
from uuid import uuid4

from medgan.errors import DataError, OutputError

_REMEDIES = {
    errno.ENOSPC: "Free some space on this disk or write elsewhere",
    errno.EDQUOT: "Your quota is used up: free some space or write elsewhere",
    errno.EFBIG: "This disk or your account takes no file of this size: write elsewhere",
    errno.EACCES: "Check the permissions of this folder or write elsewhere",
    errno.EPERM: "Check the permissions of this folder or write elsewhere",
    errno.EROFS: "This disk is read-only: write elsewhere",
    errno.ENOENT: "Create the folder first",
    errno.ENOTDIR: "Choose a path whose parent is a folder",
    errno.EISDIR: "This is a folder: give the name of a file",
    errno.ENAMETOOLONG: "Choose a shorter name",
}


_TEMPORARY = re.compile(r"\.[0-9a-f]{12}-")


@contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Write under a temporary name in the same folder and rename at the end.

    Inside the ``with`` block, create the file at the path given. When the block ends it is flushed
    to the disk and takes the place of ``path``; when the block raises it is removed. A device or a
    pipe is written into instead.

    Args:
        path: the file to make or replace.

    Yields:
        A path that does not exist yet, with the same suffixes as ``path``.

    Raises:
        OutputError: no such folder, no permission, disk full, read-only file system.
    """
    target = Path(path)
    place = _through_a_copy if _is_special(target) else _beside
    with output_errors(target), place(target) as temporary:
        yield temporary


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    temporary = target.with_name(f".{uuid4().hex[:12]}-{target.name}")
    try:
        if not target.parent.is_dir():
            raise FileNotFoundError(errno.ENOENT, "no such folder", str(target.parent))
        yield temporary
        settle(temporary, target)
    finally:
        # The folder itself may be unreadable, which has been reported by then.
        if os.access(target.parent, os.X_OK):
            temporary.unlink(missing_ok=True)


@contextmanager
def _through_a_copy(target: Path) -> Iterator[Path]:
    with TemporaryDirectory() as folder:
        temporary = Path(folder) / target.name
        yield temporary
        with temporary.open("rb") as made, target.open("wb") as out:
            shutil.copyfileobj(made, out)


def _is_special(path: Path) -> bool:
    """Whether this is a device or a pipe, such as /dev/null, whose place no file must take."""
    return path.exists() and not path.is_file() and not path.is_dir()


def content_sha256(path: Path) -> str:
    """Hash of a file's content, or of all contents below a folder, whatever the files are called.

    Raises:
        OSError: a file cannot be read.
    """
    if path.is_dir():
        contents = sorted(content_sha256(file) for file in files_below(path)[0] if file.is_file())
        return hashlib.sha256("".join(contents).encode()).hexdigest()
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def files_below(folder: Path) -> tuple[list[Path], list[OSError]]:
    """Find every file below a folder.

    Args:
        folder: searched through and through; links are listed but not followed.

    Returns:
        Files and links, sorted; and why a folder or file could not be looked at, its path in
        ``filename``.
    """
    found: list[Path] = []
    faults: list[OSError] = []
    for place, folders, names in os.walk(folder, onerror=faults.append):
        for path in (Path(place, name) for name in (*folders, *names)):
            try:
                mode = path.lstat().st_mode
            except OSError as error:
                faults.append(error)
                continue
            if stat.S_ISREG(mode) or stat.S_ISLNK(mode):
                found.append(path)
    return sorted(found), faults


def shown(text: str | os.PathLike[str]) -> str:
    r"""A name, or a text with names in it, that can be printed and written whatever its bytes.

    Names of files are bytes; those that are not UTF-8 become escapes such as ``\xfc``.
    """
    return os.fsencode(text).decode("utf-8", "backslashreplace")


def require_writable(path: str | os.PathLike[str]) -> None:
    """Refuse a target that cannot be written before hours are spent on what goes into it.

    Nothing is left behind, and a file that is there already is not touched.

    Raises:
        OutputError: a folder, or in a folder that is missing or takes no new file.
    """
    target = Path(path)
    with output_errors(target):
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, "is a folder", str(target))
        if not _is_special(target):
            TemporaryFile(dir=target.parent).close()


def remove_strays(folder: Path) -> None:
    """Remove what ``writing`` left behind in a folder and below when it was killed."""
    for path in folder.rglob(".*"):
        if _TEMPORARY.match(path.name):
            path.unlink(missing_ok=True)


@contextmanager
def output_errors(target: Path) -> Iterator[None]:
    """Turn what the system says about a file being written into an OutputError.

    Raises:
        OutputError: for an OSError of the kind a user can mend; others pass unchanged.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _REMEDIES:
            raise
        raise OutputError(
            f"cannot be written: {os.strerror(error.errno).lower()}",
            where=target,
            remedy=_REMEDIES[error.errno],
        ) from error


def make_folder(folder: Path) -> None:
    """Make a folder and those above it; one that is there stays as it is.

    Raises:
        OutputError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            "cannot make the folder", where=folder, measured=error.strerror
        ) from error


def settle(made: Path, target: Path) -> None:
    """Move a finished file to its place on the same disk, where no crash can undo it afterwards.

    Raises:
        OSError: the disk is full, or one of the folders is missing.
    """
    sync(made)
    made.replace(target)
    sync(target.parent)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write UTF-8 text with line feeds, atomically.

    Raises:
        OutputError: the file cannot be written.
    """
    with writing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write indented JSON, keys in the order given, atomically.

    Raises:
        DataError: a number is NaN or infinite, for which JSON has no form.
        OutputError: the file cannot be written.
    """
    try:
        text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise DataError("a result is not a finite number", where=path) from error
    write_text(path, text + "\n")


def sync(path: Path) -> None:
    """Wait until the disk has what was written to a file, or renamed in a folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
