"""``medgan benchmark``: how fast medgan is on this machine, one subject at a time."""

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from medgan.cli.console import JsonTarget, PrecisionChoice

Rounds = Annotated[int, typer.Option(min=1, help="Repetitions, of which the median counts.")]
Width = Annotated[int, typer.Option(min=4, help="Width of the networks, 64 as published.")]
Precision = Annotated[PrecisionChoice, typer.Option(help="Of medgan; plain torch has fp32.")]


def _amounts(help: str) -> Any:
    return typer.Option(metavar="N,N...", help=help)


group = typer.Typer(
    help="Measure medgan, in turns with another program where one does the same.",
    epilog="Example: medgan benchmark train --size 256 --steps 5 --json -",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)


@group.command()
def train(
    size: Annotated[int, typer.Option(min=32, help="Rows and columns.")] = 256,
    channels: Annotated[int, typer.Option(min=1, help="Of the images.")] = 3,
    batch: Annotated[int, typer.Option(min=1, help="Images of each domain a step.")] = 1,
    steps: Annotated[int, typer.Option(min=1, help="Steps, of which the median counts.")] = 5,
    width: Width = 64,
    precision: Precision = PrecisionChoice.BF16,
    json_target: JsonTarget = None,
) -> None:
    """A training step of the published network beside the same in plain torch.

    Example: medgan benchmark train --size 256 --batch 2 --steps 5 --json train.json
    """
    from medgan.recipes.training_speed import Setup, measure

    setup = Setup(size, channels, batch, width, precision.value)
    _report(lambda: measure(setup, steps=steps), json_target)


@group.command()
def translate(
    size: Annotated[int, typer.Option(min=32, help="Rows and columns.")] = 256,
    slices: Annotated[int, typer.Option(min=8, help="Of the volume.")] = 64,
    width: Width = 64,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Slices a pass of medgan; else its own choice.")
    ] = None,
    precision: Precision = PrecisionChoice.BF16,
    rounds: Rounds = 3,
    json_target: JsonTarget = None,
) -> None:
    """A volume through the published network beside plain torch, slice by slice.

    Example: medgan benchmark translate --size 512 --slices 600 --rounds 1 --json -
    """
    from medgan.recipes.translation_speed import Setup, measure

    setup = Setup(size, slices, width, batch, precision.value)
    _report(lambda: measure(setup, rounds=rounds), json_target)


@group.command()
def convert(
    series: Annotated[int, typer.Option(min=1, help="Number of series.")] = 20,
    slices: Annotated[int, typer.Option(min=2, help="Images in each.")] = 200,
    size: Annotated[int, typer.Option(min=8, help="Rows and columns.")] = 512,
    jobs: Annotated[int, typer.Option(min=1, help="Series at once.")] = 2,
    rounds: Rounds = 1,
    json_target: JsonTarget = None,
) -> None:
    """DICOM series to compressed NIfTI beside dcm2niix, where that is installed.

    Example: medgan benchmark convert --series 4 --slices 100 --json -
    """
    from medgan.recipes.conversion_speed import measure

    _report(
        lambda: measure(series=series, slices=slices, size=size, jobs=jobs, rounds=rounds),
        json_target,
    )


@group.command()
def fid(
    images: Annotated[int, typer.Option(min=2, help="In each of the two sets.")] = 2500,
    features: Annotated[int, typer.Option(min=2, help="Of each image.")] = 2048,
    rounds: Rounds = 3,
    json_target: JsonTarget = None,
) -> None:
    """FID and KID from features, beside FID by the square root of a matrix.

    Example: medgan benchmark fid --images 5000 --json -
    """
    from medgan.recipes.distribution_speed import Setup, measure

    _report(lambda: measure(Setup(images, features), rounds=rounds), json_target)


@group.command()
def froc(
    scans: Annotated[int, typer.Option(min=1, help="Number of scans.")] = 888,
    marks: Annotated[int, typer.Option(min=1, help="In each.")] = 100,
    resamples: Annotated[int, typer.Option(min=0, help="Of the bootstrap over scans.")] = 1000,
    rounds: Rounds = 3,
    json_target: JsonTarget = None,
) -> None:
    """The evaluation of nodule detections, every figure with its interval.

    Example: medgan benchmark froc --scans 888 --marks 100 --json -
    """
    from medgan.recipes.froc_speed import Setup, measure

    _report(lambda: measure(Setup(scans, marks, resamples), rounds=rounds), json_target)


@group.command()
def growth(
    sizes: Annotated[str | None, _amounts("Rows and columns of a training step's images.")] = None,
    batches: Annotated[str | None, _amounts("Images of each domain in a training step.")] = None,
    depths: Annotated[str | None, _amounts("Slices of a volume that is translated.")] = None,
    studies: Annotated[str | None, _amounts("DICOM series that are converted.")] = None,
    vectors: Annotated[str | None, _amounts("Feature vectors in each set, FID and KID.")] = None,
    size: Annotated[int, typer.Option(min=32, help="Rows and columns that stay.")] = 128,
    width: Width = 64,
    rounds: Rounds = 3,
    figure: Annotated[
        Path | None, typer.Option(metavar="PNG", help="Draw the curves into this file.")
    ] = None,
    json_target: JsonTarget = None,
) -> None:
    """Time and memory against size, batch, depth, studies and feature vectors, with fits.

    Each list is a curve; where some are given, only those are measured.

    Example: medgan benchmark growth --studies 2,4,8,16 --figure growth.png --json growth.json
    """
    from medgan.cli.numbers import whole_numbers
    from medgan.io.files import require_writable
    from medgan.recipes import growth as recipe

    if figure is not None:
        require_writable(figure)
    lists = {
        "sizes": sizes, "batches": batches, "depths": depths, "studies": studies,
        "vectors": vectors,
    }  # fmt: skip
    chosen = {name: whole_numbers(text, name) for name, text in lists.items() if text is not None}
    amounts = recipe.Amounts()
    if chosen:
        amounts = recipe.Amounts(**{name: chosen.get(name, ()) for name in lists})

    def measured() -> recipe.Growth:
        found = recipe.measure(amounts, recipe.Base(width=width, size=size, rounds=rounds))
        if figure is not None:
            recipe.draw(found, figure)
        return found

    _report(measured, json_target)


def _report(measure: Callable[[], Any], json_target: str | None) -> None:
    """Show and write the figures, and what they were measured on."""
    from medgan.cli.console import emit_json, require_targets, result_console

    require_targets(json_target)
    figures = measure()
    # not before: it loads torch, which not every subject needs
    from medgan.training.run_folder import environment

    document = {field.name: getattr(figures, field.name) for field in fields(figures)}
    document["environment"] = environment()
    out = result_console(json_target)
    for name, value in _lines(document):
        out.print(f"{name:36} {value}", markup=False, highlight=False)
    emit_json(document, json_target)


def _lines(figures: Any) -> list[tuple[str, str]]:
    """Name and value of every figure, those of a nested one after its name and a dot."""
    if is_dataclass(figures):
        parts = {field.name: getattr(figures, field.name) for field in fields(figures)}
    elif isinstance(figures, dict):
        parts = figures
    elif isinstance(figures, tuple) and any(map(is_dataclass, figures)):
        parts = {str(number): part for number, part in enumerate(figures, 1)}
    elif isinstance(figures, tuple | list):
        return [("", ", ".join(_text(part) for part in figures))]
    else:
        return [("", _text(figures))]
    return [
        (f"{name}.{inner}" if inner else name, text)
        for name, part in parts.items()
        for inner, text in _lines(part)
    ]


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
