"""An augmentation experiment as one page that gives the verdict first, then tables and curves."""

from collections.abc import Sequence
from pathlib import Path

from medgan.metrics.aggregates import counted
from medgan.report.augmentation_tables import (
    Document,
    Row,
    arms_table,
    distances_table,
    published_table,
    rates_table,
    size_table,
    slices_table,
    verdicts,
)
from medgan.report.figures import empty_figure, png_bytes
from medgan.report.html import Figure, Report, Section, Table, write_report
from medgan.report.numbers import rate_text
from medgan.report.plots import COLOURS


def froc_plot(rows: Sequence[Row], fppi: Sequence[float], ticks: Sequence[float]) -> bytes:
    """FROC curves of the arms at one share of the real scans, means over seeds; PNG bytes."""
    canvas = empty_figure(7.2, 4.4)
    axes = canvas.subplots()
    for number, row in enumerate(rows):
        style = "-" if number < len(COLOURS) else "--"
        label = f"{row['label']}, CPM {row['cpm']:.3f}"
        colour = COLOURS[number % len(COLOURS)]
        axes.plot(fppi, row["curve"], style, color=colour, linewidth=1.5, label=label)
    axes.set_xscale("log", base=2)
    axes.set_xticks(list(ticks), [rate_text(rate) for rate in ticks])
    axes.set(ylim=(0, 1), xlabel="false positives a scan", ylabel="sensitivity")
    axes.grid(alpha=0.3)
    axes.legend(loc="best", fontsize=7)
    return png_bytes(canvas)


def low_data_plot(rows: Sequence[Row]) -> bytes:
    """CPM of every arm against the share of the real scans, with its interval; PNG bytes."""
    canvas = empty_figure(7.2, 4.0)
    axes = canvas.subplots()
    for number, arm in enumerate(dict.fromkeys(row["arm"] for row in rows)):
        mine = sorted((r for r in rows if r["arm"] == arm), key=lambda row: row["share"])
        shares = [100 * row["share"] for row in mine]
        colour = COLOURS[number % len(COLOURS)]
        values = [row["cpm"] for row in mine]
        style = "o-" if number < len(COLOURS) else "s--"
        axes.plot(shares, values, style, color=colour, label=mine[0]["label"], markersize=4)
        if all(row["cpm_ci"] for row in mine):
            low, high = zip(*(row["cpm_ci"] for row in mine), strict=True)
            axes.fill_between(shares, low, high, color=colour, alpha=0.1, linewidth=0)
    axes.set(ylim=(0, 1), xlabel="share of the real training scans (%)", ylabel="CPM")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7)
    return png_bytes(canvas)


def write_augmentation_report(path: Path, document: Document) -> None:
    """Write the page.

    Args:
        path: the ``.html`` file.
        document: as ``recipes.augmentation_document.document`` returns it.

    Raises:
        OutputError: the file cannot be written.
    """
    arms = Section("Arms", tables=[arms_table(document)], figures=_figures(document))
    sections = [arms]
    if document["rows"]:
        detail = [rates_table(document), size_table(document), slices_table(document)]
        sections.append(Section("In detail", tables=detail))
    if document["published"]:
        tables = [published_table(document)]
        tables += [distances_table(document)] if document["sources"] else []
        sections.append(Section("Images and detection", tables=tables))
    if document["problems"]:
        sections.append(Section("Scans left out", tables=[_problems(document)]))
    definition = document["definition"]
    provenance = {
        "hit rule": definition["hit_rule"],
        "marks a scan at most": definition["marks_per_scan"],
        "threshold": definition["threshold"],
        **{f"bootstrap {name}": value for name, value in definition["bootstrap"].items()},
    }
    title = f"Augmentation: {document['name']}"
    write_report(path, Report(title, _summary(document), sections, provenance))


def _figures(document: Document) -> list[Figure]:
    definition = document["definition"]
    shares = dict.fromkeys(row["share"] for row in document["rows"])
    figures = []
    for share in shares:
        rows = [row for row in document["rows"] if row["share"] == share]
        png = froc_plot(rows, definition["curve_fppi"], definition["fppi"])
        text = f"FROC at {100 * share:g} % of the real scans, means over seeds."
        figures.append(Figure(png, text, text, plot=True))
    if len(shares) > 1:
        text = "CPM against the share of the real scans; the bands are 95 % intervals."
        figures.append(Figure(low_data_plot(document["rows"]), text, text, plot=True))
    return figures


def _summary(document: Document) -> list[str]:
    trainings = document["trainings"]
    summary = verdicts(document)
    if trainings["finished"] < trainings["planned"]:
        planned = counted(trainings["planned"], "training")
        summary.append(f"{trainings['finished']} of {planned} have ended; the others are not here.")
    for source in document["sources"]:
        if source.get("unknown_origin"):
            summary.append(
                f"{source['label']}: of {counted(source['unknown_origin'], 'scan')} it is not "
                "known which scans they were made of; at low data they may know more than the arm."
            )
        elif source["kind"] == "generator" and any(
            row["source"] == source["name"] and row["share"] < 1 for row in document["rows"]
        ):
            summary.append(
                f"{source['label']}: the generator has learnt from all training scans, also where "
                "the detector has learnt from a share of them."
            )
    summary += [
        f"{failure['arm']}, seed {failure['seed']}, failed: {failure['reason']}"
        for failure in document["failures"]
    ]
    return summary


def _problems(document: Document) -> Table:
    rows = [[p["group"], p["where"], p["what"]] for p in document["problems"]]
    return Table("What could not be used, and why.", ["group", "where", "what"], rows)
