"""Seconds and memory, taken so that figures of a machine with other work can be compared."""

import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

import numpy as np

from medgan.io.batch.workers import map_in_workers

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Spread:
    """What was measured several times.

    Attributes:
        median: of all values.
        quartiles: the lower and the upper one.
    """

    median: float
    quartiles: tuple[float, float]

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Of at least one value."""
        lower, middle, upper = np.quantile(np.asarray(values, float), (0.25, 0.5, 0.75)).tolist()
        return cls(middle, (lower, upper))


def seconds_of(work: Callable[[], object]) -> float:
    """Wall-clock seconds of a call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def in_turns(works: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, Spread]:
    """Seconds of several pieces of work, each done once a round.

    What else the machine does slows all of them alike; done one after the other, each would meet
    another hour.

    Args:
        works: by name; each ends when its work is done, that of a GPU included.
        rounds: at least 1; a first call that should not count comes before this.
    """
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            seconds[name].append(seconds_of(work))
    return {name: Spread.of(values) for name, values in seconds.items()}


def in_new_process(function: Callable[[Item], Result], item: Item) -> Result:
    """Call a function where nothing was done before: its memory is that of this work alone.

    Args:
        function: of a module's top level.
        item: its argument; picklable.

    Raises:
        OutputError: the process was killed.
    """
    return next(map_in_workers(function, [item], 1))


def peak_memory_mb() -> float:
    """The most memory that this process ever held, in 2^20 bytes, what it imported included."""
    status = Path("/proc/self/status")
    if status.exists():
        # ru_maxrss begins with the memory of the process that started this one
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
