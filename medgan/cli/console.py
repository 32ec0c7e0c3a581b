"""What the verbs share to speak to people and to programs."""

import dataclasses
import json
import logging
import math
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sized
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.progress import track

if TYPE_CHECKING:
    from medgan.report.html import Table

T = TypeVar("T")

JsonTarget = Annotated[
    str | None,
    typer.Option("--json", metavar="FILE", help="Write the result as JSON; - for standard output."),
]
"""The option ``--json`` of every verb that has a result."""

DaskOption = Annotated[
    str | None,
    typer.Option(
        "--dask",
        metavar="ADDRESS",
        help="Work in the workers of a dask scheduler; local: start --jobs of them here.",
    ),
]
"""The option ``--dask`` of the verbs that work on trees."""


class PrecisionChoice(StrEnum):
    """Of the networks' arithmetic."""

    BF16 = "bf16"
    FP32 = "fp32"


FILE_WIDTH = 1000
"""Columns of a table that goes to a file or a pipe, where a row must stay one line."""


def console(*, standard_output: bool = False) -> Console:
    """A rich console on standard error, which standard output's readers never see.

    Args:
        standard_output: write there instead.
    """
    stream = sys.stdout if standard_output else sys.stderr
    return Console(file=stream, width=None if stream.isatty() else FILE_WIDTH)


def result_console(json_target: str | Path | None) -> Console:
    """The console for a verb's result: standard output, unless the JSON goes there.

    Args:
        json_target: the value of ``--json``.
    """
    return console(standard_output=str(json_target) != "-")


def progress(items: Iterable[T], description: str) -> Iterator[T]:
    """Pass items on and show how far they got: a bar on a terminal, one line an item elsewhere.

    Args:
        items: anything; a total is shown where it has a length.
        description: what is done to an item, e.g. ``"Translating"``.
    """
    out = console()
    if out.is_terminal:
        yield from track(items, description, console=out, transient=True)
        return
    total = f"/{len(items)}" if isinstance(items, Sized) else ""
    for number, item in enumerate(items, 1):
        yield item
        out.print(f"{description} {number}{total}", markup=False, highlight=False)


def print_table(out: Console, table: "Table") -> None:
    """Show a report's table on a terminal."""
    from rich.table import Table as Grid
    from rich.text import Text

    from medgan.report.html import cell_text

    grid = Grid(caption=Text(table.caption), caption_justify="left")
    for index, column in enumerate(table.columns):
        grid.add_column(Text(column), justify="right" if index else "left")
    for row in table.rows:
        grid.add_row(*(Text(cell_text(value)) for value in row))
    out.print(grid)


def require_targets(json: str | None, html: Path | None = None) -> None:
    """Refuse results that cannot be written before anything is computed.

    Args:
        json: the value of ``--json``.
        html: the value of ``--html``.

    Raises:
        ConfigError: both name one file.
        OutputError: one of them cannot be written.
    """
    from medgan.errors import ConfigError
    from medgan.io.files import require_writable

    targets = [Path(target) for target in (json, html) if target and str(target) != "-"]
    if len({target.absolute() for target in targets}) < len(targets):
        raise ConfigError("--json and --html name the same file", where=html)
    for target in targets:
        require_writable(target)


def emit_json(document: object, target: str | Path | None) -> None:
    """Write a document as JSON to a file, atomically, or to standard output.

    Numbers that JSON has no word for (infinity, not a number) become null.

    Args:
        document: dataclasses, mappings, sequences, numpy scalars and arrays, paths, plain values.
        target: a path; ``"-"`` for standard output; None writes nothing.

    Raises:
        OutputError: the file cannot be written.
    """
    if target is None:
        return
    text = json.dumps(_plain(document), indent=2, allow_nan=False) + "\n"
    if str(target) == "-":
        sys.stdout.write(text)
        return
    # Here, not above: a verb that writes no JSON need not load the readers of images.
    from medgan.io.files import write_text

    write_text(target, text)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def is_first_process() -> bool:
    """Whether this is the process that speaks, of those that a launcher such as torchrun began."""
    return os.environ.get("RANK", "0") == "0"


def configure_logging(*, verbose: bool = False) -> None:
    """Send log records to standard error: coloured on a terminal, plain lines elsewhere.

    Of several processes only the first one has more to say than errors.

    Args:
        verbose: details, too.
    """
    out = console()
    handler: logging.Handler
    if out.is_terminal:
        handler = RichHandler(console=out, show_path=False)
        handler.setFormatter(logging.Formatter("%(message)s"))
    else:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger("medgan")
    root.handlers[:] = [handler]
    level = logging.DEBUG if verbose else logging.INFO
    root.setLevel(level if is_first_process() else logging.ERROR)
