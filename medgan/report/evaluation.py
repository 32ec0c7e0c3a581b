"""The document of ``medgan evaluate`` as tables."""

import math
from collections.abc import Mapping, Sequence
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

_FIRST = {
    "synthrad2023": ("mae", "psnr", "ssim"),
    "synthrad2025": ("mae", "psnr", "ms_ssim", "dice", "hd95"),
    "wang2003": ("mae", "psnr", "ms_ssim", "dice", "hd95"),
    "maskgan2024": ("mae", "psnr", "ssim"),
}
"""What a protocol itself defines, and so is read before what medgan adds to it."""


def summary_tables(documents: Mapping[str, Document]) -> list[Table]:
    """Means of one or more evaluations, a column each, and their floors.

    A row is a measure, so that many measures make a table long and not wider than the page.

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
    measures = measures_of(document)
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


def measures_of(document: Document) -> list[str]:
    """Measures of an evaluation, those that its protocol itself defines first."""
    own = _FIRST.get(document["protocol"], ())
    found = list(document["aggregates"])
    return [name for name in own if name in found] + [name for name in found if name not in own]


def _summary(documents: Mapping[str, Document], definition: str) -> Table:
    first = next(iter(documents.values()))
    scored: dict[str, Document] = {}
    for name, document in documents.items():
        scored[name] = document
        for floor, values in document.get("floors", {}).items():
            label = FLOOR_NAMES.get(floor, floor)
            scored[label if len(documents) == 1 else f"{name}, {label}"] = values
    rows: list[list[Any]] = [["cases (n)", *(len(each["cases"]) for each in scored.values())]]
    rows += [
        [heading(measure, first), *(_mean(each, measure) for each in scored.values())]
        for measure in measures_of(first)
    ]
    several = any(len(document["cases"]) > 1 for document in documents.values())
    spread = f"; {_spread_text(list(scored.values()))}" if several else ""
    return Table(f"{definition}{spread}", ["measure", *scored], rows, sortable=False)


def _spread_text(scored: Sequence[Document]) -> str:
    """What stands beside a mean, and why nothing does."""
    text = "mean ± standard deviation (ddof 1)"
    found = [each for one in scored for each in one.get("intervals", {}).values()]
    given = next((each for each in found if each["missing"] is None), None)
    if given is not None:
        text += f"; [{given['confidence']:.0%} confidence interval of the mean, {given['method']}]"
    elif found:
        text += f"; no confidence intervals: {found[0]['missing']}"
    return text


def _mean(scored: Document, measure: str) -> Any:
    """Mean, spread and interval of a measure; how many cases where it is undefined in some."""
    summary = scored["aggregates"].get(measure, {})
    mean, std = summary.get("mean"), summary.get("std")
    if mean is None or std is None:
        return mean
    text = _with_spread(mean, std)
    interval = scored.get("intervals", {}).get(measure)
    if interval is not None and interval["missing"] is None:
        decimals = _decimals(mean)
        text += f"\n[{interval['low']:.{decimals}f}, {interval['high']:.{decimals}f}]"
    defined = summary.get("count", len(scored["cases"]))
    return text if defined == len(scored["cases"]) else f"{text}\nn = {defined}"


def _with_spread(mean: float, std: float) -> str:
    decimals = _decimals(mean)
    return f"{mean:.{decimals}f} ± {std:.{decimals}f}"


def _decimals(mean: float) -> int:
    """Decimal place of a mean's fourth digit, where its spread and interval end as well."""
    return min(6, max(0, 3 - math.floor(math.log10(abs(mean))))) if mean else 3


def heading(measure: str, document: Document) -> str:
    """Name and unit of a measure."""
    if measure.startswith("mae") and document["unit"] == "HU":
        return f"{measure} [HU]"
    return f"{measure} [{_UNITS[measure]}]" if measure in _UNITS else measure
