"""A batch of translations: resumed, spread over workers, and recorded.

Results for a folder are made in a folder of their own inside it and moved to their place by one
process; a manifest beside them, of the kind that conversions have, fixes the time of creation that
each result carries. Killed at any moment and started again, a batch ends with the very same files.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Literal

from medgan.errors import MedganError
from medgan.inference.files import make_folder_of
from medgan.inference.guards import finding_names
from medgan.inference.job import Irregular, Job, Outcome, attempt, failed, run
from medgan.inference.translator import Translator
from medgan.inference.workers import Loading, run_in_workers, run_on_cluster
from medgan.io.batch.cluster import Cluster
from medgan.io.batch.manifest import Key, Record, Status
from medgan.io.batch.naming import confined
from medgan.io.batch.recording import recorded
from medgan.io.batch.standing import extent
from medgan.io.files import output_errors
from medgan.io.studies import Source
from medgan.models.model_file import Direction

MADE = ("converted", "repaired")
"""What a manifest says of a finished result."""


@dataclass(frozen=True)
class Row:
    """What became of one source.

    Attributes:
        source: relative to the folder that was searched.
        status: "skipped" is also what was finished before.
        output: the result; None where there is none.
        error: why it failed.
        part: what sets the volume apart within its DICOM series; mostly empty.
        reason: why it was skipped.
        repairs: what was done to irregular geometry.
        warnings: what is odd about the source or the result.
        findings: names of the guards that gave those warnings.
    """

    source: str
    status: Literal["translated", "skipped", "failed"]
    output: str | None = None
    error: str | None = None
    part: str = ""
    reason: str | None = None
    repairs: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The source and its part, for people."""
        return f"{self.source} ({self.part})" if self.part else self.source


@dataclass(frozen=True)
class Task:
    """A record and, where something is to be done, the source and whether it becomes a series."""

    record: Record
    source: Source | None = None
    dicom: bool = False


@dataclass(frozen=True, eq=False)
class Batch:
    """A planned batch. ``len()`` is the number of sources still to translate.

    Attributes:
        translator: the model, for one job at a time.
        model: run folder or model file, for workers to load.
        direction: of the translation.
        root: folder that names of sources start from.
        target: folder of the results.
        tasks: in the order of their rows.
        irregular: "resample" repairs the geometry of DICOM series where that is possible.
        details: also write the maps that explain each result.
        jobs: sources translated at the same time.
        cluster: the workers of dask that translate them; None: processes of this machine.
        also: files of further contrasts, where the source is one file.
        strict: refuse what a guard warns of.
        earlier: records of the manifest that this batch does not touch; None: a single file is
            made, which needs no manifest.
    """

    translator: Translator
    model: Path
    direction: Direction
    root: Path
    target: Path
    tasks: tuple[Task, ...]
    irregular: Irregular = "error"
    details: bool = False
    jobs: int = 1
    cluster: Cluster | None = None
    also: tuple[Path, ...] = ()
    strict: bool = False
    earlier: tuple[Record, ...] | None = None
    records: dict[Key, Record] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.records.update({record.key: record for record in self.earlier or ()})
        self.records.update({task.record.key: task.record for task in self.tasks})

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[Row]:
        """Translate what is still to be translated, and yield the row of each."""
        if self.earlier is None:
            return self._run_in_place()
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

    @property
    def _open(self) -> list[Task]:
        return [task for task in self.tasks if task.source is not None]

    def _run_in_place(self) -> Iterator[Row]:
        for task in self._open:
            outcome = run(self.translator, self._job(task, self.target))
            self.records[task.record.key] = _recorded(task.record, outcome)
            yield self._row(task)

    def _job(self, task: Task, folder: Path) -> Job:
        assert task.source is not None
        record = task.record
        return Job(
            source=task.source,
            root=self.root,
            result=folder / PurePosixPath(record.output).name,
            dicom=task.dicom,
            created=record.created,
            seed=record.fingerprint,
            irregular=self.irregular,
            details=self.details,
            also=self.also,
            strict=self.strict,
        )

    def _tries(self, jobs: list[Job], folder: Path) -> Iterator[tuple[int, tuple[Job, Outcome]]]:
        """Numbers of jobs and their outcomes, each with where it lies, as they are finished."""
        translator = self.translator
        loading = Loading(self.model, translator.model.sha256, self.direction, translator.bf16)
        workers = min(self.jobs, len(jobs))
        if self.cluster and jobs:
            yield from run_on_cluster(jobs, loading, self.cluster, folder)
        elif workers > 1:
            yield from enumerate(run_in_workers(jobs, loading, workers))
        else:
            yield from enumerate(attempt(self.translator, job) for job in jobs)

    def _finished(self, record: Record, job: Job, outcome: Outcome) -> Record:
        """The record of a job that was tried, once its result is in place."""
        record = _recorded(record, outcome)
        return self._publish(record, job) if outcome.status == "translated" else record

    def _publish(self, record: Record, job: Job) -> Record:
        """Move a result and its maps to their place; the result last, for it says all is done."""
        files, size = extent(job.result)
        try:
            path = confined(self.target, PurePosixPath(record.output))
            make_folder_of(path)
            with output_errors(path):
                for found in sorted(job.result.parent.iterdir()):
                    if found != job.result:
                        found.replace(path.with_name(found.name))
                if path.is_dir():
                    # A folder cannot take the place of one that is not empty.
                    path.replace(job.result.with_name(".replaced"))
                job.result.replace(path)
        except MedganError as error:
            return refused(record, error, self.root)
        return replace(record, files=files, bytes=size)

    def _row(self, task: Task) -> Row:
        record = self.records[task.record.key]
        warnings = tuple(filter(None, record.warnings.split("\n")))
        row = Row(
            source=record.source,
            status="failed",
            part=record.part,
            repairs=tuple(filter(None, record.repairs.split("\n"))),
            warnings=warnings,
            findings=finding_names(warnings),
        )
        if record.status in ("refused", "pending"):
            return replace(row, error=record.error)
        output = str(self.target / record.output) if record.output else None
        if record.status in MADE and task.source is not None:
            return replace(row, status="translated", output=output)
        reason = record.error or "finished before"
        return replace(row, status="skipped", output=output, reason=reason)


def refused(record: Record, error: MedganError, root: Path) -> Record:
    """The record of something that could not be translated."""
    return _recorded(record, failed(error, root))


def _recorded(record: Record, outcome: Outcome) -> Record:
    """A record after its job, in the words of a manifest."""
    status: Status = "repaired" if outcome.repairs else "converted"
    return replace(
        record,
        status=status if outcome.status == "translated" else "refused",
        repairs="\n".join(outcome.repairs),
        warnings="\n".join(outcome.warnings),
        error_type=outcome.error_type,
        error=outcome.error,
    )
