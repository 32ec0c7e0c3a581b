"""Whether the threads of a training get the processors that they ask for."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

import torch

FIRST, LAST = 10, 60
"""Between these steps is looked; the first ones make plans for their convolutions."""

LEAST_SHARE = 0.6
"""Of the processors that the threads would fill. Alone on a machine of two, trainings had 0.69 to
0.99; beside two other programs 0.5, and there one thread is faster."""


@dataclass(eq=False)
class ThreadWatch:
    """Compares the processor time of some steps with what their threads could have had.

    Threads of one step wait for one another: where another program takes the processor from one,
    all stand still, and two can take twenty times as long as one alone.

    Attributes:
        threads: of a step; 1 is never remarked on.
        wall: seconds that pass.
        used: seconds of processor time that all threads of the process have taken.
    """

    threads: int
    wall: Callable[[], float] = time.perf_counter
    used: Callable[[], float] = time.process_time
    _began: tuple[float, float] = field(default=(0.0, 0.0), init=False)

    @classmethod
    def on(cls, device: torch.device) -> Self:
        """Of a training on a device; on a GPU there is nothing to remark on."""
        return cls(torch.get_num_threads() if device.type == "cpu" else 1)

    def remark(self, steps: int) -> str | None:
        """What there is to say after so many steps of this process; mostly nothing."""
        if steps == FIRST:
            self._began = self.wall(), self.used()
        if steps != LAST or self.threads == 1:
            return None
        wall, used = self.wall() - self._began[0], self.used() - self._began[1]
        if used >= LEAST_SHARE * self.threads * wall:
            return None
        return (
            f"{self.threads} threads got {used / wall:.1f} processors: other programs run here, "
            "and threads that wait for one another can be slower than one. To go on with fewer, "
            "stop and resume with OMP_NUM_THREADS=1 in the environment"
        )
