"""A report as one HTML file that needs no network, no script and no other file."""

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from medgan import __version__
from medgan.io.files import writing

DISCLAIMER = "Research use only. Synthetic images, not for clinical use."


@dataclass(frozen=True)
class Table:
    """Rows under a caption that says by which protocol they were measured.

    Attributes:
        caption: what is shown; for figures: protocol, range, mask rule, sample size.
        columns: headings.
        rows: cells, as many a row as there are headings; the first names its row.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]

    def __post_init__(self) -> None:
        if any(len(row) != len(self.columns) for row in self.rows):
            raise AssertionError("every row of a table has a cell for each column")


@dataclass(frozen=True)
class Figure:
    """A picture.

    Attributes:
        png: bytes of a PNG file.
        alt: what it shows, for those who do not see it.
        caption: what to look for.
    """

    png: bytes
    alt: str
    caption: str


@dataclass(frozen=True)
class Section:
    """A heading with what belongs below it, in this order."""

    title: str
    paragraphs: Sequence[str] = ()
    tables: Sequence[Table] = ()
    figures: Sequence[Figure] = ()


@dataclass(frozen=True)
class Report:
    """All that goes into the file; plain text everywhere, escaped on the way out.

    Attributes:
        title: heading of the page.
        summary: paragraphs that tell the result first.
        sections: the evidence.
        provenance: how to get these results again: versions, seeds, settings.
    """

    title: str
    summary: Sequence[str] = ()
    sections: Sequence[Section] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)


def write_report(path: Path, report: Report) -> None:
    """Write a report, replacing the file only once the new one is complete.

    Args:
        path: the ``.html`` file.
        report: what to write.

    Raises:
        OutputError: the file cannot be written.
    """
    text = render(report)
    with writing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def render(report: Report) -> str:
    """The report as HTML text."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["cell"] = cell_text
    environment.filters["base64"] = lambda png: base64.b64encode(png).decode("ascii")
    environment.filters["setting"] = setting_text
    here = files("medgan.report")
    template = environment.from_string((here / "template.html.j2").read_text(encoding="utf-8"))
    return template.render(
        report=report,
        style=(here / "style.css").read_text(encoding="utf-8"),
        disclaimer=DISCLAIMER,
        version=__version__,
    )


def cell_text(value: Any) -> str:
    """A measured value: four significant digits, a dash for what is undefined."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if value in ("inf", math.inf):
        return "∞"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:#.4g}".rstrip(".")
    return str(value)


def setting_text(value: Any) -> str:
    """A chosen value, as short as it was written."""
    if value is None:
        return "none"
    if isinstance(value, float):
        return f"{value:.12g}"
    if isinstance(value, list | tuple):
        return ", ".join(setting_text(item) for item in value)
    return str(value)
