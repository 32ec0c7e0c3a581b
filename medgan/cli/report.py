"""``medgan report``."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from medgan.config import PairConfig, TrainConfig
    from medgan.report.images import CaseImages
    from medgan.report.runs import Run

_log = logging.getLogger(__name__)


def command(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of runs.")],
    out: Annotated[
        Path | None, typer.Option(help="The file to write; default: report.html in the first RUN.")
    ] = None,
    sync: Annotated[
        bool, typer.Option("--sync", help="Bring the MLflow store of each RUN up to date.")
    ] = False,
) -> None:
    """Write one self-contained HTML file about one run, or several side by side.

    Example: medgan report runs/t1_to_ct runs/t1_to_ct_wide --out comparison.html
    """
    from medgan.cli.console import console
    from medgan.report.html import write_report
    from medgan.report.runs import read_runs, run_report

    path = out or runs[0] / "report.html"
    read = read_runs(runs)
    images = {
        run.name: list(_images(folder, run, _shown_cases(read)))
        for folder, run in zip(runs, read, strict=True)
    }
    write_report(path, run_report(read, images))
    console(standard_output=True).print(f"Report: {path}", highlight=False, markup=False)
    if sync:
        _sync(runs)


def _sync(runs: list[Path]) -> None:
    from medgan.cli.console import console
    from medgan.training.sync import sync_run

    for run in runs:
        sent = sync_run(run)
        text = f"{run.name} is run {sent.run_id}; sent {sent.values} values, {sent.files} files"
        console(standard_output=True).print(f"MLflow: {text}", highlight=False, markup=False)


def _shown_cases(runs: "Sequence[Run]") -> list[str]:
    """Names of the cases to look at, the worst first; of several runs the first one's worst."""
    from medgan.report.cases import VIEWED_CASES
    from medgan.report.evaluation import worst_first

    evaluation = next((run.evaluation for run in runs if run.evaluation), None)
    if evaluation is None:
        return []
    each = max(1, VIEWED_CASES // len(runs))
    return [evaluation["cases"][position]["case"] for position in worst_first(evaluation)][:each]


def _images(folder: Path, run: "Run", names: list[str]) -> "Iterator[CaseImages]":
    """Those of the cases that this run was evaluated on, with the predictions that it left."""
    numbers = {case["case"]: n for n, case in enumerate(run.evaluation.get("cases", []), 1)}
    predictions = {name: folder / "predictions" / f"{name}.nii.gz" for name in names}
    found = [name for name in names if name in numbers and predictions[name].is_file()]
    if not found:
        return
    # Only now: what reads a training's scans brings torch with it.
    from medgan.config import load_config
    from medgan.errors import ConfigError, DataError, FileError, GeometryError

    config = load_config(folder / "config.yaml")
    pairs = {pair.name: pair for pair in config.evaluation}
    for name in (name for name in found if name in pairs):
        try:
            yield _case_images(config, pairs[name], predictions[name])
        except (ConfigError, DataError, FileError, GeometryError):
            # Without the error's text, in which a file may be named after a patient.
            _log.warning("%s: the scans of case %d cannot be read", run.name, numbers[name])


def _case_images(config: "TrainConfig", pair: "PairConfig", prediction: Path) -> "CaseImages":
    from medgan.io import read_volume
    from medgan.recipes.scans import read_pair
    from medgan.report.attention import read_attention
    from medgan.report.images import CaseImages

    source, target = config.modalities
    result = read_volume(prediction, modality=target)
    ends = read_pair(config, pair)
    kept = prediction.parent.with_name("attention") / prediction.name
    attention = read_attention(kept) if kept.is_file() else None
    return CaseImages(pair.name, result, ends[source], ends[target], attention)
