"""Planning a batch of translations: what goes where, what stands already, what cannot be."""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from medgan.errors import ConfigError, FileError, OutputError
from medgan.inference.batch import MADE, Batch, Task, refused
from medgan.inference.choice import Chosen, Left, choose_sources
from medgan.inference.job import Irregular
from medgan.inference.outputs import To, format_for, format_of, place_of, require_apart
from medgan.inference.quality import fingerprint_of, record_path
from medgan.inference.translator import Translator
from medgan.io import SUFFIXES
from medgan.io.batch.cluster import Cluster
from medgan.io.batch.job import Format, Options
from medgan.io.batch.manifest import Key, Record, now, read_manifest
from medgan.io.batch.staging import STAGING
from medgan.io.batch.standing import extent, fingerprint
from medgan.io.files import content_sha256
from medgan.io.studies import Tree, find_sources
from medgan.models.model_file import Direction

_PLANE = re.compile(r"\d{4,}\.dcm")
"""What files of a series are called here."""


@dataclass(frozen=True)
class Request:
    """What is to be translated, and how.

    Attributes:
        model: run folder or model file, for workers to load.
        source: a file, or a folder searched through and through.
        target: the file to make of a single volume, or the folder for the results. Where it lies
            inside the source it is not searched: a second run does not translate the first one's
            results. It may be a source that holds studies only: each gets its synthetic series.
        direction: "forward" is the model's source to target.
        to: "same" keeps each source's format; a file that is named has that of its ending.
        series: rule that picks the DICOM series of each study; None where each has one to pick.
        irregular: "resample" repairs the geometry of DICOM series where that is possible.
        details: also write the maps that explain each result.
        overwrite: translate again what stands already, and replace files of others.
        jobs: sources translated at the same time.
        dask: "local", or address of a scheduler, whose workers translate them.
        also: files of further contrasts in register with the source, which is one file then.
        strict: refuse what a guard warns of.
        created: time of creation that results carry, ISO 8601; None: now, or that of the earlier
            run which is resumed.
    """

    model: Path
    source: Path
    target: Path
    direction: Direction = "forward"
    to: To = "same"
    series: str | None = None
    irregular: Irregular = "error"
    details: bool = False
    overwrite: bool = False
    jobs: int = 1
    dask: str | None = None
    also: tuple[Path, ...] = ()
    strict: bool = False
    created: str | None = None


def plan(request: Request, translator: Translator) -> Batch:
    """Find the volumes, name the results and compare them with what stands in the target.

    Args:
        request: what is to be done.
        translator: of the request's model and direction.

    Raises:
        FileError: nothing there, no volume in the folder, a contrast that is missing, or a
            foreign manifest.
        ConfigError: the rule for series is wrong, or a file is named for several volumes or in
            another format than the one asked for; a model of several contrasts, and more than
            one scan; dask is not installed, or asked for one file.
        DataError: the model reads more or fewer contrasts than are named.
        OutputError: a file is to become a folder that is there, or a folder a file; a result would
            replace a source or another result, or its format is unknown.
    """
    cluster = Cluster.of(request.dask, request.jobs)
    if cluster:
        # a worker was started in another folder
        names = ("model", "source", "target")
        request = replace(request, **{name: getattr(request, name).absolute() for name in names})
    tree = _tree(request)
    _require_contrasts(request, translator, tree)
    within = request.source.resolve() == request.target.resolve()
    choice = choose_sources(tree, translator.source, request.series, within=within)
    named = _named_file(request, tree)
    if named and cluster:
        raise ConfigError("is for folders: one file is translated here", where="--dask")
    if named and len(choice.chosen) > 1:
        raise ConfigError(
            "several volumes cannot become one file",
            where=named,
            measured=f"{len(choice.chosen)} volumes",
            remedy="Name a folder",
        )
    target = named.parent if named else request.target
    to: To = (named and format_of(named.name)) or request.to
    places = {
        chosen: named.name if named else place_of(chosen, to, tree.root, translator.target)
        for chosen in choice.chosen
    }
    labels = {_label(chosen): place for chosen, place in places.items()}
    read = [path for source in tree.sources for path in source.paths]
    require_apart(labels, target, [*read, *request.also])
    planner = _Planner(
        request, translator, tree.root, target, None if named else read_manifest(target)
    )
    tasks = [planner.left(left) for left in choice.left]
    tasks += [planner.task(chosen, format_for(chosen, to), p) for chosen, p in places.items()]
    tasks.sort(key=lambda task: (task.record.source, task.record.part))
    return Batch(
        translator=translator,
        model=request.model,
        direction=request.direction,
        root=tree.root,
        target=target,
        tasks=tuple(tasks),
        irregular=request.irregular,
        details=request.details,
        jobs=request.jobs,
        cluster=cluster,
        also=request.also,
        strict=request.strict,
        earlier=None if named else tuple(planner.earlier_but(tasks)),
    )


def _tree(request: Request) -> Tree:
    """What the source holds, but for the results in it."""
    source, target = request.source.resolve(), request.target.resolve()
    without = None
    if source == target:
        without = request.target / STAGING
    elif target.is_relative_to(source):
        without = request.target
    tree = find_sources(request.source, without=without)
    if not tree.sources:
        limit = f"DICOM CT or MR, {', '.join(SUFFIXES)}"
        what = "no volume in this folder" if request.source.is_dir() else "holds no volume"
        raise FileError(what, where=request.source, limit=limit)
    return tree


