"""Nodules, irrelevant findings and a detector's marks, from the CSV files of LUNA16.

Positions are world coordinates as the files give them: mm, x to the patient's left, y to the back,
z to the head (LPS), the convention of ITK. They are compared with each other only.
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medgan.errors import DataError, FileError

UNKNOWN_DIAMETER_MM = 10.0
"""Diameter of a finding whose file says less than 0.

Source: official evaluation of LUNA16, where excluded findings without a size carry -1.
"""

_SERIES = "seriesuid"
_POSITION = ("coordX", "coordY", "coordZ")
_DIAMETER = "diameter_mm"
_PROBABILITY = "probability"


@dataclass(frozen=True)
class Annotations:
    """What readers marked.

    Attributes:
        scan: (n,) int, index into the list of scans.
        position_mm: (n, 3) float64, world coordinates of the centre, LPS.
        diameter_mm: (n,) float64, not negative.
    """

    scan: NDArray[np.int64]
    position_mm: NDArray[np.float64]
    diameter_mm: NDArray[np.float64]


@dataclass(frozen=True)
class Marks:
    """What a detector marked.

    Attributes:
        scan: (n,) int, index into the list of scans.
        position_mm: (n, 3) float64, world coordinates, LPS.
        probability: (n,) float64, finite; any scale on which more means surer.
    """

    scan: NDArray[np.int64]
    position_mm: NDArray[np.float64]
    probability: NDArray[np.float64]


def read_scans(path: Path) -> tuple[str, ...]:
    """Read the list of scans: one series UID a line, in ``seriesuids.csv``.

    A first line that reads ``seriesuid`` is a heading.

    Returns:
        The UIDs in the order of the file.

    Raises:
        FileError: missing, not text, empty, or more than one column.
        DataError: a scan is listed twice.
    """
    first_line: dict[str, int] = {}
    for line, row in _rows(path):
        if len(row) != 1:
            raise FileError(
                "a list of scans has one column",
                where=_place(path, line),
                measured=f"{len(row)} columns",
            )
        uid = row[0].strip()
        if uid in first_line:
            raise DataError(
                "a scan is listed twice",
                where=_place(path, line),
                measured=f"first in line {first_line[uid]}",
                remedy="Remove one of them: every scan counts once in the rate of false positives",
            )
        if uid != _SERIES:
            first_line[uid] = line
    if not first_line:
        raise FileError("lists no scan", where=path)
    return tuple(first_line)


def read_annotations(path: Path, scans: Sequence[str], *, unique: bool = True) -> Annotations:
    """Read ``annotations.csv`` or ``annotations_excluded.csv``.

    Rows of other scans are passed over, so that the official files serve a single fold as well.

    Args:
        path: CSV with at least ``seriesuid, coordX, coordY, coordZ, diameter_mm``.
        scans: series UIDs of the scans evaluated.
        unique: refuse two findings at one place, of which each would count as a nodule. The
            official file of excluded findings has thousands of them, which do no harm.

    Raises:
        FileError: missing, not CSV, a column missing, not a number.
        DataError: NaN or infinite, or two findings at one place.
    """
    table = _read(path, (*_POSITION, _DIAMETER), scans, others_allowed=True)
    if unique:
        _require_unique(path, table, table.values[:, :3], "a nodule is annotated twice")
    diameter = table.values[:, 3]
    return Annotations(
        table.scan,
        table.values[:, :3],
        np.where(diameter < 0, UNKNOWN_DIAMETER_MM, diameter),
    )


def read_marks(path: Path, scans: Sequence[str]) -> Marks:
    """Read a detector's results.

    Args:
        path: CSV with at least ``seriesuid, coordX, coordY, coordZ, probability``; rows in any
            order, and none for a scan in which nothing was marked.
        scans: series UIDs of the scans evaluated.

    Raises:
        FileError: missing, not CSV, a column missing, not a number.
        DataError: NaN or infinite, a scan that is not listed, or a row that is there twice.
    """
    table = _read(path, (*_POSITION, _PROBABILITY), scans, others_allowed=False)
    _require_unique(path, table, table.values, "a mark is there twice")
    return Marks(table.scan, table.values[:, :3], table.values[:, 3])


@dataclass(frozen=True)
class _Table:
    """Rows of listed scans: scan (n,), numbers (n, columns), line in the file (n,)."""

    scan: NDArray[np.int64]
    values: NDArray[np.float64]
    line: NDArray[np.int64]


def _read(
    path: Path, columns: Sequence[str], scans: Sequence[str], *, others_allowed: bool
) -> _Table:
    rows = _rows(path)
    header = [name.strip() for name in next(rows, (0, []))[1]]
    missing = [name for name in (_SERIES, *columns) if name not in header]
    if missing:
        raise FileError(
            f"no column {', '.join(missing)}",
            where=path,
            remedy=f"The first line names the columns: {', '.join((_SERIES, *columns))}",
        )
    uid_place, places = header.index(_SERIES), [header.index(name) for name in columns]
    index = {uid: number for number, uid in enumerate(scans)}
    scan, values, lines = [], [], []
    for line, row in rows:
        if len(row) != len(header):
            raise FileError(
                "a row is not as long as the heading",
                where=_place(path, line),
                measured=f"{len(row)} columns",
                limit=len(header),
            )
        number = index.get(row[uid_place].strip())
        if number is None:
            if others_allowed:
                continue
            raise DataError(
                "a mark in a scan that is not in the list of scans",
                where=_place(path, line),
                remedy="List the scan, or leave its marks out",
            )
        try:
            values.append([float(row[place]) for place in places])
        except ValueError as error:
            raise FileError(
                f"not a number in {', '.join(columns)}", where=_place(path, line)
            ) from error
        scan.append(number)
        lines.append(line)
    table = _Table(
        np.array(scan, np.int64),
        np.array(values, np.float64).reshape(-1, len(columns)),
        np.array(lines, np.int64),
    )
    _require_finite(path, table, columns)
    return table


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line number and fields of every row that is not blank."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            for row in reader:
                if any(field.strip() for field in row):
                    yield reader.line_num, row
    except OSError as error:
        raise FileError(f"cannot be read: {(error.strerror or '').lower()}", where=path) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise FileError("is not a CSV file in UTF-8", where=path) from error


def _require_finite(path: Path, table: _Table, columns: Sequence[str]) -> None:
    bad = np.argwhere(~np.isfinite(table.values))
    if len(bad):
        row, column = bad[0]
        raise DataError(
            f"{columns[column]} is not a finite number",
            where=_place(path, int(table.line[row])),
            measured=table.values[row, column],
        )


def _require_unique(path: Path, table: _Table, values: NDArray[np.float64], what: str) -> None:
    keys = np.column_stack([table.scan, values])
    order = np.lexsort(keys.T[::-1])
    same = (keys[order][1:] == keys[order][:-1]).all(1)
    if same.any():
        # lexsort is stable: of equal rows, the earlier line comes first.
        repeats = sorted(
            (int(table.line[order[i + 1]]), int(table.line[order[i]])) for i in np.flatnonzero(same)
        )
        line, earlier = repeats[0]
        raise DataError(
            what,
            where=_place(path, line),
            measured=f"also in line {earlier}, {len(repeats)} such row(s) in all",
            remedy="Remove the repeated rows",
        )


def _place(path: Path, line: int) -> str:
    return f"{path}, line {line}"
