"""Planning a batch of conversions: what goes where, what stands already, what cannot be."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from medgan.errors import ConfigError, FileError, MedganError, OutputError
from medgan.io import split_suffix
from medgan.io.batch.cluster import Cluster
from medgan.io.batch.conversion import Conversion, Task
from medgan.io.batch.job import ENDINGS, Options, Outcome, is_repairable, refused
from medgan.io.batch.manifest import Record, now, read_manifest
from medgan.io.batch.naming import FROM_PATHS, IDENTIFYING, check_template, fields_of
from medgan.io.batch.outputs import collisions, output_name
from medgan.io.batch.standing import Standing, fingerprint
from medgan.io.dicom import choose
from medgan.io.studies import Source, Tree, find_sources


@dataclass(frozen=True)
class Request:
    """What is to be converted, and how.

    Attributes:
        source: a file or a folder.
        target: folder for the results, or the file to make of a single source.
        options: what is done to every source.
        series: rule that picks one DICOM series of each study; None takes all.
        template: of the results' names; None: nothing that identifies for DICOM, else the
            source's own name.
        overwrite: convert again what stands already, and replace what others made.
        jobs: sources converted at the same time.
        dask: "local", or address of a scheduler, whose workers convert them.
    """

    source: Path
    target: Path
    options: Options
    series: str | None = None
    template: str | None = None
    overwrite: bool = False
    jobs: int = 1
    dask: str | None = None


def plan(request: Request) -> Conversion:
    """Find the sources, name the results and compare them with what stands in the target.

    Raises:
        FileError: nothing there, no file that could hold an image, or a foreign manifest.
        ConfigError: the options or the name template are wrong, a result would replace a source,
            or dask is asked for and not installed.
        OutputError: a result would leave the target.
    """
    _check_options(request.options)
    cluster = Cluster.of(request.dask, request.jobs)
    if cluster:
        # a worker was started in another folder
        names = ("source", "target")
        request = replace(request, **{name: getattr(request, name).absolute() for name in names})
    target, single = _target(request)
    template = _checked_template(request)
    inside = target.resolve().is_relative_to(request.source.resolve())
    if inside and target.resolve() == request.source.resolve():
        raise ConfigError(
            "results cannot go into the folder that is converted", remedy="Name another folder"
        )
    tree = find_sources(request.source, without=target if inside else None)
    if not tree.sources and not tree.leftovers:
        raise FileError("holds no file", where=request.source)
    chosen, unchosen = _choose(tree, request.series)
    if single and len(chosen) > 1:
        raise ConfigError(
            "several volumes cannot become one file",
            measured=f"{len(chosen)} volumes",
            remedy="Name a folder, or pick one with --series",
        )
    if request.options.to == "dicom" and request.options.deidentify:
        chosen = _whole_series(chosen, request.options)
    options, root = request.options, tree.root
    outputs = {source: single or output_name(source, root, template, options) for source in chosen}
    clashes = collisions(outputs, tree, target)
    there = Standing(target, read_manifest(target))
    moment = now()
    tasks = [Task(record) for record in unchosen]
    for source, output in outputs.items():
        if source in clashes:
            outcome = refused(clashes[source], root)
            tasks.append(Task(_left(source.name, source.part, outcome)))
            continue
        mark = fingerprint(source, root, options)
        record = Record(source.name, source.part, "pending", output, moment, mark)
        tasks.append(_task(request, source, record, there))
    tasks.sort(key=lambda task: (task.record.source, task.record.part))
    ours = {task.record.key for task in tasks}
    rest = tuple(record for key, record in there.records.items() if key not in ours)
    return Conversion(target, root, options, tuple(tasks), rest, request.jobs, cluster)


def _check_options(options: Options) -> None:
    if options.deidentify and options.to != "dicom":
        raise ConfigError(
            "is for DICOM results only",
            where="--deidentify",
            measured=f"--to {options.to}",
            remedy="Leave it out: the other formats hold no identity anyway",
        )


def _target(request: Request) -> tuple[Path, str]:
    """The folder of the results and, where a file was named, its name."""
    target = request.target
    ending = ENDINGS[request.options.to]
    known = split_suffix(target)[1] in ENDINGS.values() and split_suffix(target)[1]
    if target.is_file() or (known and not target.is_dir()):
        if known != ending:
            raise ConfigError(
                "the file named does not have the format asked for",
                where=target,
                limit=ending or "a folder",
            )
        if request.template:
            raise ConfigError("a template cannot name a file that is named", where="--name")
        return target.parent, target.name
    return target, ""


def _checked_template(request: Request) -> str | None:
    if request.template is None:
        return None
    check_template(request.template)
    identifying = fields_of(request.template) & {*IDENTIFYING, *FROM_PATHS}
    if identifying and request.options.deidentify:
        raise ConfigError(
            "names that identify and --deidentify contradict each other",
            where="--name",
            measured=", ".join(f"{{{field}}}" for field in sorted(identifying)),
            remedy="Leave --name out, or build it from {study} {series} {modality} {part} {number}",
        )
    return request.template


def _choose(tree: Tree, rule: str | None) -> tuple[list[Source], list[Record]]:
    """The sources to convert, and records of the rest."""
    rest = [
        _left(leftover.name, "", Outcome("skipped", error=leftover.reason))
        for leftover in tree.leftovers
    ]
    unread = [s for s in tree.sources if s.entry and s.entry.problem and not s.entry.series_uid]
    for source in unread:
        # Too damaged to say which series it belongs to: neither a rule nor a copy is possible.
        assert source.entry and source.entry.problem
        rest.append(_left(source.name, source.part, refused(source.entry.problem, tree.root)))
    known = [source for source in tree.sources if source not in unread]
    if rule is None:
        return known, rest
    chosen = [source for source in known if source.entry is None]
    studies: dict[str, list[Source]] = defaultdict(list)
    for source in known:
        if source.entry:
            studies[source.entry.study_uid].append(source)
    for sources in studies.values():
        outcome = Outcome("skipped", error="another series of the study was chosen")
        wanted = None
        try:
            wanted = choose([source.entry for source in sources if source.entry], rule)
        except ConfigError:
            raise
        except MedganError as error:
            outcome = refused(error, tree.root)
        chosen += [source for source in sources if source.entry is wanted]
        rest += [
            _left(source.name, source.part, outcome)
            for source in sources
            if source.entry is not wanted
        ]
    return chosen, rest


def _left(name: str, part: str, outcome: Outcome) -> Record:
    """The record of something that is not to be converted."""
    kind, message = outcome.error_type, outcome.error
    return Record(name, part, outcome.status, "", "", "", error_type=kind, error=message)


def _whole_series(sources: Iterable[Source], options: Options) -> list[Source]:
    """One source a series, since its files are copied whatever volumes they hold.

    What is to be repaired is not copied, and stays apart.
    """
    whole: dict[object, Source] = {}
    for source in sources:
        entry = source.entry
        if entry is None or is_repairable(entry, options):
            whole[source] = source
            continue
        first = whole.get(entry.series_uid)
        if first is None or first.entry is None:
            whole[entry.series_uid] = replace(source, entry=replace(entry, part=""))
            continue
        paths = tuple(dict.fromkeys(first.paths + source.paths))
        whole[entry.series_uid] = replace(
            first, paths=paths, entry=replace(first.entry, paths=paths)
        )
    return list(whole.values())


def _task(request: Request, source: Source, record: Record, there: Standing) -> Task:
    """What is to be done for one source, given what stands in the target."""
    before = there.records.get(record.key)
    if before:
        if before.fingerprint == record.fingerprint:
            if there.keeps(before) and not request.overwrite:
                return Task(before)
            record = replace(record, created=before.created)
        record = record.over(before)
    try:
        there.require_replaceable(record.output, overwrite=request.overwrite)
    except OutputError as error:
        kind, message = type(error).__name__, str(error)
        return Task(replace(record, status="refused", error_type=kind, error=message))
    return Task(record, source)