def _require_contrasts(request: Request, translator: Translator, tree: Tree) -> None:
    """Refuse contrasts that do not fit the model, or of which it is not said what they go with."""
    missing = next((path for path in request.also if not path.is_file()), None)
    if missing:
        raise FileError("no such file", where=missing)
    several = translator.contrasts > 1 or request.also
    if several and (request.source.is_dir() or tree.sources[0].entry is not None):
        raise ConfigError(
            "which contrasts belong together is said for one file at a time",
            where=request.source,
            measured=f"a model of {translator.contrasts} contrasts",
            remedy="Translate each scan by itself: medgan translate MODEL t1.nii.gz out.nii.gz "
            "--also t2.nii.gz; `medgan convert` makes files of DICOM series",
        )
    translator.require_contrasts(1 + len(request.also))


def _named_file(request: Request, tree: Tree) -> Path | None:
    """The target where it is a file and not a folder.

    Raises:
        OutputError: it is one and must be the other, or its format is unknown.
        ConfigError: another format is asked for.
    """
    target, wanted = request.target, request.to
    if target.is_dir():
        if _makes_a_file(request, tree):
            raise OutputError("is a folder", where=target, remedy="Name the file to write")
        return None
    kind = format_of(target.name)
    if kind is None and target.is_file():
        raise OutputError("is a file", where=target, remedy="Name a folder for the results")
    if kind is None and _makes_a_file(request, tree):
        raise OutputError("no format ends like this", where=target, limit=", ".join(SUFFIXES))
    if kind and wanted not in ("same", kind):
        raise ConfigError(
            "the file named does not have the format asked for", where=target, limit=wanted
        )
    return target if kind else None


def _makes_a_file(request: Request, tree: Tree) -> bool:
    """Whether the source is the file of a volume that is not to become a series."""
    is_volume = request.source.is_file() and tree.sources[0].entry is None
    return is_volume and request.to != "dicom"


def _label(chosen: Chosen) -> str:
    part = f" ({chosen.source.part})" if chosen.source.part else ""
    return f"{chosen.source.name}{part}"


class _Planner:
    """What is to be done for each source, given what stands in the target."""

    def __init__(
        self,
        request: Request,
        translator: Translator,
        root: Path,
        target: Path,
        records: dict[Key, Record] | None,
    ) -> None:
        """Of a single file that was named there are no records."""
        self.request, self.translator, self.root = request, translator, root
        self.target, self.named, self.records = target, records is None, records or {}
        self.moment = request.created or now()
        self.made = {r.output for r in self.records.values() if r.files or r.status == "pending"}

    def left(self, left: Left) -> Task:
        """The record of something that is not to be translated."""
        record = Record(left.name, left.part, "skipped", "", "", "", error=left.reason)
        return Task(refused(record, left.error, self.root) if left.error else record)

    def task(self, chosen: Chosen, kind: Format, place: str) -> Task:
        """What is to be done for one source."""
        source, overwrite = chosen.source, self.request.overwrite
        mark = self._fingerprint(chosen, kind)
        record = Record(source.name, source.part, "pending", place, self.moment, mark)
        before = self.records.get(record.key)
        if before:
            if before.fingerprint == mark:
                if self._keeps(before) and not overwrite:
                    return Task(before)
                record = replace(record, created=self.request.created or before.created)
            record = record.over(before)
        there = (self.target / place).exists()
        if there and kind == "dicom" and not self._is_ours(place):
            return Task(refused(record, _foreign(place), self.root))
        if there and kind != "dicom" and not (overwrite or self._is_ours(place)):
            return Task(self._left_standing(record))
        return Task(record, source, dicom=kind == "dicom")

    def _left_standing(self, record: Record) -> Record:
        """Of a file that is there and in no manifest.

        In a folder it is left alone. One that was named was meant to become this very result: if
        it is not, who goes on with it would take another scan's for it.
        """
        if not self.named:
            return replace(record, status="skipped", error="is there already")
        if fingerprint_of(self.target / record.output) == record.fingerprint:
            return replace(record, status="skipped", error="finished before")
        return refused(record, _another(record.output), self.root)

    def earlier_but(self, tasks: Iterable[Task]) -> Iterable[Record]:
        """The records of results in the manifest that no task is about.

        What was refused then and is not now has another name: that of its series.
        """
        ours = {task.record.key for task in tasks}
        return [r for key, r in self.records.items() if key not in ours and r.output]

    def _fingerprint(self, chosen: Chosen, kind: Format) -> str:
        """A hash of all that a result follows from, as far as is known without reading it."""
        request = self.request
        options = Options(kind, request.irregular)
        facts = [
            fingerprint(chosen.source, self.root, options),
            self.translator.model.sha256,
            request.direction,
            request.details,
            request.strict,
            *map(content_sha256, request.also),
        ]
        if self.translator.bf16:
            facts.append("bf16")
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    def _keeps(self, record: Record) -> bool:
        """Whether a finished result is there as its row says, and its quality record with it."""
        result = self.target / record.output
        whole = extent(result) == (record.files, record.bytes) and record_path(result).is_file()
        return record.status in MADE and whole

    def _is_ours(self, place: str) -> bool:
        """Whether an earlier batch made what is there, or was killed while it did."""
        result = self.target / place
        return place in self.made and (
            result.is_file() or all(_PLANE.fullmatch(path.name) for path in result.iterdir())
        )


def _another(place: str) -> OutputError:
    return OutputError(
        "is there already, and not known as the result of this scan, model and options",
        where=place,
        remedy="Name another file, or replace it with --overwrite",
    )


def _foreign(place: str) -> OutputError:
    return OutputError(
        "is there already, with files that medgan did not write",
        where=place,
        remedy="Move it away, or translate into another folder",
    )
