"""A comparison of methods as a table and as a page with pictures."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medgan.metrics.aggregates import counted
from medgan.report.evaluation import definition_text
from medgan.report.figures import Tile, panel
from medgan.report.html import Figure, Report, Section, Table, write_report
from medgan.report.windows import BONE_HU

MEASURES = {
    "mae": "MAE (HU)",
    "mae_air": "air",
    "mae_soft": "soft",
    "mae_bone": "bone",
    "bone_dice": "bone Dice",
    "ssim": "SSIM",
    "edge_bone_mm": "bone edge (mm)",
    "edge_skin_mm": "skin edge (mm)",
}
WITH_INTERVAL = {"mae": 1, "bone_dice": 3}
"""Measures whose interval is shown, and its decimals."""

INTERVAL = "95 %"
AGAINST = ("MAE - reference's (HU)", INTERVAL, "share (%)")
COST = {"ratio": "time of a step (reference: 1)", "peak_memory_mb": "memory (MB)"}
BEST = {"mae": ("Lowest MAE", min), "bone_dice": ("Highest bone Dice", max)}
FLOORS = {"constant": "floor: best constant", "lookup_table": "floor: look-up table"}
TILES_A_ROW = 6
TITLE_CHARACTERS = 32
"""Of a tile's title in one line; longer ones would run into their neighbours."""

Pictures = Mapping[str, NDArray[np.float32]]
"""Slices of one result by name, as the comparison's run folders keep them, in HU."""

Row = Mapping[str, Any]


def methods_table(document: Mapping[str, Any]) -> Table:
    """All methods beside each other, the floors below.

    Args:
        document: as ``recipes.comparison_document.document`` returns it.
    """
    rows = [
        [_name(row), *_cells(row["values"]), *_against(row["difference"]), *_cost(row["cost"])]
        for row in document["rows"]
    ]
    nothing = [*_against(None), *_cost(None)]
    for floor, label in FLOORS.items():
        rows.append([label, *_cells(document["floors"].get(floor, {})), *nothing])
    return Table(_caption(document), _columns(), rows)


def write_methods_report(
    path: Path, document: Mapping[str, Any], pictures: Mapping[str, Pictures]
) -> None:
    """Write the page.

    Args:
        path: the ``.html`` file.
        document: as ``methods_table``.
        pictures: by the row's name, ``row_name``; slices "source_axial", "result_axial" and so on.

    Raises:
        OutputError: the file cannot be written.
    """
    sections = [Section("Methods", tables=[methods_table(document)])]
    if pictures:
        figures = [_figure(document, pictures, plane) for plane in ("axial", "sagittal")]
        sections.append(Section("Pictures", figures=figures))
    write_report(path, Report(f"Methods: {document['name']}", _summary(document), sections))


def row_name(row: Row) -> str:
    """Name of a row for programs."""
    return row["member"] + ("_anchored" if row["anchored"] else "")


def _name(row: Row) -> str:
    return row["label"] + (", anchored" if row["anchored"] else "")


def _columns() -> list[str]:
    columns = ["method"]
    for measure, heading in MEASURES.items():
        columns += [heading, INTERVAL] if measure in WITH_INTERVAL else [heading]
    return [*columns, *AGAINST, *COST.values()]


def _cells(values: Mapping[str, Mapping[str, Any]]) -> list[Any]:
    cells: list[Any] = []
    for measure in MEASURES:
        value = values.get(measure, {})
        cells.append(value.get("mean"))
        if measure in WITH_INTERVAL:
            cells.append(_interval(value, f".{WITH_INTERVAL[measure]}f"))
    return cells


def _interval(value: Mapping[str, Any], form: str) -> str | None:
    """In a column of its own, so that a reader can put the means in order."""
    if value.get("low") is None:
        return None
    return f"{value['low']:{form}} to {value['high']:{form}}"


def _against(difference: Mapping[str, Any] | None) -> list[Any]:
    if difference is None:
        return [None] * len(AGAINST)
    return [difference["mean"], _interval(difference, "+.1f"), 100 * difference["share"]]


def _cost(cost: Mapping[str, Any] | None) -> list[Any]:
    return [None if cost is None else cost[name] for name in COST]


def _caption(document: Mapping[str, Any]) -> str:
    definition, rows = document["definition"], document["rows"]
    cases = sorted({row["values"]["mae"]["n"] for row in rows})
    steps = sorted({step for row in rows for step in row["steps"]})
    seeds = sorted({len(row["seeds"]) for row in rows})
    parts = [
        f"Trainings of {_span(steps)} steps, tested on n = {_span(cases)} heads (seeds: "
        f"{_span(seeds)})",
        f"{INTERVAL}: interval of the mean before it over heads, where there are 6 or more; heads "
        "of one seed share a training",
        f"reference: {document['reference']}, without the anchor, on the same heads",
        "bone edge, skin edge: mean distance from the reference image's",
        "time of a step: after the warm-up, by turns with the reference",
        "floors: fitted on each head itself",
    ]
    return "; ".join([definition_text(definition), *parts] if definition else parts) + "."


def _span(values: Sequence[int]) -> str:
    if not values:
        return "no"
    return str(values[0]) if len(values) == 1 else f"{values[0]} to {values[-1]}"


def _summary(document: Mapping[str, Any]) -> list[str]:
    trainings, rows = document["trainings"], document["rows"]
    summary = []
    for measure, (words, best) in BEST.items():
        means = {_name(row): row["values"].get(measure, {}).get("mean") for row in rows}
        known = {name: mean for name, mean in means.items() if mean is not None}
        if known:
            name = best(known, key=lambda name: known[name])
            unit = " HU" if measure == "mae" else ""
            summary.append(f"{words}: {name}, {known[name]:.{WITH_INTERVAL[measure]}f}{unit}.")
    if trainings["finished"] < trainings["planned"]:
        planned = counted(trainings["planned"], "training")
        summary.append(f"{trainings['finished']} of {planned} have ended; the others are not here.")
    summary += [
        f"{row_name(failure)}, seed {failure['seed']}, failed: {failure['reason']}"
        for failure in document["failures"]
    ]
    return summary


def _figure(document: Mapping[str, Any], pictures: Mapping[str, Pictures], plane: str) -> Figure:
    """The same slice of the same head from every method, source and truth first."""
    shown = [row for row in document["rows"] if row_name(row) in pictures]
    first = pictures[row_name(shown[0])]
    source = first[f"source_{plane}"]
    tiles = [
        Tile("source", source, (0.0, float(np.percentile(source, 99.5)))),
        Tile("truth", first[f"reference_{plane}"], BONE_HU),
    ]
    for row in shown:
        name = textwrap.fill(_name(row), TITLE_CHARACTERS)
        title = f"{name}\n{row['values']['mae']['mean']:.0f} HU"
        tiles.append(Tile(title, pictures[row_name(row)][f"result_{plane}"], BONE_HU))
    blank = Tile("", np.full_like(source, np.nan), (0.0, 1.0))
    tiles += [blank] * (-len(tiles) % TILES_A_ROW)
    rows = [tiles[start : start + TILES_A_ROW] for start in range(0, len(tiles), TILES_A_ROW)]
    low, high = BONE_HU
    return Figure(
        panel(rows),
        f"{plane} slice of one test head from every method",
        f"One {plane} slice of a test head, window {low:g} to {high:g} HU; under each name the "
        "mean MAE of its row.",
    )
