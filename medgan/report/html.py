"""A report as one HTML file that needs no network and no other file."""

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medgan import __version__
from medgan.io.files import writing

if TYPE_CHECKING:
    from medgan.report.viewer import Viewer

DISCLAIMER = "Research use only. Synthetic images, not for clinical use."


@dataclass(frozen=True)
class Table:
    """Rows under a caption that says by which protocol they were measured.

    Attributes:
        caption: what is shown; for figures: protocol, range, mask rule, sample size.
        columns: headings.
        rows: cells, as many a row as there are headings; the first names its row.
        sortable: whether a reader may put the rows in another order; False where they are steps of
            one account, or different measures.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    sortable: bool = True

    def __post_init__(self) -> None:
        if any(len(row) != len(self.columns) for row in self.rows):
            raise AssertionError("every row of a table has a cell for each column")

    @property
    def may_be_sorted(self) -> bool:
        """Whether there is an order to choose."""
        return self.sortable and len(self.rows) > 1


@dataclass(frozen=True)
class Figure:
    """A picture.

    Attributes:
        png: bytes of a PNG file.
        alt: what it shows, for those who do not see it.
        caption: what to look for.
        plot: drawn in dark lines on white, so that a dark page may turn it round; no photograph.
    """

    png: bytes
    alt: str
    caption: str
    plot: bool = False


@dataclass(frozen=True)
class Section:
    """A heading, and below it paragraphs, tables, at most one viewer in a report, and figures."""

    title: str
    paragraphs: Sequence[str] = ()
    tables: Sequence[Table] = ()
    figures: Sequence[Figure] = ()
    viewer: "Viewer | None" = None


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

    def __post_init__(self) -> None:
        if sum(section.viewer is not None for section in self.sections) > 1:
            raise AssertionError("a page has one viewer: a browser draws few canvases at a time")

    @property
    def viewer(self) -> "Viewer | None":
        """That of the section that has one."""
        return next((section.viewer for section in self.sections if section.viewer), None)


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
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("medgan", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["cell"] = cell_text
    environment.filters["sort_key"] = sort_key
    environment.filters["base64"] = lambda content: base64.b64encode(content).decode("ascii")
    environment.filters["setting"] = setting_text
    environment.filters["spacing"] = spacing_text
    viewer = report.viewer
    return environment.get_template("template.html.j2").render(
        report=report,
        viewer=viewer,
        facts=[case.facts() for case in viewer.cases] if viewer else [],
        style=_own("style.css"),
        scripts=_scripts(report),
        disclaimer=DISCLAIMER,
        version=__version__,
    )


def _scripts(report: Report) -> list[str]:
    tables = [table for section in report.sections for table in section.tables]
    sort = [_own("sort.js")] if any(table.may_be_sorted for table in tables) else []
    return [*sort, *([_own("viewer.js")] if report.viewer else [])]


def _own(name: str) -> str:
    return (files("medgan.report") / name).read_text(encoding="utf-8")


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


def sort_key(value: Any) -> str:
    """What a cell is ordered by: its number in full, or its text; empty for what is undefined."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if value in ("inf", math.inf):
        return "Infinity"
    return value if isinstance(value, str) else repr(value)


def spacing_text(spacing_mm: Sequence[float]) -> str:
    """A voxel size."""
    return " x ".join(f"{size:.3g}" for size in spacing_mm) + " mm"


def setting_text(value: Any) -> str:
    """A chosen value, as short as it was written."""
    if value is None:
        return "none"
    if isinstance(value, float):
        return f"{value:.12g}"
    if isinstance(value, list | tuple):
        return ", ".join(setting_text(item) for item in value)
    return str(value)
