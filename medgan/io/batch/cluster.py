"""Work spread over workers of dask.distributed, on this machine or on many that share files.

The other engine is ``workers``, processes of this program. With both, the process that planned a
batch moves what was made to its place and keeps the manifest.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from itertools import islice
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Self, TypeVar
from uuid import uuid4

from medgan import __version__
from medgan.errors import ConfigError, MedganError, OutputError
from medgan.io.batch.sight import Sight

if TYPE_CHECKING:
    from distributed import Client, Future

LOCAL = "local"
"""In place of a scheduler's address: workers that are started here and end with the batch."""

AHEAD = 4
"""Jobs a worker that are handed out before they are wanted; enough that no worker ever waits."""

LEAST_AHEAD = 16
"""Jobs handed out at least, so that a cluster that grows with its work sees that there is some."""

WITHOUT_WORKERS_S = 86_400.0
"""How long a batch waits for a first worker, or for another one when the last has died: a day in
the queue of a cluster."""

LOCAL_WITHOUT_S = 300.0
"""The same of workers that are started here."""

_LOOK_EVERY_S = 5.0

Item = TypeVar("Item")
Result = TypeVar("Result")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cluster:
    """Where a batch finds its workers.

    Attributes:
        address: of the scheduler, or ``LOCAL``.
        jobs: workers to start where it is ``LOCAL``.
    """

    address: str
    jobs: int = 1

    @classmethod
    def of(cls, address: str | None, jobs: int) -> Self | None:
        """The workers that options ask for; None where they do not.

        Args:
            address: the value of ``--dask``.
            jobs: that of ``--jobs``.

        Raises:
            ConfigError: dask is not installed, or the options contradict each other.
        """
        if address is None:
            return None
        if find_spec("distributed") is None:
            raise ConfigError(
                "dask.distributed is not installed",
                where="--dask",
                remedy="pip install medgan[cluster]",
            )
        if address != LOCAL and jobs > 1:
            raise ConfigError(
                "a scheduler has the workers that it has",
                where="--jobs",
                measured=jobs,
                remedy="Leave --jobs out, or say --dask local",
            )
        return cls(address, jobs)

    def map(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        sight: Sight,
        lost: Callable[[Item, MedganError], Result],
        start: Callable[..., None] | None = None,
        arguments: tuple[Any, ...] = (),
    ) -> Iterator[tuple[int, Result]]:
        """Call a function in the workers, one item at a time in each.

        An item whose worker dies is given to another one; the function may be at work on it twice
        at a time, where a worker was only thought dead.

        Args:
            function: of a module's top level.
            items: its arguments; picklable.
            sight: what workers must see.
            lost: the result of an item that has killed one worker after another.
            start: called once in each worker before its first item of this batch.
            arguments: of ``start``.

        Yields:
            Number of an item, from 0, and its result, as they are finished.

        Raises:
            ConfigError: no scheduler there, or workers of another medgan, with several threads, or
                without the files.
            OutputError: the scheduler is gone, or there have been no workers for a day.
        """
        batch = _Batch(uuid4().hex, __version__, sight, function, start, arguments)
        with self._client() as client:
            _require_sound(client, batch)
            patience_s = LOCAL_WITHOUT_S if self.address == LOCAL else WITHOUT_WORKERS_S
            yield from _results(client, batch, items, lost, patience_s)

    @contextmanager
    def _client(self) -> Iterator["Client"]:
        from distributed import Client, LocalCluster

        if self.address == LOCAL:
            # no limit of memory, as the processes of --jobs have none; its web page for nobody else
            with (
                LocalCluster(
                    n_workers=self.jobs,
                    threads_per_worker=1,
                    processes=True,
                    memory_limit=0,
                    dashboard_address="127.0.0.1:0",
                ) as workers,
                Client(workers, set_as_default=False) as client,
            ):
                yield client
            return
        try:
            client = Client(self.address, set_as_default=False)
        except (OSError, ValueError) as error:
            raise ConfigError(
                "no scheduler of dask answers",
                where=self.address,
                measured=str(error).splitlines()[0],
                remedy="Start one with `dask scheduler`, or say --dask local",
            ) from error
        with client:
            yield client


@dataclass(frozen=True)
class _Batch:
    """What a worker needs to know besides its items."""

    token: str
    version: str
    sight: Sight
    function: Callable[[Any], Any]
    start: Callable[..., None] | None
    arguments: tuple[Any, ...]

    def require_sound(self) -> None:
        """Refuse to work here, in a worker."""
        if self.version != __version__:
            raise ConfigError(
                "a worker runs another medgan",
                measured=__version__,
                limit=self.version,
                remedy="Install the same version on all machines",
            )
        self.sight.require()


