"""Evaluations of several models on the same cases, beside one another."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from medgan.metrics.comparison import compare_cases
from medgan.report.evaluation import Document, case_values, definition_text, heading
from medgan.report.html import Table


def comparison_tables(documents: Mapping[str, Document]) -> list[Table]:
    """The first evaluation against each other one that measured the same cases the same way.

    Args:
        documents: evaluations by the name of what was evaluated.

    Returns:
        One table each, all about differences within a case; none for what cannot be compared.
    """
    (first, reference), *others = documents.items()
    return [
        comparison_table(_compared(reference, other), first, name)
        for name, other in others
        if _same_task(reference, other)
    ]


def comparison_table(comparison: Mapping[str, Mapping[str, Any]], first: str, second: str) -> Table:
    """A paired comparison.

    Args:
        comparison: by measure, as in the document of ``medgan evaluate --against``.
        first: name of the model whose values are the minuend.
        second: name of the other one.
    """
    rows = [
        [
            f"{measure} ({'higher' if each['higher_is_better'] else 'lower'} is better)",
            each["cases"],
            each["mean_difference"],
            each["interval"]["low"],
            each["interval"]["high"],
            each["wilcoxon_p"],
            each["first_better"],
            each["second_better"],
        ]
        for measure, each in comparison.items()
    ]
    intervals = [each["interval"] for each in comparison.values()]
    methods = sorted({interval["method"] for interval in intervals if interval["method"]})
    reasons = sorted({interval["missing"] for interval in intervals if interval["missing"]})
    caption = (
        f"{first} minus {second}, case by case; {intervals[0]['confidence']:.0%} intervals of the "
        f"mean ({', '.join(methods) or 'none'}); p: Wilcoxon signed-rank, two-sided, not corrected "
        "for the number of measures"
    )
    if reasons:
        caption += f"; where there is no interval: {'; '.join(reasons)}"
    columns = ["measure", "cases (n)", "mean difference", "low", "high", "p", f"{first} better",
               f"{second} better"]  # fmt: skip
    return Table(caption, columns, rows)


def side_by_side(documents: Mapping[str, Document], measure: str = "mae") -> list[Table]:
    """One measure of every case in every evaluation, for those that measured the same cases.

    Returns:
        One table, the case that was worst in any of them first; none where nothing compares.
    """
    (first, reference), *others = documents.items()
    alike = {first: reference}
    alike |= {name: other for name, other in others if _same_task(reference, other)}
    if len(alike) < 2:
        return []
    columns = [case_values(document, measure) for document in alike.values()]
    rows = [[number, *values] for number, values in enumerate(zip(*columns, strict=True), 1)]
    rows.sort(key=lambda row: -max(row[1:]))
    caption = f"{heading(measure, reference)} of each case. {definition_text(reference)}"
    return [Table(caption, ["case", *alike], rows)]


def _same_task(one: Document, other: Document) -> bool:
    names = [[case["case"] for case in document["cases"]] for document in (one, other)]
    return names[0] == names[1] and definition_text(one) == definition_text(other)


def _compared(one: Document, other: Document) -> dict[str, dict[str, Any]]:
    measures = [measure for measure in one["aggregates"] if measure in other["aggregates"]]
    rows = [
        [
            dict(zip(measures, values, strict=True))
            for values in zip(*(case_values(each, measure) for measure in measures), strict=True)
        ]
        for each in (one, other)
    ]
    return {measure: asdict(found) for measure, found in compare_cases(*rows).items()}
