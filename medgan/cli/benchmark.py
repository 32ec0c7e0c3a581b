"""``medgan benchmark``: how fast medgan is on this machine, one subject at a time."""

from importlib import import_module
from typing import Annotated, Any

import typer

from medgan.cli.console import JsonTarget

SUBJECTS = {"convert": "medgan.recipes.conversion_speed"}
"""Subject -> module whose function ``measure`` takes the options by name and gives figures."""


def command(
    subject: Annotated[
        str, typer.Argument(metavar="SUBJECT", help=f"One of: {', '.join(SUBJECTS)}.")
    ],
    series: Annotated[int | None, typer.Option(min=1, help="convert: number of series.")] = None,
    slices: Annotated[int | None, typer.Option(min=2, help="convert: images in each.")] = None,
    size: Annotated[int | None, typer.Option(min=8, help="convert: rows and columns.")] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="convert: series at once.")] = None,
    rounds: Annotated[
        int | None, typer.Option(min=1, help="convert: repetitions, of which the median counts.")
    ] = None,
    json_target: JsonTarget = None,
) -> None:
    """Measure medgan, beside another program where there is one that does the same.

    Example: medgan benchmark convert --series 4 --slices 100 --json -
    """
    from medgan.cli.console import emit_json, result_console

    options = {"series": series, "slices": slices, "size": size, "jobs": jobs, "rounds": rounds}
    figures = _measure(subject, {name: value for name, value in options.items() if value})
    out = result_console(json_target)
    for name, value in _lines(figures):
        out.print(f"{name:24} {value}", markup=False, highlight=False)
    emit_json(figures, json_target)


def _measure(subject: str, settings: dict[str, int]) -> Any:
    import inspect

    from medgan.errors import ConfigError

    if subject not in SUBJECTS:
        raise ConfigError("nothing to measure", measured=subject, limit=", ".join(SUBJECTS))
    measure = import_module(SUBJECTS[subject]).measure
    known = inspect.signature(measure).parameters
    if unknown := settings.keys() - known:
        raise ConfigError(
            f"{subject} has no such option",
            measured=", ".join(f"--{name}" for name in sorted(unknown)),
            limit=", ".join(f"--{name}" for name in known),
        )
    return measure(**settings)


def _lines(figures: Any) -> list[tuple[str, str]]:
    """Name and value of every figure, those of a nested one after its name and a dot."""
    from dataclasses import fields, is_dataclass

    lines = []
    for field in fields(figures):
        value = getattr(figures, field.name)
        if is_dataclass(value):
            lines += [(f"{field.name}.{name}", text) for name, text in _lines(value)]
        else:
            lines.append((field.name, f"{value:.4g}" if isinstance(value, float) else str(value)))
    return lines
