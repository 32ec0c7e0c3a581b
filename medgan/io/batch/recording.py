"""The jobs of a batch, each recorded in the manifest when its result is in place."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from medgan.io.batch.manifest import Key, ManifestKeeper, Record
from medgan.io.batch.staging import staging


class _Planned(Protocol):
    @property
    def record(self) -> Record: ...


Task = TypeVar("Task", bound=_Planned)
Job = TypeVar("Job")
Outcome = TypeVar("Outcome")
Row = TypeVar("Row")

Tries = Callable[[list[Job], Path], Iterator[tuple[int, tuple[Job, Outcome]]]]
"""Does jobs, and yields their numbers and outcomes as they are finished, each with where it lies;
the folder is that in which all of them work."""


def recorded(
    target: Path,
    records: dict[Key, Record],
    tasks: Sequence[Task],
    *,
    job: Callable[[Task, Path], Job],
    tries: Tries[Job, Outcome],
    finish: Callable[[Record, Job, Outcome], Record],
    row: Callable[[Task], Row],
) -> Iterator[Row]:
    """Do tasks in folders that are gone in the end, and keep the manifest up to date.

    Args:
        target: folder of the results and the manifest.
        records: of the whole manifest; those of the tasks are replaced.
        tasks: what is to be done.
        job: of a task, in a folder of its own.
        tries: does the jobs.
        finish: moves the result of a job to its place; the record of that.
        row: of a task that is done.

    Yields:
        The rows of the tasks, as they are finished.

    Raises:
        OutputError: another batch is at work in the target, or it cannot be written to.
    """
    with staging(target) as folder:
        manifest = ManifestKeeper(target, records, folder)
        manifest.save()
        folders = [folder / str(number) for number in range(len(tasks))]
        jobs = list(map(job, tasks, folders))
        try:
            for number, (tried, outcome) in tries(jobs, folder):
                record = finish(tasks[number].record, tried, outcome)
                shutil.rmtree(folders[number], ignore_errors=True)
                records[record.key] = record
                manifest.save_when_due()
                yield row(tasks[number])
        finally:
            manifest.save()
