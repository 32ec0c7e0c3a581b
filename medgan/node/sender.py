"""Results to their archives, tried again after pauses that grow."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from medgan.errors import MedganError
from medgan.node.config import SendConfig
from medgan.node.destinations import Destination, Stopped
from medgan.node.item import Item
from medgan.node.journal import Journal
from medgan.node.queue import HOUR, Queue

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Pause:
    """How often sending a series failed, and when it is tried again (``time.monotonic``)."""

    failures: int
    until: float


class Sender:
    """What brings results to the archives.

    Args:
        config: the pauses.
        archives: where each result goes.
        queue: of the node.
        journal: of the node.
        stopping: whether the node is to stop.
    """

    def __init__(
        self,
        config: SendConfig,
        archives: Sequence[Destination],
        queue: Queue,
        journal: Journal,
        stopping: Callable[[], bool],
    ) -> None:
        self.config, self.archives = config, archives
        self.queue, self.journal, self.stopping = queue, journal, stopping
        self._pauses: dict[str, _Pause] = {}

    def step(self) -> None:
        """Send every result whose time has come.

        Raises:
            OutputError: the record of a series cannot be written.
        """
        for item in self.queue.items("sending"):
            pause = self._pauses.get(item.name)
            if self.stopping():
                return
            if pause is None or time.monotonic() >= pause.until:
                self._try(item)

    def _try(self, item: Item) -> None:
        try:
            sent = self._send(item)
        except Stopped:
            return
        except MedganError as error:
            self._failed(item, str(error))
        except Exception as error:
            self._failed(item, self.journal.defect(f"series {item.name}", error))
        else:
            self._pauses.pop(item.name, None)
            if sent and self.queue.advance(sent, "done", error=""):
                log.info("series %s: done", item.name)

    def _send(self, item: Item) -> Item | None:
        """Send to those archives that do not have it; None where it has changed meanwhile."""
        files = sorted(self.queue.result(item.name).rglob("*.dcm"))
        if not files:  # somebody removed them
            self.queue.advance(item, "complete")
            return None
        current: Item | None = item
        for archive in self.archives:
            if current is None or archive.name in current.sent:
                continue
            archive.send(files, self.stopping)
            log.info("series %s: %d instances sent to %s", item.name, len(files), archive.name)
            current = self.queue.advance(current, sent=(*current.sent, archive.name))
        return current

    def _failed(self, item: Item, message: str) -> None:
        current = self.queue.get(item.name)
        if current is None or current.state != "sending" or current.since != item.since:
            return
        past = self._pauses.get(item.name)
        failures = past.failures + 1 if past else 1
        pause = self.config.first_pause_seconds * 2.0 ** min(failures - 1, 30)
        pause = min(pause, self.config.longest_pause_seconds)
        self.journal.note(f"series {item.name}", message)
        if time.time() - item.since > self.queue.config.give_up_hours * HOUR:
            self._pauses.pop(item.name, None)
            self.queue.advance(current, "failed", error=message)
            return
        self._pauses[item.name] = _Pause(failures, time.monotonic() + pause)
        self.queue.advance(current, error=message)
