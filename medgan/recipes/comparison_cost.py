"""What a step of a training costs: seconds and memory."""

import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from medgan.config import TrainConfig
from medgan.io.files import write_json
from medgan.recipes import training
from medgan.recipes.comparison_plan import Run
from medgan.recipes.device import peak_memory_mb
from medgan.training.run_folder import RunFolder
from medgan.training.trainer import Trainer

COST_STEPS, TIMING_STEPS = 7, 4


def steps_that_fill(config: TrainConfig, minutes: float) -> int:
    """How many steps take so long, warm-up and rest in the proportion of the configuration.

    Measured on a few steps of this machine as busy as it is.
    """
    share = config.training.warmup_steps / config.training.steps
    seconds = 0.0
    with TemporaryDirectory() as folder:
        trainer = _trainer(config, folder)
        if share > 0:
            seconds += share * statistics.median(_timed(trainer, 0, TIMING_STEPS))
        if share < 1:
            first = config.training.warmup_steps
            seconds += (1 - share) * statistics.median(_timed(trainer, first, TIMING_STEPS))
    return max(2, round(60 * minutes / seconds))


def measure_cost(run: Run, reference: Run) -> str:
    """Measure a step after the warm-up, by turns with one of the reference.

    Writes ``run.cost``: ``seconds_per_step`` (median), ``ratio`` to the reference's,
    ``peak_memory_mb`` (2^20 bytes; of the GPU where there is one, else of the process, which must
    be new) and ``generator_parameters``.

    Returns:
        A line to show.
    """
    with TemporaryDirectory() as folder:
        trainer = _trainer(run.config, folder)
        own = list(_timed(trainer, run.config.training.warmup_steps, 1))
        memory_mb = peak_memory_mb()
        other: list[float] = []
        turns = [
            _timed(each, one.config.training.warmup_steps, COST_STEPS)
            for each, one in ((trainer, run), (_trainer(reference.config, folder), reference))
        ]
        for mine, its in zip(*turns, strict=True):
            own.append(mine)
            other.append(its)
    seconds = statistics.median(own)
    cost = {
        "seconds_per_step": seconds,
        "ratio": seconds / statistics.median(other),
        "peak_memory_mb": memory_mb,
        "generator_parameters": sum(p.numel() for p in trainer.method.generators[0].parameters()),
    }
    write_json(run.cost, cost)
    return f"{seconds:.3f} s a step, {cost['ratio']:.2f} times the reference's"


def _trainer(config: TrainConfig, folder: str) -> Trainer:
    return training.assemble(config)(RunFolder(Path(folder)))


def _timed(trainer: Trainer, after: int, count: int) -> Iterator[float]:
    """Seconds of a few updates after a step, the first of which is not counted."""
    for step in range(after + 1, after + count + 2):
        trainer.step = step
        batch = trainer.batches.at(step)
        started = time.perf_counter()
        trainer.update(batch)
        if step > after + 1:
            yield time.perf_counter() - started
