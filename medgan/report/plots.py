"""Plots of an evaluation, as PNG bytes."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from medgan.errors import DataError
from medgan.report.agreement import RegionalMeans, by_tissue, limits_of_agreement
from medgan.report.evaluation import Document, case_values, heading
from medgan.report.figures import empty_figure, png_bytes

# Colours that people with any common colour blindness can tell apart.
# Source: M. Okabe, K. Ito, Color Universal Design, 2008.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")

FEW_POINTS = 9
"""With fewer points on a curve they are marked: a line alone hides how few there are."""

BOX_CASES = 5
"""With fewer cases the points alone say all that there is."""


def distribution_plot(
    scored: Mapping[str, Document], definition: Document, measures: Sequence[str]
) -> bytes:
    """Every case as a point, measure by measure, with a box over them where there are enough.

    Args:
        scored: what holds ``cases``, by name: results of one or more models, and floors.
        definition: the document that gives the measures their unit.
        measures: which to draw; one that no case has is left out.

    Returns:
        Bytes of a PNG file.
    """
    shown = {
        measure: columns
        for measure in measures
        if any(map(len, columns := [_finite(each, measure) for each in scored.values()]))
    }
    across = min(4, max(1, len(shown)))
    down = max(1, math.ceil(len(shown) / across))
    canvas = empty_figure(2.6 * across, 2.0 * down + 0.3)
    places = canvas.subplots(down, across, squeeze=False).ravel()
    for place, (measure, columns) in zip(places, shown.items(), strict=False):
        _draw_columns(place, columns)
        place.set_title(heading(measure, definition), fontsize=8)
    for place in places[len(shown) :]:
        place.set_axis_off()
    if len(scored) > 1:
        _legend(canvas, places[0], scored, "o")
    return png_bytes(canvas)


def learning_curves(runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> bytes:
    """Plot every logged number against the step: all runs on one scale, one plot a number.

    Args:
        runs: by name, records of ``step`` and values by name; a value may be missing in some.

    Returns:
        Bytes of a PNG file.

    Raises:
        DataError: nothing numeric was logged.
    """
    curves: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for run, records in runs.items():
        for record in records:
            for name, value in record.items():
                if name != "step" and "step" in record and _is_finite(value):
                    points = curves.setdefault(name, {}).setdefault(run, [])
                    points.append((record["step"], value))
    if not curves:
        raise DataError("no numbers to plot", remedy="Train for at least one step")
    across = min(3, len(curves))
    down = math.ceil(len(curves) / across)
    canvas = empty_figure(3.4 * across, 2.2 * down + (0.3 if len(runs) > 1 else 0.0))
    places = canvas.subplots(down, across, squeeze=False).ravel()
    colours = {run: _colour(position) for position, run in enumerate(runs)}
    for place, (name, found) in zip(places, curves.items(), strict=False):
        for run, points in found.items():
            marker = "." if len(points) < FEW_POINTS else ""
            place.plot(*zip(*points, strict=True), color=colours[run], linewidth=1, marker=marker)
        place.set_title(name, fontsize=8)
        place.set_xlabel("step", fontsize=7)
        place.tick_params(labelsize=7)
        place.grid(alpha=0.3)
    for place in places[len(curves) :]:
        place.set_axis_off()
    if len(runs) > 1:
        _legend(canvas, places[0], runs, "-")
    return png_bytes(canvas)


def agreement_plot(cases: Sequence[Sequence[RegionalMeans]], unit: str) -> bytes:
    """Difference of result and truth over their mean, after Bland and Altman, tissue by tissue.

    Args:
        cases: the regions of each case.
        unit: of the values.

    Returns:
        Bytes of a PNG file: small points are regions, large ones whole cases; the line is the bias,
        the dashed lines are the 95 % limits of agreement.
    """
    tissues = by_tissue(cases)
    canvas = empty_figure(3.4 * len(tissues), 3.2)
    places = canvas.subplots(1, len(tissues), squeeze=False).ravel()
    for place, found, colour in zip(places, tissues.values(), COLOURS, strict=False):
        _draw_agreement(place, found, colour)
        place.set_xlabel(f"mean of result and truth [{unit}]", fontsize=8)
    places[0].set_ylabel(f"result minus truth [{unit}]", fontsize=8)
    return png_bytes(canvas)


def _draw_agreement(place: Any, means: Sequence[RegionalMeans], colour: str) -> None:
    result = np.concatenate([each.result for each in means])
    truth = np.concatenate([each.reference for each in means])
    place.plot((result + truth) / 2, result - truth, ".", color=colour, alpha=0.35, markersize=3)
    overall = np.array([each.overall for each in means])
    place.plot(
        overall.mean(axis=1), overall[:, 0] - overall[:, 1],
        "D", color=colour, markeredgecolor="black", markersize=6,
    )  # fmt: skip
    limits = limits_of_agreement(means)
    place.axhline(0, color="#999999", linewidth=0.8)
    place.axhline(limits.bias, color="black", linewidth=1.2)
    for level in (limits.low, limits.high):
        if math.isfinite(level):
            place.axhline(level, color="black", linewidth=1, linestyle="--")
    place.set_title(
        f"{means[0].tissue}: bias {limits.bias:.0f}, limits {limits.low:.0f} to {limits.high:.0f}",
        fontsize=8,
    )
    place.tick_params(labelsize=7)
    place.grid(alpha=0.3)


def _draw_columns(place: Any, columns: Sequence[Sequence[float]]) -> None:
    for position, values in enumerate(columns):
        # Spread sideways in a fixed pattern, so that equal values do not hide one another.
        offsets = [0.12 * ((3 * i) % 5 - 2) / 2 for i in range(len(values))]
        place.plot(
            [position + offset for offset in offsets], values,
            "o", color=_colour(position), markersize=4, alpha=0.8,
        )  # fmt: skip
        if len(values) >= BOX_CASES:
            place.boxplot(
                [values], positions=[position], widths=0.5, showfliers=False, manage_ticks=False,
                medianprops={"color": "black"},
            )  # fmt: skip
    place.set_xlim(-0.6, len(columns) - 0.4)
    place.set_xticks([])
    place.tick_params(labelsize=7)
    place.grid(alpha=0.3, axis="y")


def _legend(canvas: Any, place: Any, names: Iterable[str], form: str) -> None:
    """Name the colours below all plots."""
    handles = [
        place.plot([], [], form, color=_colour(position), label=name)[0]
        for position, name in enumerate(names)
    ]
    canvas.legend(handles=handles, loc="outside lower left", fontsize=8, ncols=3)


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _colour(position: int) -> str:
    return COLOURS[position % len(COLOURS)]


def _finite(scored: Document, measure: str) -> list[float]:
    return [value for value in case_values(scored, measure) if math.isfinite(value)]
