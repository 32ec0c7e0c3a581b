"""A batch of conversions: planned, resumed, spread over workers, and recorded.

Results are made in a folder of their own inside the target and moved to their place by one process,
so that a batch killed at any moment leaves whole files only, and nothing else once it is resumed.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from uuid import uuid4

from medgan.errors import MedganError, OutputError
from medgan.io.batch.cluster import Cluster
from medgan.io.batch.job import SIDECAR, Job, Options, Outcome, foreseen, refused, run
from medgan.io.batch.manifest import Key, Record, Status
from medgan.io.batch.naming import confined
from medgan.io.batch.recording import recorded
from medgan.io.batch.sight import Sight
from medgan.io.batch.standing import extent, sidecar_path
from medgan.io.batch.workers import map_in_workers
from medgan.io.files import output_errors
from medgan.io.studies import Source


@dataclass(frozen=True)
class Fault:
    """Why a source was refused: the kind of error and its message."""

    type: str
    message: str

    def __str__(self) -> str:
        return f"{self.type}: {self.message}"


@dataclass(frozen=True)
class Row:
    """What became of one source.

    Attributes:
        source: relative to the folder that was converted.
        part: what sets the volume apart within its DICOM series; mostly empty.
        status: "converted", "repaired", "refused" or "skipped".
        output: relative to the target; None where there is none.
        error: why it was refused.
        reason: why it was skipped.
        repairs: what was done to irregular geometry.
        warnings: what is odd about the values.
    """

    source: str
    part: str
    status: Status
    output: str | None
    error: Fault | None = None
    reason: str | None = None
    repairs: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The source and its part, for people."""
        return f"{self.source} ({self.part})" if self.part else self.source


@dataclass(frozen=True)
class Task:
    """A record and, unless it stands already, the source that it is to be made from."""

    record: Record
    source: Source | None = None


@dataclass(frozen=True, eq=False)
class Conversion:
    """A planned batch. ``len()`` is the number of sources still to convert.

    Attributes:
        target: folder of the results.
        root: folder that names of sources start from.
        options: what is done to every source.
        tasks: in the order of their rows.
        earlier: records of the manifest that this batch does not touch.
        jobs: sources converted at the same time.
        cluster: the workers of dask that convert them; None: processes of this machine.
    """

    target: Path
    root: Path
    options: Options
    tasks: tuple[Task, ...]
    earlier: tuple[Record, ...] = ()
    jobs: int = 1
    cluster: Cluster | None = None
    records: dict[Key, Record] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.records.update({record.key: record for record in self.earlier})
        self.records.update({task.record.key: task.record for task in self.tasks})

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[Row]:
        """Convert what is still to be converted, and yield the row of each."""
        return recorded(
            self.target,
            self.records,
            self._open,
            job=self._job,
            tries=self._tries,
            finish=self._finished,
            row=self._row,
        )

    @property
    def rows(self) -> list[Row]:
        """The rows of all tasks, in their order, as far as the batch has come."""
        return [self._row(task) for task in self.tasks]

    def expected(self) -> list[Row]:
        """The rows that can be foreseen: a series is refused where its headers already say so."""
        return [row_of(_foreseen(task, self.options, self.root)) for task in self.tasks]

    @property
    def standing(self) -> int:
        """How many results of earlier batches stay as they are."""
        return sum(
            task.source is None and row_of(task.record).output is not None for task in self.tasks
        )

    @property
    def _open(self) -> list[Task]:
        return [task for task in self.tasks if task.source is not None]

    def _row(self, task: Task) -> Row:
        return row_of(self.records[task.record.key])

    def _job(self, task: Task, folder: Path) -> Job:
        assert task.source is not None
        record = task.record
        return Job(task.source, self.root, self.options, folder, record.created, record.fingerprint)

    def _finished(self, record: Record, job: Job, outcome: Outcome) -> Record:
        """The record of a job that was tried, once its result is in place."""
        try:
            if outcome.status in ("converted", "repaired"):
                record = _published(self.target, record, job)
        except OutputError as error:
            outcome = refused(error, self.target)
        return replace(
            record,
            status=outcome.status,
            repairs="\n".join(outcome.repairs),
            warnings="\n".join(outcome.warnings),
            error_type=outcome.error_type,
            error=outcome.error,
        )

    def _tries(self, jobs: list[Job], folder: Path) -> Iterator[tuple[int, tuple[Job, Outcome]]]:
        """Numbers of jobs and their outcomes, each with where it lies, as they are finished."""
        if self.cluster and jobs:
            sight = Sight.of(folder, jobs[0].source.paths[:1])
            return self.cluster.map(attempt, jobs, sight, _lost)
        if self.jobs == 1 or len(jobs) < 2:
            return enumerate(map(attempt, jobs))
        return enumerate(map_in_workers(attempt, jobs, min(self.jobs, len(jobs))))


def attempt(job: Job) -> tuple[Job, Outcome]:
    """Do a job in a folder that is this attempt's alone.

    A worker that was thought dead may still be writing while another does its job again.
    """
    job.folder.mkdir(exist_ok=True)
    own = replace(job, folder=job.folder / uuid4().hex)
    return own, run(own)


def _lost(job: Job, error: MedganError) -> tuple[Job, Outcome]:
    return job, refused(error, job.root)


def row_of(record: Record) -> Row:
    """The row of the result for a record of the manifest."""
    made = record.status in ("converted", "repaired")
    return Row(
        record.source,
        record.part,
        record.status,
        record.output if made else None,
        Fault(record.error_type, record.error) if record.status == "refused" else None,
        record.error if record.status == "skipped" else None,
        tuple(filter(None, record.repairs.split("\n"))),
        tuple(filter(None, record.warnings.split("\n"))),
    )


def _foreseen(task: Task, options: Options, root: Path) -> Record:
    if task.source is None:
        return task.record
    outcome = foreseen(task.source, options, root)
    return replace(
        task.record, status=outcome.status, error_type=outcome.error_type, error=outcome.error
    )


def _published(target: Path, record: Record, job: Job) -> Record:
    """Move a finished result to its place, the sidecar first; the record says how large it is."""
    path = confined(target, PurePosixPath(record.output))
    files, size = extent(job.result)
    with output_errors(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except FileExistsError as error:
            raise OutputError(
                "is a file where a folder is needed", where=path.parent, remedy="Move it away"
            ) from error
        if (job.folder / SIDECAR).exists():
            (job.folder / SIDECAR).replace(sidecar_path(path))
        if path.is_dir():
            # A folder cannot take the place of one that is not empty.
            path.replace(job.folder / "replaced")
        job.result.replace(path)
    return replace(record, files=files, bytes=size)
