"""Series on disk, from the first instance to the synthetic series: what a killed node goes on with.

``series/<name>/`` holds one series: ``source/`` its instances, ``result/`` what was made of them,
``item.json`` how far it is. Whatever is done to it is written there first and then done, so that a
node that is killed does at worst again what it had done already.
"""

import logging
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

from medgan.errors import OutputError
from medgan.io.batch.manifest import now
from medgan.io.files import (
    content_sha256,
    files_below,
    make_folder,
    output_errors,
    remove_strays,
    settle,
    sync,
)
from medgan.io.folders import held_folder
from medgan.node.config import QueueConfig
from medgan.node.instance import Claim, Instance, identify
from medgan.node.item import Item, State
from medgan.volumes import Modality

log = logging.getLogger(__name__)

INCOMING, SERIES, SOURCE, RESULT = "incoming", "series", "source", "result"
MOST_ATTEMPTS = 3
"""Translations of a series that end with the whole node; then it is the series that is at fault."""
HOUR = 3600.0
GB = 1e9


class QueueFull(OutputError):
    """The queue has no room for one more instance."""


class Queue:
    """The series of a node. Every method may be called from any thread.

    Args:
        config: where it lies, and its limits.
        modality: of the series that it takes.
    """

    def __init__(self, config: QueueConfig, modality: Modality) -> None:
        self.config, self.modality = config, modality
        self.folder = config.folder
        self._lock = threading.RLock()
        self._items: dict[str, Item] = {}
        self._used = 0

    @classmethod
    @contextmanager
    def open(cls, config: QueueConfig, modality: Modality) -> Iterator[Self]:
        """A queue that this process has for itself, as an earlier one left it.

        Raises:
            OutputError: another node is at work in the folder, or it cannot be written to.
            FileError: a record in it is damaged.
        """
        queue = cls(config, modality)
        with output_errors(queue.folder):
            make_folder(queue.folder)
            queue.folder.chmod(0o700)
        with held_folder(queue.folder, "another node"):
            queue._restore()
            yield queue

    def receive(self, content: bytes, claim: Claim | None = None) -> Item:
        """Take one instance: it is on the disk, whole, when this returns.

        One that is there already stays as it was, unless its series has failed. A series that was
        complete, or done, becomes incomplete again by a new one.

        Args:
            content: a DICOM file.
            claim: what it is said to be.

        Returns:
            The series it belongs to.

        Raises:
            QueueFull: there is no room for it.
            FileError: it cannot be parsed, or is another one than claimed.
            OutputError: it cannot be written.
        """
        self._require_room(len(content))
        spool = self.folder / INCOMING / f"{uuid4().hex}.dcm"
        try:
            with output_errors(spool):
                spool.write_bytes(content)
                instance = identify(spool, self.modality, claim or Claim())
                with self._lock:
                    return self._install(spool, instance, len(content))
        finally:
            spool.unlink(missing_ok=True)

    def expect(self, name: str, instances: int) -> None:
        """Say how many instances a series has; it is not complete with fewer.

        Raises:
            OutputError: that cannot be written.
        """
        with self._lock:
            item = self._items.get(name) or self._new(name)
            item = item if item.state == "receiving" else self._reopened(item)
            if item.expected != instances:
                self._keep(replace(item, expected=instances))

    def fail(self, name: str, error: str) -> None:
        """Say that a series cannot become complete.

        Raises:
            OutputError: that cannot be written.
        """
        with self._lock:
            self.advance(self._items[name], "failed", error=error)

    def close_complete(self) -> None:
        """Move on every series to which nothing is added any more.

        Raises:
            OutputError: that cannot be written.
        """
        for item in self.items("receiving"):
            # A clock that is set back must not hold a series up for ever.
            if item.instances and abs(time.time() - item.last_arrival) < self.config.quiet_seconds:
                continue
            if item.instances >= (item.expected or 1):
                digest = content_sha256(self.source(item.name))
                # The same instances give the same result, even where they came anew.
                created = item.created if item.digest == digest else now()
                self.advance(item, "complete", digest=digest, created=created, attempts=0)
            elif time.time() - item.since > self.config.give_up_hours * HOUR:
                error = f"{item.instances} of {item.expected} instances came"
                self.advance(item, "failed", error=error)

    def advance(self, item: Item, state: State | None = None, **changes: Any) -> Item | None:
        """Move a series on, if nothing has happened to it since.

        Args:
            item: as it was last seen.
            state: the new one; None: the same.
            **changes: other attributes.

        Returns:
            What it is now; None where it has changed meanwhile, and nothing was done.

        Raises:
            OutputError: that cannot be written.
        """
        with self._lock:
            if self._items.get(item.name) is not item:
                return None
            if state:
                changes |= {"state": state, "since": time.time()}
            return self._keep(replace(item, **changes))

    def prune(self) -> None:
        """Remove the images of every series that has been done for long enough.

        Its record stays, so that it is known when it comes again, and its quality record.

        Raises:
            OutputError: that cannot be written.
        """
        for item in self.items("done"):
            if item.pruned or time.time() - item.since < self.config.keep_hours * HOUR:
                continue
            with self._lock:
                if self.advance(item, pruned=True):
                    self._remove_images(item.name)
        self._measure()

    def items(self, *states: State) -> list[Item]:
        """Series in some states, or in any, those first that have waited longest."""
        with self._lock:
            found = [item for item in self._items.values() if not states or item.state in states]
        return sorted(found, key=lambda item: (item.since, item.name))

    def get(self, name: str) -> Item | None:
        """The series of a name."""
        with self._lock:
            return self._items.get(name)

    @property
    def used(self) -> int:
        """Bytes of all files in the queue."""
        return self._used

    def source(self, name: str) -> Path:
        """The folder of a series' instances."""
        return self._place(name) / SOURCE

    def result(self, name: str) -> Path:
        """The folder of what was made of a series."""
        return self._place(name) / RESULT

    def _place(self, name: str) -> Path:
        return self.folder / SERIES / name

    def _require_room(self, size: int) -> None:
        limit = self.config.max_gb * GB
        if self._used + size > limit:
            raise QueueFull(
                "the queue is full",
                measured=f"{self._used / GB:.2f} GB",
                limit=f"{self.config.max_gb:g} GB",
                remedy="Raise queue.max_gb, or remove series that failed",
            )
        free = shutil.disk_usage(self.folder).free - size
        if free < self.config.min_free_gb * GB:
            raise QueueFull(
                "the disk of the queue is nearly full",
                measured=f"{free / GB:.2f} GB free",
                limit=f"{self.config.min_free_gb:g} GB",
                remedy="Free some space",
            )

    def _install(self, spool: Path, instance: Instance, size: int) -> Item:
        """Give a file its place; the record comes first, or a crash between would lose its news."""
        item = self._items.get(instance.series) or self._new(instance.series)
        place = self.source(item.name) / f"{instance.name}.dcm"
        again = place.exists()
        if again and item.state != "failed":
            return item
        if item.state != "receiving":
            item = self._keep(self._reopened(item))
        if not place.parent.is_dir():
            self._make_source(item.name)
        settle(spool, place)
        self._used += size
        count = item.instances + (not again)
        item = replace(item, instances=count, last_arrival=time.time())
        self._items[item.name] = item
        return item

    def _new(self, name: str) -> Item:
        return Item(name, since=time.time())

    def _reopened(self, item: Item) -> Item:
        if item.state != "failed":
            log.info("series %s: an instance came after it was complete", item.name)
        changes = {"state": "receiving", "since": time.time(), "error": "", "note": "", "sent": ()}
        if item.pruned:
            # One instance of a series whose others are gone must not become a series of its own.
            expected = max(item.expected or 0, item.instances)
            changes |= {"pruned": False, "instances": 0, "expected": expected}
        return replace(item, **changes)  # type: ignore[arg-type]

    def _keep(self, item: Item) -> Item:
        if not self._place(item.name).is_dir():
            self._make_source(item.name)
        item.save(self._place(item.name))
        self._items[item.name] = item
        return item

    def _make_source(self, name: str) -> None:
        """Make the folders of a series so that they, too, are there after a crash."""
        for folder in (self._place(name), self.source(name)):
            folder.mkdir(exist_ok=True)
            sync(folder.parent)

    def _restore(self) -> None:
        """What an earlier node left: unfinished files go, the rest goes on where it was."""
        shutil.rmtree(self.folder / INCOMING, ignore_errors=True)
        for name in (INCOMING, SERIES):
            make_folder(self.folder / name)
        remove_strays(self.folder)
        for place in sorted((self.folder / SERIES).iterdir()):
            item = self._resumed(Item.load(place))
            if item.instances or item.expected:
                self._items[item.name] = item
        self._measure()

    def _resumed(self, item: Item) -> Item:
        if item.pruned:
            self._remove_images(item.name)
            return item
        files = list(self.source(item.name).glob("*.dcm"))
        # While no node was there nothing could come: silence counts from now on.
        item = replace(item, instances=len(files), last_arrival=time.time())
        if item.state == "receiving" and not item.since:
            return replace(item, since=time.time())
        if item.state == "translating" and item.attempts >= MOST_ATTEMPTS:
            error = f"the node ended {item.attempts} times while it translated this series"
            return self._keep(replace(item, state="failed", since=time.time(), error=error))
        if item.state == "failed" and item.attempts < MOST_ATTEMPTS:
            return self._keep(replace(item, state="receiving", since=time.time(), error=""))
        return replace(item, state="complete") if item.state == "translating" else item

    def _remove_images(self, name: str) -> None:
        shutil.rmtree(self.source(name), ignore_errors=True)
        for path in self.result(name).rglob("*"):
            if path.is_file() and not path.name.endswith(".json"):
                path.unlink()

    def _measure(self) -> None:
        files, _ = files_below(self.folder)
        total = 0
        for path in files:
            with suppress(FileNotFoundError):
                total += path.stat().st_size
        self._used = total
