"""A node at work: everything between the first instance that comes and the last that goes."""

import logging
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import pydicom

from medgan.errors import ConfigError, MedganError
from medgan.inference.translator import Translator
from medgan.node.config import ListenConfig
from medgan.node.destinations import destinations
from medgan.node.fetcher import Fetcher
from medgan.node.journal import Journal
from medgan.node.queue import Queue
from medgan.node.receiver import Receiver, port_is_free
from medgan.node.sender import Sender
from medgan.node.status import Status
from medgan.node.translation import Translation

log = logging.getLogger(__name__)

TICK_SECONDS = 0.5
"""Pause between two looks at what is to be done."""
PRUNE_SECONDS = 60.0
TROUBLE_SECONDS = 10.0
"""Pause after something went wrong with the node itself, and not with one series."""

CHATTY = ("pynetdicom", "dicomweb_client", "urllib3", "pydicom")
"""Libraries whose messages name UIDs or quote headers."""


def run(config: ListenConfig, stop: threading.Event) -> None:
    """Work until ``stop`` is set; the step that is running then is finished first.

    Args:
        config: of the node.
        stop: set it from anywhere, from a signal handler for instance.

    Raises:
        ModelError: the model cannot be used.
        ConfigError: it is not one for series; certificates or a password are missing.
        OutputError: the queue's folder cannot be used, or another node uses it.
        FileError: a record in the queue is damaged.
        NetworkError: a port cannot be listened on.
    """
    keep_quiet()
    translator = load(config)
    archives = destinations(config.send, config.ae_title, translator.target)
    journal = Journal()
    with Queue.open(config.queue, translator.source) as queue, ExitStack() as stack:
        if config.status:
            stack.enter_context(Status(translator, queue, journal).served(config.status))
        translation = Translation(config, translator, queue, journal)
        sender = Sender(config.send, archives, queue, journal, stop.is_set)
        fetcher = Fetcher(config.fetch, queue, journal, stop.is_set) if config.fetch else None
        work = _Work(stop, journal)
        with work.at_its_end(), ExitStack() as doors:
            if config.receive:
                receiver = Receiver(config.receive, config.ae_title, queue, journal)
                doors.enter_context(receiver.listening())
            work.begin("translation", _translating(translation, queue), TICK_SECONDS)
            work.begin("sender", sender.step, TICK_SECONDS)
            if fetcher and config.fetch:
                work.begin("fetcher", fetcher.step, config.fetch.interval_seconds)
            stop.wait()
            log.info("stopping: what is running is finished first")


def load(config: ListenConfig) -> Translator:
    """The model of a node.

    Raises:
        ModelError: it cannot be used.
        ConfigError: it reads several contrasts, which no series holds.
    """
    translator = Translator.load(config.model, config.direction)
    if translator.contrasts > 1:
        raise ConfigError(
            "a series holds one contrast",
            where=config.model,
            measured=f"a model of {translator.contrasts} contrasts",
            remedy="Choose another model",
        )
    return translator


def check(config: ListenConfig) -> Iterator[tuple[str, Callable[[], object]]]:
    """What a node needs to start and to work, each as a name and a function that raises.

    The node itself must not be running.
    """
    loaded: list[Translator] = []
    yield "model", lambda: loaded.append(load(config))
    # without a model the rest is tried as for MR to CT, which makes no difference to it
    source, target = (loaded[0].source, loaded[0].target) if loaded else ("MR", "CT")

    def open_queue() -> None:
        with Queue.open(config.queue, source):
            pass

    yield f"queue in {config.queue.folder}", open_queue
    for name, part in (("receive", config.receive), ("status", config.status)):
        if part:
            address, port = str(part.address), part.port
            yield f"{name} on {address}:{port}", partial(port_is_free, address, port)
    if config.fetch:
        queue = Queue(config.queue, source)
        fetcher = Fetcher(config.fetch, queue, Journal(), lambda: False)
        yield f"fetch from {config.fetch.url}", fetcher.look
    for archive in destinations(config.send, config.ae_title, target):
        yield f"send to {archive.name}", archive.check


def keep_quiet() -> None:
    """Keep libraries from saying what identifies a patient, whichever thread they run in.

    The guards around single calls cannot do that here: they change what all threads share, and
    undo each other's work.
    """
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    warnings.filterwarnings("ignore")
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    pydicom.config.settings.writing_validation_mode = pydicom.config.IGNORE


def _translating(translation: Translation, queue: Queue) -> Callable[[], None]:
    """One round: close what is complete, translate one series, prune now and then."""
    pruned = -PRUNE_SECONDS

    def step() -> None:
        nonlocal pruned
        queue.close_complete()
        translation.step()
        if time.monotonic() - pruned > PRUNE_SECONDS:
            pruned = time.monotonic()
            queue.prune()

    return step


class _Work:
    """Threads that each repeat one step until the node stops.

    Args:
        stop: of the node.
        journal: of the node.
    """

    def __init__(self, stop: threading.Event, journal: Journal) -> None:
        self.stop, self.journal = stop, journal
        self._threads: list[threading.Thread] = []

    def begin(self, name: str, step: Callable[[], object], pause_seconds: float) -> None:
        """Start a thread."""
        thread = threading.Thread(target=self._repeat, args=(name, step, pause_seconds), name=name)
        thread.start()
        self._threads.append(thread)

    @contextmanager
    def at_its_end(self) -> Iterator[None]:
        """Stop all threads when the block ends, and wait for the step each one is at."""
        try:
            yield
        finally:
            self.stop.set()
            for thread in self._threads:
                thread.join()

    def _repeat(self, name: str, step: Callable[[], object], pause_seconds: float) -> None:
        while not self.stop.is_set():
            pause = pause_seconds
            try:
                step()
            except MedganError as error:  # a full disk, for instance, which passes
                self.journal.note(name, error)
                pause = max(pause, TROUBLE_SECONDS)
            except Exception as error:
                self.journal.defect(name, error)
                pause = max(pause, TROUBLE_SECONDS)
            self.stop.wait(pause)
