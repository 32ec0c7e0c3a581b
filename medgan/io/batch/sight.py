"""Whether workers on other machines see the same files."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from uuid import uuid4

from medgan.errors import ConfigError
from medgan.io.files import write_text

SEEN_WITHIN_S = 10.0
"""Network disks show a new file to other machines within seconds."""


@dataclass(frozen=True)
class Sight:
    """What every worker must see as this process does; all paths are absolute.

    Attributes:
        files: sources, models; with their sizes in bytes.
        token: a file in the folder of the results, just made.
        text: what is in it.
    """

    files: tuple[tuple[Path, int], ...]
    token: Path
    text: str

    @classmethod
    def of(cls, folder: Path, files: Sequence[Path]) -> Self:
        """Leave a token in a folder of unfinished results.

        Raises:
            OutputError: it cannot be written.
        """
        token, text = folder / "token", uuid4().hex
        write_text(token, text)
        return cls(tuple((path, path.stat().st_size) for path in files), token, text)

    def require(self) -> None:
        """Refuse to work where something else is seen.

        Raises:
            ConfigError: a file is missing or of another size, or the token is not there.
        """
        deadline = time.monotonic() + SEEN_WITHIN_S
        while fault := self._fault():
            if time.monotonic() > deadline:
                raise ConfigError(
                    "a worker does not see the same files",
                    where=fault,
                    remedy="SRC, DST and the model must lie on a disk that all machines share, "
                    "under the same paths",
                )
            time.sleep(0.2)

    def _fault(self) -> Path | None:
        try:
            for path, size in self.files:
                if path.stat().st_size != size:
                    return path
            return None if self.token.read_text(encoding="utf-8") == self.text else self.token
        except OSError as error:
            return Path(error.filename)