_lock = threading.Lock()
_begun = ""
"""Token of the batch that this process, a worker, has last begun."""


def _do(batch: _Batch, item: Any) -> Any:
    """Do one item, in a worker."""
    global _begun  # a process has no other place for what all of its items share
    # whatever threads the worker has: a job takes the memory and what was loaded for itself
    with _lock:
        if _begun != batch.token:
            batch.require_sound()
            if batch.start is not None:
                batch.start(*batch.arguments)
            _begun = batch.token
        return batch.function(item)


def _require_sound(client: "Client", batch: _Batch) -> None:
    """Refuse workers that cannot do the work; those that come later refuse it themselves."""
    threads = client.nthreads()
    if not threads:
        _log.warning("there are no workers yet: the batch waits for some")
        return
    several = {worker: count for worker, count in threads.items() if count > 1}
    if several:
        worker, count = next(iter(several.items()))
        raise ConfigError(
            "a worker would take several jobs at a time and do one",
            where=worker,
            measured=f"{count} threads",
            limit=1,
            remedy="Start workers with --nthreads 1, several on a machine with --nworkers",
        )
    for worker, found in client.run(batch.require_sound, on_error="return").items():
        if isinstance(found, MedganError):
            raise found
        if isinstance(found, BaseException):
            raise ConfigError(
                "a worker cannot run this medgan",
                where=worker,
                measured=f"{type(found).__name__}: {found}".splitlines()[0],
                remedy="Install the same version on all machines",
            ) from found


class _Killed(Exception):
    """Several workers died while an item was with them, which need not be its fault."""


def _results(
    client: "Client",
    batch: _Batch,
    items: Sequence[Item],
    lost: Callable[[Item, MedganError], Result],
    patience_s: float,
) -> Iterator[tuple[int, Result]]:
    finished: SimpleQueue[Future[Any]] = SimpleQueue()
    running: dict[Future[Any], int] = {}

    def begin(number: int, attempt: str) -> None:
        # opaque to dask, which would look for tasks inside
        work = partial(_do, batch, items[number])
        key = f"medgan-{batch.token}-{number}-{attempt}"
        future = client.submit(work, key=key, pure=False)
        running[future] = number
        future.add_done_callback(finished.put)

    waiting = iter(range(len(items)))
    suspects = []
    while True:
        room = max(LEAST_AHEAD, AHEAD * _workers(client)) - len(running)
        for number in islice(waiting, room):
            begin(number, "first")
        if not running:
            break
        future = _next(finished, client, patience_s)
        number = running.pop(future)
        try:
            yield number, _result(future)
        except _Killed:
            suspects.append(number)
    # one by one: an item that waits in a worker beside one that kills it is blamed as well
    for number in suspects:
        begin(number, "alone")
        try:
            yield number, _result(_next(finished, client, patience_s))
        except _Killed:
            error = OutputError(
                "worker after worker was killed at work on this, most likely for want of memory",
                remedy="Give workers more memory, and run the batch again for what is missing",
            )
            yield number, lost(items[number], error)


def _next(
    finished: "SimpleQueue[Future[Any]]", client: "Client", patience_s: float
) -> "Future[Any]":
    """Wait for a job to end, as long as there is anyone to end it.

    Raises:
        OutputError: there are no workers, and none come.
    """
    since = time.monotonic()
    while True:
        try:
            return finished.get(timeout=_LOOK_EVERY_S)
        except Empty:
            if _workers(client):
                since = time.monotonic()
            elif time.monotonic() - since > patience_s:
                raise OutputError(
                    "no worker is left, and none has come",
                    measured=f"{patience_s:g} s",
                    remedy="Start workers, and run the batch again: what is finished is kept",
                ) from None


def _workers(client: "Client") -> int:
    with _connected(OSError):
        return len(client.nthreads())


def _result(future: "Future[Any]") -> Any:
    from distributed import CancelledError, KilledWorker
    from distributed.comm.core import CommClosedError

    try:
        # not every error of the system: it may be the job's own
        with _connected(CancelledError, CommClosedError):
            return future.result()
    except KilledWorker as error:
        raise _Killed from error


@contextmanager
def _connected(*signs: type[BaseException]) -> Iterator[None]:
    """Say what errors mean once there was a connection.

    Raises:
        OutputError: there is none any more.
    """
    try:
        yield
    except signs as error:
        raise OutputError(
            "the connection to the scheduler of dask is lost",
            remedy="Run the batch again: what is finished is kept",
        ) from error
