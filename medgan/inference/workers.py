"""Jobs spread over processes or workers of dask, each with a model of its own."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import SimpleITK as sitk
import torch

from medgan.errors import MedganError, ModelError
from medgan.inference.job import Job, Outcome, attempt, failed
from medgan.inference.translator import Translator
from medgan.io.batch.cluster import LOCAL, Cluster
from medgan.io.batch.sight import Sight
from medgan.io.batch.workers import map_in_workers
from medgan.models.model_file import Direction

_translator: Translator | None = None


@dataclass(frozen=True)
class Loading:
    """What each process loads once.

    Attributes:
        model: run folder or model file.
        sha256: of the model, which may change while a training goes on.
        direction: of the translation.
        bf16: half-precision arithmetic.
    """

    model: Path
    sha256: str
    direction: Direction
    bf16: bool = False


def run_in_workers(
    jobs: Sequence[Job], loading: Loading, workers: int
) -> Iterator[tuple[Job, Outcome]]:
    """Do jobs in several processes at a time, which share this one's threads among them.

    Args:
        jobs: what to do.
        loading: the model.
        workers: number of processes.

    Yields:
        The outcomes in the order of the jobs, each with where it lies.

    Raises:
        OutputError: a process was killed.
        ModelError: the model has changed.
    """
    threads = max(1, torch.get_num_threads() // workers)
    yield from map_in_workers(_work, jobs, workers, _start, (loading, threads))


def run_on_cluster(
    jobs: Sequence[Job], loading: Loading, cluster: Cluster, folder: Path
) -> Iterator[tuple[int, tuple[Job, Outcome]]]:
    """Do jobs in workers of dask; all paths are absolute.

    Workers that are started here share this process's threads; others keep their own number,
    ``OMP_NUM_THREADS``.

    Args:
        jobs: what to do.
        loading: the model.
        cluster: the workers.
        folder: of unfinished results, which workers must see.

    Yields:
        Numbers of jobs and their outcomes, each with where it lies, as they are finished.

    Raises:
        ConfigError: no scheduler, or workers that cannot do the work.
        OutputError: the scheduler is gone.
        ModelError: a worker sees another model.
    """
    sight = Sight.of(folder, jobs[0].source.paths[:1])
    here = cluster.address == LOCAL
    threads = max(1, torch.get_num_threads() // cluster.jobs) if here else None
    yield from cluster.map(_work, jobs, sight, _lost, _start, (loading, threads))


def _start(loading: Loading, threads: int | None) -> None:
    global _translator  # a process has no other place for what all of its jobs share
    if threads is not None:
        torch.set_num_threads(threads)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(torch.get_num_threads())
    _translator = Translator.load(loading.model, loading.direction, bf16=loading.bf16)
    if _translator.model.sha256 != loading.sha256:
        raise ModelError(
            "is not the model that the batch was planned with",
            where=loading.model,
            measured=_translator.model.sha256[:12],
            limit=loading.sha256[:12],
            remedy="Copy the model if a training is still writing it, and start again",
        )


def _work(job: Job) -> tuple[Job, Outcome]:
    assert _translator is not None
    return attempt(_translator, job)


def _lost(job: Job, error: MedganError) -> tuple[Job, Outcome]:
    return job, failed(error, job.root)
