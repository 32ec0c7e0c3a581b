"""``medgan detect``: train a nodule detector on scans like LUNA16's, and look for nodules."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medgan.cli.console import JsonTarget
from medgan.cli.subsets import Subsets, subset_numbers

if TYPE_CHECKING:
    from medgan.data.luna16 import Luna16
    from medgan.detection import Detector, Mark

Scans = Annotated[
    Path, typer.Argument(metavar="SCANS", help="Folder in the form of LUNA16, subset0/<uid>.mhd.")
]
AnnotationsFile = Annotated[
    Path | None, typer.Option(help="CSV of the nodules; annotations.csv in SCANS by default.")
]
ExcludedFile = Annotated[
    Path | None,
    typer.Option(help="CSV of findings to ignore; annotations_excluded.csv in SCANS by default."),
]

group = typer.Typer(
    help="Train a nodule detector, or look for nodules with one. Research use only.",
    epilog="Example: medgan detect predict runs/detector luna16 results.csv --subsets 9",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)


@group.command()
def train(
    scans: Scans,
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="e.g. training.steps=500")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder to make.")] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Run folder to continue, with the same scans as before.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file of the detector.")] = None,
    subsets: Subsets = None,
    validation: Annotated[
        str | None,
        typer.Option(
            metavar="N,N...", help="Subsets to choose the best state by, not learnt from."
        ),
    ] = None,
    annotations: AnnotationsFile = None,
    excluded: ExcludedFile = None,
) -> None:
    """Train a nodule detector.

    Example: medgan detect train luna16 --subsets 0,1,2,3,4,5,6,7 --validation 8 --out runs/detector
    """
    from medgan.errors import ConfigError

    if (out is None) == (resume is None):
        raise ConfigError("one of --out and --resume is needed", remedy="Name a run folder")
    if resume is not None and (config or overrides):
        raise ConfigError("a resumed run has its configuration already", where=resume)
    held_out = subset_numbers(validation)
    if held_out is not None and (both := set(held_out) & set(subset_numbers(subsets) or ())):
        raise ConfigError("a subset to learn from and to validate on", measured=sorted(both))

    from medgan.cli.progress import training_progress
    from medgan.config import load_as, parse_as
    from medgan.data.luna16 import Luna16
    from medgan.detection import DetectorConfig, resume_detector, train_detector

    if config is not None:
        settings = load_as(DetectorConfig, config, overrides or ())
    else:
        settings = parse_as(DetectorConfig, {}, overrides or ())
    luna = Luna16.open(
        scans, subsets=_with(subsets, held_out), annotations=annotations, excluded=excluded
    )
    known = set(held_out or ())
    learn = [scan for scan in luna.scans if scan.subset not in known]
    judge = [scan for scan in luna.scans if scan.subset in known]
    if known and not judge:
        raise ConfigError("no scan in the validation's subsets", measured=sorted(known))
    steps = settings.training.steps if resume is None else None
    again = f"the same with --resume {resume or out} in place of --out and configuration"
    with training_progress(steps, again=again) as on_step:
        if resume is not None:
            resume_detector(learn, resume, validation=judge, on_step=on_step)
        else:
            assert out is not None
            train_detector(learn, settings, out, validation=judge, on_step=on_step)


@group.command()
def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Run folder or model file.")],
    scans: Scans,
    results: Annotated[
        Path,
        typer.Argument(
            metavar="RESULTS", help="CSV to write: seriesuid, coordX, coordY, coordZ, probability."
        ),
    ],
    subsets: Subsets = None,
    annotations: AnnotationsFile = None,
    seriesuids: Annotated[
        Path | None, typer.Option(help="Also write the list of the scans looked at.")
    ] = None,
    json_target: JsonTarget = None,
) -> None:
    """Look for nodules; `medgan froc` reads the result.

    Example: medgan detect predict runs/detector luna16 results.csv --subsets 9
    """
    from medgan.cli.console import emit_json, result_console
    from medgan.data.luna16 import Luna16
    from medgan.detection import Detector, write_marks
    from medgan.io.files import require_writable
    from medgan.io.luna16 import write_uids

    for target in (results, *([seriesuids] if seriesuids else [])):
        require_writable(target)
    detector = Detector.load(model)
    luna = Luna16.open(scans, subsets=subset_numbers(subsets), annotations=annotations)
    marks, problems = _marks(detector, luna)
    write_marks(results, marks)
    if seriesuids is not None:
        write_uids(seriesuids, marks)
    found = sum(len(of_scan) for of_scan in marks.values())
    out = result_console(json_target)
    out.print(f"{found} marks in {len(marks)} scans. {detector.card.intended_use}", highlight=False)
    document = {
        "scans": len(marks),
        "marks": found,
        "problems": problems,
        "intended_use": detector.card.intended_use,
    }
    emit_json(document, json_target)
    if problems:
        raise typer.Exit(1)


def _marks(
    detector: "Detector", luna: "Luna16"
) -> tuple[dict[str, "list[Mark]"], list[dict[str, Any]]]:
    """Marks by series UID, and what could not be looked at."""
    import logging

    from medgan.cli.console import progress
    from medgan.errors import MedganError

    marks = {}
    problems = [{"uid": p.uid, "what": p.what} for p in luna.problems]
    for scan in progress(luna.scans, "Looking for nodules"):
        try:
            marks[scan.uid] = detector.predict(scan.read(), scan.lungs())
        except MedganError as error:
            logging.getLogger(__name__).warning("left out: scan %s: %s", scan.uid, error.what)
            problems.append({"uid": scan.uid, "what": error.what})
    return marks, problems


def _with(subsets: str | None, held_out: tuple[int, ...] | None) -> tuple[int, ...] | None:
    """The subsets to open; None for all."""
    chosen = subset_numbers(subsets)
    return None if chosen is None else (*chosen, *(held_out or ()))
