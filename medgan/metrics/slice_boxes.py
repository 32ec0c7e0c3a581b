"""Nodules as boxes on axial slices: the form in which 2-D detectors are published.

Such counts compare with nothing else in medgan: a large nodule counts once for every slice that it
lies on. They stand beside the rules of LUNA16 (``medgan.metrics.detection``), never in their place.
"""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medgan.errors import DataError, FileError
from medgan.metrics.detection import Detections, MarkCounts
from medgan.metrics.findings import Annotations

LEAST_IOU = 0.5
"""From which a box is that of a nodule. Source: Everingham et al., The PASCAL Visual Object Classes
Challenge, IJCV 88 (2010), section 4.2."""

_COLUMNS = ("first_mm", "spacing_mm", "count")


@dataclass(frozen=True)
class Slices:
    """Where the axial slices of scans lie, along z of LPS in mm.

    Attributes:
        first_mm: (scans,) centre of the lowest.
        spacing_mm: (scans,) distance between two, positive.
        count: (scans,) how many there are.
    """

    first_mm: NDArray[np.float64]
    spacing_mm: NDArray[np.float64]
    count: NDArray[np.int64]


@dataclass(frozen=True)
class _Boxes:
    """Squares on slices, each (n, ...): what it is of, its slice, its middle and half its side."""

    owner: NDArray[np.int64]
    slice: NDArray[np.int64]
    middle_mm: NDArray[np.float64]
    half_mm: NDArray[np.float64]


def read_slices(path: Path, scans: Sequence[str]) -> Slices:
    """Read ``seriesuid, first_mm, spacing_mm, count``.

    Args:
        path: the table.
        scans: series UIDs of the scans evaluated.

    Raises:
        FileError: missing, a column missing, not a number.
        DataError: a scan is not in it.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = {
                row["seriesuid"]: [float(row[name]) for name in _COLUMNS]
                for row in csv.DictReader(file)
            }
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise FileError(
            "not a table of slices", where=path, limit=f"seriesuid, {', '.join(_COLUMNS)}"
        ) from error
    missing = [uid for uid in scans if uid not in rows]
    if missing:
        raise DataError("scans without slices", where=path, measured=len(missing), limit=0)
    table = np.array([rows[uid] for uid in scans], np.float64).reshape(-1, 3)
    return Slices(table[:, 0], table[:, 1], table[:, 2].astype(np.int64))


def judge_slices(
    marks: Annotations,
    probability: NDArray[np.float64],
    nodules: Annotations,
    slices: Slices,
) -> Detections:
    """Compare boxes slice by slice.

    A ball of diameter d about a place has, on every slice that it meets, a square box that its
    section just fills. On each slice the boxes of the marks come in the order of their probability;
    each takes the box of a nodule that overlaps it most, if that is by `LEAST_IOU` at least and
    not taken yet. What takes none is false. Excluded findings are not known here.

    Args:
        marks: place and diameter of each mark.
        probability: (n,) of the marks.
        nodules: to be found.
        slices: of the scans.

    Returns:
        The boxes of nodules in the place of nodules, with the probability of what took them; the
        boxes of marks in the place of marks.

    Source: the matching is that of Everingham et al. (2010), section 4.2.
    """
    n_scans = len(slices.count)
    made, wanted = (_boxes(findings, slices) for findings in (marks, nodules))
    score = np.full(len(wanted.owner), -np.inf)
    false = np.ones(len(made.owner), np.bool_)
    mark_place = _place(marks.scan[made.owner], made.slice)
    nodule_place = _place(nodules.scan[wanted.owner], wanted.slice)
    certainty = probability[made.owner]
    for place in np.intersect1d(mark_place, nodule_place):
        theirs = np.flatnonzero(nodule_place == place)
        mine = np.flatnonzero(mark_place == place)
        mine = mine[np.argsort(-certainty[mine], kind="stable")]
        overlap = _iou(made, mine, wanted, theirs)
        for row, box in enumerate(mine):
            column = int(overlap[row].argmax())
            if overlap[row, column] >= LEAST_IOU:
                score[theirs[column]] = certainty[box]
                false[box] = False
                overlap[:, column] = -math.inf
    return Detections(
        n_scans,
        nodules.scan[wanted.owner],
        nodules.diameter_mm[wanted.owner],
        score,
        marks.scan[made.owner][false],
        certainty[false],
        MarkCounts(len(made.owner), 0, 0, 0, 0, int(false.sum())),
    )


def _boxes(findings: Annotations, slices: Slices) -> _Boxes:
    first, step = slices.first_mm[findings.scan], slices.spacing_mm[findings.scan]
    radius, middle = findings.diameter_mm / 2, findings.position_mm
    low = np.ceil((middle[:, 2] - radius - first) / step).astype(np.int64).clip(0)
    high = np.floor((middle[:, 2] + radius - first) / step).astype(np.int64)
    high = np.minimum(high, slices.count[findings.scan] - 1)
    number = (high - low + 1).clip(0)
    owner = np.repeat(np.arange(len(number)), number)
    before = np.repeat(np.cumsum(number) - number, number)
    index = low[owner] + np.arange(len(owner)) - before
    away = first[owner] + index * step[owner] - middle[owner, 2]
    half = np.sqrt((radius[owner] ** 2 - away**2).clip(0))
    kept = half > 0
    return _Boxes(owner[kept], index[kept], middle[owner[kept], :2], half[kept])


def _place(scan: NDArray[np.int64], index: NDArray[np.int64]) -> NDArray[np.int64]:
    """One number for a scan and a slice of it."""
    return (scan << 32) + index


def _iou(
    first: _Boxes, rows: NDArray[np.int64], second: _Boxes, columns: NDArray[np.int64]
) -> NDArray[np.float64]:
    """(rows, columns): common area of two boxes in relation to that of either or both."""
    a, b = first.half_mm[rows, None], second.half_mm[columns][None]
    offset = np.abs(first.middle_mm[rows][:, None] - second.middle_mm[columns][None])
    sides = np.minimum(np.minimum(2 * a, 2 * b)[..., None], (a + b)[..., None] - offset).clip(0)
    common = sides.prod(-1)
    return np.asarray(common / (4 * a**2 + 4 * b**2 - common))
