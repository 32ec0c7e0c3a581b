"""``medgan nodules``: nodules into scans like LUNA16's or out of them, and synthetic slices."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medgan.cli.console import JsonTarget
from medgan.cli.subsets import Subsets, subset_numbers

if TYPE_CHECKING:
    from medgan.data.luna16 import Luna16
    from medgan.inference.luna16_writing import Failure, Outcome
    from medgan.inference.nodules import NoduleInserter


class DensityChoice(StrEnum):
    """How a nodule attenuates."""

    SOLID = "solid"
    PART_SOLID = "part-solid"
    GROUND_GLASS = "ground-glass"


ModelPlace = Annotated[
    Path, typer.Argument(metavar="MODEL", help="Run folder or model file of nodules.")
]
Scans = Annotated[
    Path, typer.Argument(metavar="SCANS", help="Folder in the form of LUNA16, subset0/<uid>.mhd.")
]
Out = Annotated[
    Path,
    typer.Argument(metavar="OUT", help="Folder to make, or to continue; in the same form."),
]
Diameter = Annotated[
    tuple[float, float],
    typer.Option(metavar="MIN MAX", help="mm; between them distributed as in LUNA16."),
]
DensityOption = Annotated[
    DensityChoice | None, typer.Option(help="Of all nodules; drawn by default, most solid.")
]
OnWall = Annotated[
    float, typer.Option(min=0, max=1, help="Share of them at the pleura, which cuts them.")
]

group = typer.Typer(
    help="Synthetic nodules into scans, annotated ones out, or whole slices. Research use only.",
    epilog="Example: medgan nodules insert runs/luna16_nodules luna16 synthetic --subsets 0,1",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)


@group.command()
def insert(
    model: ModelPlace,
    scans: Scans,
    out: Out,
    per_scan: Annotated[int, typer.Option(min=1, help="Nodules in every scan.")] = 2,
    diameter: Diameter = (4.0, 20.0),
    density: DensityOption = None,
    on_wall: OnWall = 0.2,
    seed: Annotated[int, typer.Option(min=0, help="Draws shapes and sites.")] = 0,
    subsets: Subsets = None,
    json_target: JsonTarget = None,
) -> None:
    """Put nodules into healthy lung; every scan becomes a copy with a UID of its own.

    Example: medgan nodules insert runs/luna16_nodules luna16 synthetic --per-scan 3 --diameter 6 12
    """
    from medgan.cli.console import progress
    from medgan.inference.luna16_writing import insert_into_scans
    from medgan.inference.nodule_plan import InsertionPlan

    plan = InsertionPlan(
        per_scan, diameter, None if density is None else density.value, on_wall, seed
    )
    inserter, luna = _opened(model, scans, out, subsets)
    inserter.require_fitting(plan.diameters_mm[1])
    outcome = insert_into_scans(inserter, progress(luna.scans, "Inserting"), out, plan)
    _report(outcome, luna, json_target)


@group.command()
def remove(
    model: ModelPlace,
    scans: Scans,
    out: Out,
    subsets: Subsets = None,
    json_target: JsonTarget = None,
) -> None:
    """Take the annotated nodules out; every scan becomes a copy with a UID of its own.

    Example: medgan nodules remove runs/luna16_nodules luna16 healthy --subsets 0
    """
    from medgan.cli.console import progress
    from medgan.inference.luna16_writing import remove_from_scans

    inserter, luna = _opened(model, scans, out, subsets)
    outcome = remove_from_scans(inserter, progress(luna.scans, "Removing"), out)
    _report(outcome, luna, json_target)


@group.command()
def slices(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="Run folder or model file, masks to CT.")
    ],
    scans: Scans,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to make, or to continue.")],
    per_scan: Annotated[int, typer.Option(min=0, help="New nodules in every scan's map.")] = 2,
    diameter: Diameter = (4.0, 20.0),
    density: DensityOption = None,
    on_wall: OnWall = 0.2,
    every: Annotated[
        int, typer.Option(min=1, help="Besides those through nodules, each N-th slice with lung.")
    ] = 10,
    seed: Annotated[int, typer.Option(min=0, help="Draws shapes, sites and noise.")] = 0,
    subsets: Subsets = None,
    json_target: JsonTarget = None,
) -> None:
    """Draw axial slices from maps of the scans' tissues, annotated and new nodules among them.

    OUT/synthetic and OUT/real hold slices of one grid, OUT/synthetic_masks and OUT/real_masks their
    nodules, as `medgan compare-sets` takes them.

    Example: medgan nodules slices runs/luna16_slices luna16 slices --subsets 0,1 --per-scan 3
    """
    from medgan.cli.console import progress
    from medgan.data.luna16 import Luna16
    from medgan.inference.mask_slices import SlicePainter
    from medgan.inference.nodule_plan import InsertionPlan
    from medgan.inference.slice_writing import SlicePlan, paint_scans

    new = None
    if per_scan:
        new = InsertionPlan(
            per_scan, diameter, None if density is None else density.value, on_wall, seed
        )
    plan = SlicePlan(new, every, seed)
    _require_apart(scans, out)
    painter = SlicePainter.load(model)
    luna = Luna16.open(scans, subsets=subset_numbers(subsets))
    outcome = paint_scans(painter, progress(luna.scans, "Drawing"), out, plan)
    count = sum(len(scan.slices) for scan in outcome.made)
    new_nodules = sum(len(scan.nodules) for scan in outcome.made)
    said = (
        f"{count} synthetic slices of {len(outcome.made)} scans, {new_nodules} new nodules in them"
    )
    facts = {
        "scans": len(outcome.made),
        "slices": count,
        "nodules": new_nodules,
        "uids": [scan.uid for scan in outcome.made],
    }
    _finish(said, facts, luna, outcome.failures, json_target)


def _opened(
    model: Path, scans: Path, out: Path, subsets: str | None
) -> tuple["NoduleInserter", "Luna16"]:
    from medgan.data.luna16 import Luna16
    from medgan.inference.nodules import NoduleInserter

    _require_apart(scans, out)
    inserter = NoduleInserter.load(model)
    return inserter, Luna16.open(scans, subsets=subset_numbers(subsets))


def _require_apart(scans: Path, out: Path) -> None:
    from medgan.errors import ConfigError

    if out.resolve() == scans.resolve() or scans.resolve() in out.resolve().parents:
        raise ConfigError(
            "the results would lie among the scans", where=out, remedy="Choose another folder"
        )


def _report(outcome: "Outcome", luna: "Luna16", json_target: str | None) -> None:
    changed = sum(len(scan.changed) for scan in outcome.made)
    facts = {
        "scans": len(outcome.made),
        "nodules": changed,
        "uids": [scan.uid for scan in outcome.made],
    }
    said = f"{changed} nodules in {len(outcome.made)} synthetic scans"
    _finish(said, facts, luna, outcome.failures, json_target)


def _finish(
    said: str,
    facts: dict[str, Any],
    luna: "Luna16",
    failures: "Sequence[Failure]",
    json_target: str | None,
) -> None:
    """Say what was made and what was wrong; exits with 1 where anything was."""
    from medgan.cli.console import emit_json, result_console

    problems = [{"uid": problem.uid, "what": problem.what} for problem in luna.problems]
    problems += [{"uid": failure.uid, "what": failure.what} for failure in failures]
    use = "Research use only. Not for clinical use."
    result_console(json_target).print(f"{said}. {use}", highlight=False)
    emit_json({**facts, "problems": problems, "intended_use": use}, json_target)
    if problems:
        raise typer.Exit(1)
