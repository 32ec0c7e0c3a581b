"""The document of ``medgan evaluate`` as tables."""

import math
from collections.abc import Mapping
from typing import Any

from medgan.report.html import Table

Document = Mapping[str, Any]

DEFINITION = ("protocol", "range", "unit", "mask_rule", "averaging")
"""What two evaluations must share for their numbers to stand in one table."""

FLOOR_NAMES = {
    "constant": "floor: best constant",
    "lookup_table": "floor: best intensity look-up table",
}

_UNITS = {"psnr": "dB"}


def summary_tables(documents: Mapping[str, Document]) -> list[Table]:
    """Means of one or more evaluations, each followed by its floors.

    Args:
        documents: evaluations by the name of what was evaluated.

    Returns:
        One table for each definition among them: numbers of two definitions never share one.
    """
    groups: dict[str, list[str]] = {}
    for name, document in documents.items():
        groups.setdefault(definition_text(document), []).append(name)
    return [
        _summary({name: documents[name] for name in names}, definition)
        for definition, names in groups.items()
    ]


def case_table(document: Document, *, names: bool = True, worst_by: str | None = None) -> Table:
    """Every case of an evaluation.

    Args:
        document: the evaluation.
        names: show the cases' names; without, their numbers in the document, because a file name
            may tell who the patient is.
        worst_by: a measure of error; the case with the largest comes first. None keeps the order.
    """
    measures = list(document["aggregates"])
    rows = [
        [
            case["case"] if names else number,
            *(case[measure] for measure in measures),
            case["voxels"],
        ]
        for number, case in enumerate(document["cases"], 1)
    ]
    columns = ["case", *(heading(measure, document) for measure in measures), "mask voxels"]
    caption = f"Each case. {definition_text(document)}"
    if worst_by is not None:
        rows = [rows[index] for index in worst_first(document, worst_by)]
        caption = f"Each case, the largest {worst_by} first. {definition_text(document)}"
    return Table(caption, columns, rows)


def worst_first(document: Document, measure: str = "mae") -> list[int]:
    """Positions of the cases in the document, the one with the largest error first.

    Args:
        document: the evaluation.
        measure: one of which more is worse; a case in which it is undefined comes last.
    """
    values = case_values(document, measure)
    return sorted(
        range(len(values)),
        key=lambda index: (math.isnan(values[index]), -values[index], index),
    )


def case_values(scored: Document, measure: str) -> list[float]:
    """One measure of every case, in the document's order; NaN where it is undefined."""
    values = (case.get(measure) for case in scored["cases"])
    return [math.nan if value is None else float(value) for value in values]


def definition_text(document: Document) -> str:
    """Protocol, range, mask rule and averaging in one line."""
    low, high = document["range"]
    return (
        f"Protocol {document['protocol']}; range {low:g} to {high:g} ({document['unit']}); "
        f"mask: {document['mask_rule']}; {document['averaging']}"
    )


def _summary(documents: Mapping[str, Document], definition: str) -> Table:
    first = next(iter(documents.values()))
    measures = list(first["aggregates"])
    rows: list[list[Any]] = []
    for name, document in documents.items():
        rows.append(_means(name, document, measures))
        for floor, scored in document.get("floors", {}).items():
            label = FLOOR_NAMES.get(floor, floor)
            label = label if len(documents) == 1 else f"{name}, {label}"
            rows.append(_means(label, scored, measures))
    columns = ["", *(heading(measure, first) for measure in measures), "cases"]
    several = any(len(document["cases"]) > 1 for document in documents.values())
    spread = "; mean ± standard deviation (ddof 1)" if several else ""
    return Table(f"{definition}{spread}", columns, rows)


def _means(label: str, scored: Document, measures: list[str]) -> list[Any]:
    cells: list[Any] = [label]
    for measure in measures:
        summary = scored["aggregates"].get(measure, {})
        mean, std = summary.get("mean"), summary.get("std")
        cells.append(mean if std is None else _with_spread(mean, std))
    return [*cells, len(scored["cases"])]


def _with_spread(mean: float, std: float) -> str:
    """Mean and standard deviation, both to the decimal place of the mean's fourth digit."""
    decimals = max(0, 3 - math.floor(math.log10(abs(mean)))) if mean else 3
    return f"{mean:.{min(decimals, 6)}f} ± {std:.{min(decimals, 6)}f}"


def heading(measure: str, document: Document) -> str:
    """Name and unit of a measure."""
    if measure.startswith("mae") and document["unit"] == "HU":
        return f"{measure} [HU]"
    return f"{measure} [{_UNITS[measure]}]" if measure in _UNITS else measure
