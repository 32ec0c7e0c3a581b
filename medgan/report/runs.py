"""Run folders of a training read back and reported on."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from medgan.errors import FileError
from medgan.report.cases import case_label, case_sections, image_sections, spread_figure
from medgan.report.compare import comparison_tables, side_by_side
from medgan.report.evaluation import definition_text, summary_tables
from medgan.report.html import Figure, Report, Section, Table
from medgan.report.images import CaseImages
from medgan.report.plots import learning_curves

PREVIEWS = 3
"""Previews shown of a run: the first, the last and the ones between, evenly spaced."""

_SETTINGS = ("name", "source", "target", "preparation", "network", "losses", "training")
"""Parts of a configuration that are shown; the others hold paths, which may name patients."""


@dataclass(frozen=True)
class Run:
    """What a run folder holds so far; whatever is not there yet is empty.

    Attributes:
        name: of the folder.
        config: effective configuration.
        environment: versions and hardware.
        metrics: one record a logged step.
        seconds_per_step: as logged, in order.
        chosen: why the best checkpoint was chosen.
        evaluation: the document of ``medgan evaluate``.
        previews: PNG files by name.
    """

    name: str
    config: Mapping[str, Any]
    environment: Mapping[str, Any]
    metrics: Sequence[Mapping[str, Any]]
    seconds_per_step: Sequence[float]
    chosen: Mapping[str, Any]
    evaluation: Mapping[str, Any]
    previews: Mapping[str, bytes]


def read_run(folder: Path) -> Run:
    """Read a run folder, finished or not.

    Raises:
        FileError: no ``config.yaml`` in it, or a file that is damaged.
    """
    config_path = folder / "config.yaml"
    if not config_path.is_file():
        raise FileError(
            "not a run folder: no config.yaml",
            where=folder,
            remedy="Name the folder that `medgan train` wrote",
        )
    try:
        config = yaml.safe_load(config_path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise FileError("not valid YAML", where=config_path) from error
    if not isinstance(config, dict):
        raise FileError("a configuration is a mapping", where=config_path)
    previews = sorted((folder / "previews").glob("*.png"))
    timing = _read_lines(folder / "timing.jsonl")
    return Run(
        name=folder.resolve().name,
        config=config,
        environment=_read_object(folder / "environment.json"),
        metrics=_read_lines(folder / "metrics.jsonl"),
        seconds_per_step=[
            line["seconds_per_step"] for line in timing if "seconds_per_step" in line
        ],
        chosen=_read_object(folder / "checkpoints" / "best" / "reason.json"),
        evaluation=_read_object(folder / "evaluation.json"),
        previews={path.stem: path.read_bytes() for path in _spread(previews, PREVIEWS)},
    )


def read_runs(folders: Sequence[Path]) -> list[Run]:
    """Read several run folders; of those with the same name, the later ones are numbered.

    Raises:
        FileError: as ``read_run``.
    """
    runs: list[Run] = []
    for folder in folders:
        run = read_run(folder)
        alike = sum(folder.resolve().name == other.resolve().name for other in folders[: len(runs)])
        runs.append(replace(run, name=f"{run.name} ({alike + 1})") if alike else run)
    return runs


def run_report(
    runs: Sequence[Run], images: Mapping[str, Sequence[CaseImages]] | None = None
) -> Report:
    """One report on one run, or on several side by side.

    Args:
        runs: at least one.
        images: of cases that a run was evaluated on, to look at, by the name of the run.
    """
    names = ", ".join(run.name for run in runs)
    sections = [
        Section("Training", tables=[_overview(runs)]),
        *_evaluations(runs, images or {}),
        *_curves([run for run in runs if run.metrics]),
        *(_previews(run) for run in runs if run.previews),
    ]
    provenance: dict[str, Any] = {}
    for run in runs:
        prefix = f"{run.name}: " if len(runs) > 1 else ""
        shown = {key: run.config[key] for key in _SETTINGS if key in run.config}
        for part in (run.environment, shown):
            provenance |= {f"{prefix}{name}": value for name, value in _flat(part).items()}
    return Report(
        f"Training run {names}" if len(runs) == 1 else f"Training runs {names}",
        summary=[_conclusion(run) for run in runs],
        sections=sections,
        provenance=provenance,
    )


def _conclusion(run: Run) -> str:
    if not run.metrics:
        return f"{run.name}: nothing has been logged yet."
    text = f"{run.name}: {_last_step(run)} steps logged"
    if "step" in run.chosen:
        text += f"; best checkpoint at step {run.chosen['step']}"
        if "reason" in run.chosen:
            text += f", chosen by {run.chosen['reason']}"
    return f"{text}."


def _last_step(run: Run) -> int | None:
    return max((record["step"] for record in run.metrics if "step" in record), default=None)


def _overview(runs: Sequence[Run]) -> Table:
    scores = dict.fromkeys(name for run in runs for name in run.chosen.get("scores", {}))
    columns = ["run", "steps", "seconds a step (median)", "best step", "best score", *scores]
    rows = [
        [
            run.name,
            _last_step(run),
            median(run.seconds_per_step) if run.seconds_per_step else None,
            run.chosen.get("step"),
            run.chosen.get("score"),
            *(run.chosen.get("scores", {}).get(name) for name in scores),
        ]
        for run in runs
    ]
    return Table("Progress, and the scores by which the best checkpoint was chosen.", columns, rows)


def _evaluations(runs: Sequence[Run], images: Mapping[str, Sequence[CaseImages]]) -> list[Section]:
    documents = {run.name: run.evaluation for run in runs if run.evaluation}
    missing = [f"{run.name}: not evaluated, it holds no evaluation.json." for run in runs
               if not run.evaluation]  # fmt: skip
    summary = Section("Evaluation", missing, tables=summary_tables(documents))
    if not documents:
        return [summary]
    if len(documents) == 1:
        ((name, document),) = documents.items()
        shown = case_sections(document, images.get(name, ()), names=False, name=name)
        return [summary, *shown]
    first, reference = next(iter(documents.items()))
    labelled: dict[str, dict[str, CaseImages]] = {}
    for name, document in documents.items():
        if document["unit"] != reference["unit"]:
            continue
        positions = {case["case"]: number for number, case in enumerate(document["cases"])}
        labelled[name] = {
            f"{name}: {case_label(document, positions[case.name], names=False)}": case
            for case in images.get(name, ())
        }
    choice = f"What had the largest mean absolute error in {first}, as each run translated it."
    shown = image_sections(labelled, reference["unit"], choice)
    return [summary, _comparison(documents), *shown]


def _comparison(documents: Mapping[str, Mapping[str, Any]]) -> Section:
    groups: dict[str, dict[str, Mapping[str, Any]]] = {}
    for name, document in documents.items():
        groups.setdefault(definition_text(document), {})[name] = document
    return Section(
        "Runs side by side",
        ["Cases are numbered in the order of the evaluation."],
        tables=[*comparison_tables(documents), *side_by_side(documents)],
        figures=[spread_figure(group) for group in groups.values() if len(group) > 1],
    )


def _curves(runs: Sequence[Run]) -> list[Section]:
    if not runs:
        return []
    names = ", ".join(run.name for run in runs)
    figure = Figure(
        learning_curves({run.name: run.metrics for run in runs}),
        f"Line plots of everything logged while training {names}, over the steps.",
        "Everything logged, one plot each" + (", all runs in it." if len(runs) > 1 else "."),
        plot=True,
    )
    return [Section(f"Learning curves of {names}", figures=[figure])]


def _previews(run: Run) -> Section:
    figures = [
        Figure(png, f"Preview {name} of run {run.name}: slices translated by the model.", name)
        for name, png in run.previews.items()
    ]
    return Section(f"Previews of {run.name}", figures=figures)


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _spread(items: Sequence[Path], count: int) -> list[Path]:
    if len(items) <= count:
        return list(items)
    return [items[round(i * (len(items) - 1) / (count - 1))] for i in range(count)]


def _read_object(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise FileError("not valid JSON", where=path) from error
    if not isinstance(value, dict):
        raise FileError("a JSON object is expected", where=path)
    return value


def _read_lines(path: Path) -> list[dict[str, Any]]:
    """Records of a log, less a last line that a running or killed training left half-written."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    records = []
    for number, line in enumerate(lines, 1):
        try:
            records.append(json.loads(line))
        except ValueError as error:
            if number < len(lines):
                raise FileError(f"line {number} is not valid JSON", where=path) from error
    return records
