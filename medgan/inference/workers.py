"""Jobs spread over processes, each with a model of its own."""

import multiprocessing
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import SimpleITK as sitk
import torch

from medgan.errors import OutputError
from medgan.inference.job import Job, Outcome, run
from medgan.inference.translator import Translator
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
    pool = ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start,
        initargs=(model, direction, threads),
    )
    try:
        yield from pool.map(_work, jobs)
    except BrokenProcessPool as error:
        raise OutputError(
            "a worker was killed, most likely for want of memory",
            remedy="Use fewer --jobs; what is finished is kept",
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _start(model: Path, direction: Direction, threads: int) -> None:
    global _translator  # a process has no other place for what all of its jobs share
    _end_with_parent()
    torch.set_num_threads(threads)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
    _translator = Translator.load(model, direction)


def _work(job: Job) -> Outcome:
    assert _translator is not None
    return run(_translator, job)


def _end_with_parent() -> None:
    """End a worker whose parent was killed; else it would wait for work for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
