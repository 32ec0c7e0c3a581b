"""Many trainings of one experiment: each in a process of its own, and none takes others with it."""

import os
import signal
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from medgan.errors import ConfigError, DataError, TrainingError
from medgan.io.batch.workers import map_in_workers

Item = TypeVar("Item")


@dataclass(frozen=True)
class End:
    """How one piece of work ended.

    Attributes:
        line: what came of it, or why it failed.
        failed: whether it did.
    """

    line: str
    failed: bool = False


def in_workers(
    work: Callable[[Item], str], items: Sequence[Item], jobs: int, threads: int | None = None
) -> Iterator[tuple[Item, End]]:
    """Do a piece of work for every item, several at a time.

    Args:
        work: of a module's top level; what it loads is loaded in the workers alone. It returns a
            line to show; a training that diverges, or data that do not suffice, end only its own.
        items: what to work on; picklable.
        jobs: processes.
        threads: of each; by default they share the processor's cores.

    Yields:
        The items in their order, and how each ended.

    Raises:
        OutputError: a process was killed.
    """
    threads = threads or max(1, (os.cpu_count() or 1) // jobs)
    ends = map_in_workers(partial(_guarded, work), items, jobs, _start, (threads,))
    yield from zip(items, ends, strict=True)


def require_jobs(jobs: int) -> None:
    """Refuse a number of processes below 1.

    Raises:
        ConfigError: it is.
    """
    if jobs < 1:
        raise ConfigError("someone has to do the work", where="jobs", measured=jobs, limit=">= 1")


def require_known(names: Sequence[str], known: Sequence[str], what: str) -> None:
    """Refuse names that stand for nothing.

    Raises:
        ConfigError: there are some.
    """
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise ConfigError(
            f"no such {what}", where="only", measured=", ".join(unknown), limit=", ".join(known)
        )


def require_same(
    begun: BaseModel,
    wanted: BaseModel,
    folder: Path,
    *,
    free: Collection[str] = (),
    remedy: str = "Name another folder with --out, or remove this run",
) -> None:
    """Refuse to pass off one training as another.

    Args:
        begun: configuration that a run was begun with.
        wanted: of the same kind, now.
        folder: of the run.
        free: sections that may change.
        remedy: what to do about it.

    Raises:
        TrainingError: they differ; the sections are named.
    """
    differing = [
        name
        for name in type(wanted).model_fields
        if name not in free and getattr(begun, name) != getattr(wanted, name)
    ]
    if differing:
        raise TrainingError(
            "the folder holds a run of another configuration",
            where=folder,
            measured=f"other {', '.join(differing)}",
            remedy=remedy,
        )


def _start(threads: int) -> None:
    import torch

    # Ctrl-C reaches workers too: one that caught it would wait for work that no longer comes
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    torch.set_num_threads(threads)


def _guarded(work: Callable[[Item], str], item: Item) -> End:
    try:
        return End(work(item))
    except (TrainingError, DataError) as error:
        return End(str(error), failed=True)
