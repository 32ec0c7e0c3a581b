"""A folder that appears whole, or not at all."""

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
