"""``medgan evaluate``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from medgan.report.html import Figure, Report, Table

SHOWN_CASES = 3
"""Cases of which the HTML report shows slices."""


def command(
    prediction: Annotated[Path, typer.Argument(metavar="PRED", help="Image, or folder of them.")],
    reference: Annotated[Path, typer.Argument(metavar="REF", help="The truth, likewise.")],
    mask: Annotated[
        Path | None,
        typer.Option(help="Voxels that count, likewise; default: the body in the reference."),
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option(help="What was translated, likewise; adds the trivial floors to beat."),
    ] = None,
    protocol: Annotated[
        str, typer.Option(help="synthrad2023 (CT) or mr-normalised (MR).")
    ] = "synthrad2023",
    json: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write JSON; - for standard output.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write a self-contained report.")] = None,
) -> None:
    """Measure predictions against their references.

    Two files are a pair; in two folders, files pair by their name without suffix.

    Example: medgan evaluate synthetic_ct/ ct/ --source mr/ --json quality.json
    """
    from medgan.cli.console import emit_json, result_console
    from medgan.metrics.evaluation import evaluate
    from medgan.report.evaluation import case_table, summary_tables

    document = evaluate(prediction, reference, mask=mask, source=source, protocol=protocol)
    out = result_console(json)
    if len(document["cases"]) > 1:
        print_table(out, case_table(document))
    for table in summary_tables({"result": document}):
        print_table(out, table)
    emit_json(document, json)
    if html is not None:
        from medgan.report.html import write_report

        write_report(html, _report(document, prediction, reference, source))
        out.print(f"Report: {html}", highlight=False, markup=False)


def print_table(out: "Console", table: "Table") -> None:
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


def _report(
    document: dict[str, Any], prediction: Path, reference: Path, source: Path | None
) -> "Report":
    from medgan import __version__
    from medgan.report.evaluation import DEFINITION, FLOOR_NAMES, case_table, summary_tables
    from medgan.report.html import Report, Section

    count = len(document["cases"])
    mean = document["aggregates"]["mae"]["mean"]
    summary = f"Mean absolute error {mean:.4g} ({document['unit']}) over {count} case(s)"
    for name, floor in document.get("floors", {}).items():
        summary += f"; {FLOOR_NAMES[name]} {floor['aggregates']['mae']['mean']:.4g}"
    return Report(
        "Evaluation of synthetic images",
        summary=[f"{summary}."],
        sections=[
            Section("Summary", tables=summary_tables({"result": document})),
            Section(
                "Cases",
                ["Cases are numbered in the order of the JSON document: by name."],
                tables=[case_table(document, names=False)],
            ),
            Section("Slices", figures=_figures(document, prediction, reference, source)),
        ],
        provenance={"medgan": __version__, **{name: document[name] for name in DEFINITION}},
    )


def _figures(
    document: dict[str, Any], prediction: Path, reference: Path, source: Path | None
) -> "list[Figure]":
    from medgan.io import read_volume
    from medgan.metrics.cases import pair_cases
    from medgan.metrics.protocols import protocol_named
    from medgan.report.figures import volume_panel
    from medgan.report.html import Figure

    modality = protocol_named(document["protocol"]).modality
    figures = []
    for number, case in enumerate(pair_cases(prediction, reference, source=source), 1):
        if number > SHOWN_CASES:
            break
        png = volume_panel(
            None if case.source is None else read_volume(case.source),
            read_volume(case.prediction, modality=modality),
            read_volume(case.reference, modality=modality),
        )
        alt = f"Case {number}: axial, sagittal and coronal slices of result, reference and error."
        figures.append(Figure(png, alt, f"Case {number}. The patient's right is on the left."))
    return figures
