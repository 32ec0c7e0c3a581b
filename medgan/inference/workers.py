"""Jobs spread over processes, each with a model of its own."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import SimpleITK as sitk
import torch

from medgan.inference.job import Job, Outcome, run
from medgan.inference.translator import Translator
from medgan.io.batch.workers import map_in_workers
from medgan.models.model_file import Direction

_translator: Translator | None = None


def run_in_workers(
    jobs: Sequence[Job], model: Path, direction: Direction, workers: int
) -> Iterator[Outcome]:
    """Do jobs in several processes at a time, which share this one's threads among them.

    Args:
        jobs: what to do.
        model: run folder or model file, loaded by each process once.
        direction: of the translation.
        workers: number of processes.

    Yields:
        The outcomes in the order of the jobs.

    Raises:
        OutputError: a process was killed.
    """
    threads = max(1, torch.get_num_threads() // workers)
    yield from map_in_workers(_work, jobs, workers, _start, (model, direction, threads))


def _start(model: Path, direction: Direction, threads: int) -> None:
    global _translator  # a process has no other place for what all of its jobs share
    torch.set_num_threads(threads)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
    _translator = Translator.load(model, direction)


def _work(job: Job) -> Outcome:
    assert _translator is not None
    return run(_translator, job)
