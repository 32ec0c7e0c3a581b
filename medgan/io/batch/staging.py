"""A folder inside the target of a batch for what is not finished yet."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from medgan.errors import OutputError
from medgan.io.files import output_errors
from medgan.io.folders import held_folder

STAGING = ".medgan-unfinished"
"""Its name; it is gone when a batch ends, and emptied when one starts after another was killed."""


@contextmanager
def staging(target: Path) -> Iterator[Path]:
    """A folder in the target for unfinished work, alone there and gone in the end.

    Raises:
        OutputError: another batch is at work in the target, or it cannot be written to.
    """
    with output_errors(target):
        target.mkdir(parents=True, exist_ok=True)
    with held_folder(target, "another batch"):
        folder = target / STAGING
        if folder.is_symlink():
            raise OutputError("is a symbolic link", where=folder, remedy="Remove it")
        _remove(folder)
        with output_errors(target):
            folder.mkdir()
        try:
            own = folder / uuid4().hex
            own.mkdir()
            yield own
        finally:
            _remove(folder)


def _remove(folder: Path) -> None:
    """Remove a folder even while a worker of a killed batch adds its last file."""
    for _ in range(50):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.1)
    raise OutputError("cannot be removed", where=folder, remedy="Remove it by hand")
