"""What went wrong last: a line in the log, and on the status page."""

import logging
import threading
import traceback
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePath

log = logging.getLogger(__name__)

LONGEST = 50
"""Troubles that are kept for the status page."""


@dataclass(frozen=True)
class Trouble:
    """Something that went wrong.

    Attributes:
        time: ISO 8601, UTC.
        where: a series by its pseudonym, or a part of the node.
        message: holds no patient data.
    """

    time: str
    where: str
    message: str


class Journal:
    """The last troubles of a node. Every method may be called from any thread."""

    def __init__(self) -> None:
        self._troubles: deque[Trouble] = deque(maxlen=LONGEST)
        self._lock = threading.Lock()

    def note(self, where: str, message: object) -> None:
        """Log that something is wrong, and keep it.

        Args:
            where: a series by its pseudonym, or a part of the node.
            message: holds no patient data; an error of medgan, for instance.
        """
        log.warning("%s: %s", where, message)
        moment = datetime.now(UTC).isoformat(timespec="seconds")
        with self._lock:
            self._troubles.append(Trouble(moment, where, str(message)))

    def defect(self, where: str, error: BaseException) -> str:
        """Note an error that nobody foresaw: its kind and where in the code, not its message.

        The message of a library may quote a header, and so name the patient.

        Returns:
            What was noted.
        """
        frames = traceback.extract_tb(error.__traceback__)
        places = [f"{PurePath(f.filename).name}:{f.lineno}" for f in frames]
        message = f"defect: {type(error).__name__} at {' < '.join(reversed(places[-4:]))}"
        self.note(where, message)
        return message

    def troubles(self) -> list[Trouble]:
        """The last ones, the newest first."""
        with self._lock:
            return list(reversed(self._troubles))
