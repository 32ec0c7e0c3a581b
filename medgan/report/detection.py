"""The document of ``medgan froc`` as tables, a figure and a report."""

from collections.abc import Mapping, Sequence
from typing import Any

from medgan.report.figures import empty_figure, png_bytes
from medgan.report.html import Figure, Report, Section, Table
from medgan.report.numbers import interval_text, rate_text

Document = Mapping[str, Any]

_COLOURS = ("#1f5fa8", "#b8501f")
_COUNTS = {
    "given": "given",
    "over_limit": "over the limit of marks a scan, dropped",
    "repeated": "repeated on a nodule, ignored",
    "on_excluded": "on excluded findings, ignored",
    "on_several_nodules": "inside several nodules",
    "false_positives": "false positives",
}


def froc_tables(document: Document) -> list[Table]:
    """Figures of the detector and, where there is one, of the other; by size; and its marks."""
    detectors = _detectors(document)
    counts = [
        [label, *(scored["marks"][key] for _, scored in detectors)]
        for key, label in _COUNTS.items()
    ]
    tables = [_figures(document), _sizes(document)]
    if "operating_point" in document:
        tables.append(_operating_points(document))
    columns = ["marks", *(name for name, _ in detectors)]
    return [*tables, Table("What became of the marks.", columns, counts, sortable=False)]


def froc_report(document: Document) -> Report:
    """All of it as one page; neither scans nor files are named."""
    summary = f"CPM {_cell(document, 'cpm')}; {definition_text(document)}."
    if "against" in document:
        difference = document["against"]["difference"]
        summary += f" CPM less that of the other detector: {_cell(difference, 'cpm')}"
        summary += f", p {difference['cpm_p']:.3g}." if difference["cpm_p"] else "."
    alt = f"FROC curve. {summary}"
    caption = "Sensitivity against false positives a scan; the dots are the seven rates of the CPM."
    if document["curve"]["sensitivities_ci"]:
        caption += " The band is the 95 % interval at each rate."
    return Report(
        "Nodule detection",
        summary=[summary],
        sections=[
            Section(
                "FROC",
                tables=froc_tables(document),
                figures=[Figure(froc_figure(document), alt, caption, plot=True)],
            )
        ],
        provenance={
            "protocol": document["protocol"],
            "hit rule": document["hit_rule"],
            "marks a scan at most": document["marks_per_scan"],
            **{f"bootstrap {name}": value for name, value in document["bootstrap"].items()},
        },
    )


def froc_figure(document: Document) -> bytes:
    """The curve of each detector with its interval.

    Returns:
        Bytes of a PNG file.
    """
    canvas = empty_figure(6.4, 4.2)
    axes = canvas.subplots()
    for (name, scored), colour in zip(_detectors(document), _COLOURS, strict=False):
        curve = scored["curve"]
        label = f"{name}, CPM {scored['cpm']:.3f}"
        axes.plot(curve["fppi"], curve["sensitivities"], color=colour, linewidth=1.5, label=label)
        axes.plot(document["fppi"], scored["sensitivities"], "o", color=colour, markersize=4)
        if curve["sensitivities_ci"]:
            low, high = zip(*curve["sensitivities_ci"], strict=True)
            axes.fill_between(curve["fppi"], low, high, color=colour, alpha=0.15, linewidth=0)
    axes.set_xscale("log", base=2)
    axes.set_xticks(document["fppi"], _rates(document))
    axes.set(ylim=(0, 1), xlabel="false positives a scan", ylabel="sensitivity")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", fontsize=8)
    return png_bytes(canvas)


def definition_text(document: Document) -> str:
    """Protocol, rule and sample in one line."""
    text = (
        f"Protocol {document['protocol']}; hit: {document['hit_rule']}; at most "
        f"{document['marks_per_scan']} marks a scan; {document['nodules']} nodules in "
        f"{document['scans']} scans"
    )
    bootstrap = document["bootstrap"]
    if bootstrap["replicates"]:
        text += f"; in brackets the 95 % interval of {bootstrap['replicates']} resamples of scans"
    return text


def _detectors(document: Document) -> list[tuple[str, Document]]:
    detectors = [("this detector", document)]
    if "against" in document:
        detectors.append(("the other detector", document["against"]))
    return detectors


def _figures(document: Document) -> Table:
    columns = _detectors(document)
    caption = definition_text(document)
    if "against" in document:
        difference = document["against"]["difference"]
        columns.append(("difference", difference))
        if difference["cpm_p"]:
            caption += f"; difference of CPM on the same resamples: p {difference['cpm_p']:.2g}"
    rows = [
        ["CPM", *(_cell(scored, "cpm") for _, scored in columns)],
        *_sensitivities(document, [scored for _, scored in columns]),
        ["average precision", *(_cell(scored, "average_precision") for _, scored in columns)],
    ]
    return Table(caption, ["", *(name for name, _ in columns)], rows, sortable=False)


def _sizes(document: Document) -> Table:
    groups = document["by_size"]
    rows = [
        ["nodules", *(group["nodules"] for group in groups)],
        ["CPM", *(_cell(group, "cpm") for group in groups)],
        *_sensitivities(document, groups),
    ]
    columns = ["", *(_size(group["diameter_mm"]) for group in groups)]
    caption = "This detector by diameter of the nodules; the false positives are all of them."
    return Table(caption, columns, rows, sortable=False)


def _sensitivities(document: Document, scored: Sequence[Document]) -> list[list[str]]:
    cells = zip(*(_cells(each) for each in scored), strict=True)
    rates = zip(_rates(document), cells, strict=True)
    return [[f"sensitivity at {rate} FP a scan", *row] for rate, row in rates]


def _operating_points(document: Document) -> Table:
    detectors = _detectors(document)
    points = [scored["operating_point"] for _, scored in detectors]
    rows = [
        *(
            [label, *(point[key] for point in points)]
            for label, key in (
                ("nodules found", "true_positives"),
                ("nodules missed", "missed"),
                ("false positives", "false_positives"),
            )
        ),
        *(
            [label, *(_cell(point, key) for point in points)]
            for label, key in (
                ("precision", "precision"),
                ("recall", "recall"),
                ("F1", "f1"),
                ("false positives a scan", "fppi"),
            )
        ),
    ]
    caption = f"Marks of a score of at least {document['operating_point']['threshold']:g}."
    return Table(caption, ["", *(name for name, _ in detectors)], rows, sortable=False)


def _cell(scored: Document, name: str) -> str:
    return interval_text(scored[name], scored[f"{name}_ci"])


def _cells(scored: Document) -> list[str]:
    values, bounds = scored["sensitivities"], scored["sensitivities_ci"]
    return [
        interval_text(v, ci) for v, ci in zip(values, bounds or [None] * len(values), strict=True)
    ]


def _rates(document: Document) -> list[str]:
    return [rate_text(fppi) for fppi in document["fppi"]]


def _size(limits: Sequence[Any]) -> str:
    low, high = limits
    if not low:
        return f"below {high:g} mm"
    return f"{low:g} mm and more" if high == "inf" else f"{low:g} to below {high:g} mm"
