"""The tables and positions of LUNA16: CSV rows, series UIDs with dots, world coordinates.

Positions are world coordinates as LUNA16 gives them: mm, x to the patient's left, y to the back, z
to the head (LPS). They become voxel indices through the whole affine of a volume, never through its
origin and spacing alone: some scans have flipped axes.

Source: A. A. A. Setio et al., Validation, comparison, and combination of algorithms for automatic
detection of pulmonary nodules in computed tomography images: the LUNA16 challenge, Medical Image
Analysis 42, 2017, and the files that were published with it.
"""

import csv
import io
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import SimpleITK as sitk
from numpy.typing import ArrayLike, NDArray

from medgan.errors import DataError, FileError, GeometryError
from medgan.io.files import write_text
from medgan.io.itk_headers import voxel_data
from medgan.volumes import Volume
from medgan.volumes.geometry import Grid, apply_affine, lps_to_ras, ras_to_lps

Column = Literal["diameter_mm", "probability", "class"]
"""What a row says of its position: a finding's size, a detector's belief, a candidate's truth."""

POSITION = ("coordX", "coordY", "coordZ")
SERIES = "seriesuid"
DATA_SUFFIXES = (".nii.gz", ".nii", ".mhd", ".mha", ".nrrd", ".raw", ".zraw")


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes:
        uid: series UID of the scan.
        position_mm: world coordinates, LPS.
        value: of the table's last column; a diameter of -1 is unknown (excluded findings).
    """

    uid: str
    position_mm: tuple[float, float, float]
    value: float


def uid_of(path: str | os.PathLike[str]) -> str:
    """The series UID that a scan's file is named after, all of its dots kept."""
    name = Path(path).name
    ending = next((end for end in DATA_SUFFIXES if name.lower().endswith(end)), "")
    return name[: len(name) - len(ending)]


def to_index(place: Grid | Volume, position_mm: ArrayLike) -> NDArray[np.float64]:
    """World coordinates as voxel indices.

    Args:
        place: the voxels' grid.
        position_mm: (..., 3), LPS.

    Returns:
        (..., 3) float64, (i, j, k) of (X, Y, Z); whole numbers are centres of voxels.
    """
    from_index: NDArray[np.float64] = ras_to_lps(place.affine)
    return apply_affine(np.linalg.inv(from_index).astype(np.float64), position_mm)


def to_world(place: Grid | Volume, index: ArrayLike) -> NDArray[np.float64]:
    """Voxel indices (..., 3) of (X, Y, Z) as world coordinates (..., 3) in mm, LPS."""
    return apply_affine(ras_to_lps(place.affine), index)


def contains(place: Grid | Volume, position_mm: ArrayLike) -> NDArray[np.bool_]:
    """Whether world coordinates (..., 3), LPS, lie inside the outer faces of a grid: (...) bool."""
    index = to_index(place, position_mm)
    inside = (index >= -0.5) & (index <= np.asarray(place.shape) - 0.5)
    return np.asarray(inside.all(axis=-1))


def read_grid(path: Path) -> Grid:
    """Where the voxels of a MetaImage lie, from its header; its data file must be there.

    Raises:
        FileError: missing, not of this format, damaged, or without its data file.
        GeometryError: not 3-D, or spacing, position or orientation is not in the header.
    """
    voxel_data(path)
    reader = sitk.ImageFileReader()
    reader.SetImageIO("MetaImageIO")
    reader.SetFileName(os.fspath(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise FileError("cannot be read as MetaImage", where=path) from error
    size = reader.GetSize()
    if len(size) != 3:
        raise GeometryError("is not one 3-D image", where=path, measured=size, limit="(X, Y, Z)")
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(reader.GetDirection(), (3, 3)) * reader.GetSpacing()
    affine[:3, 3] = reader.GetOrigin()
    try:
        return Grid(size, lps_to_ras(affine))
    except GeometryError as error:
        raise GeometryError(error.what, where=path, measured=error.measured) from error


def read_rows(path: Path, column: Column) -> tuple[Row, ...]:
    """Read annotations, excluded findings, candidates or results, in the order of the file.

    Args:
        path: CSV with at least ``seriesuid, coordX, coordY, coordZ`` and ``column``.
        column: whose number becomes ``Row.value``.

    Raises:
        FileError: missing, not CSV, a column missing, not a number.
        DataError: a number that is NaN or infinite.
    """
    names = (*POSITION, column)
    return tuple(_row(fields, names, place) for place, fields in _lines(path, (SERIES, *names)))


def write_rows(path: Path, rows: Iterable[Row], column: Column) -> None:
    """Write rows as LUNA16 has them, atomically; reading gives the same numbers.

    Args:
        path: CSV to write, with the columns ``seriesuid, coordX, coordY, coordZ`` and ``column``.
        rows: in their order.
        column: name of what ``Row.value`` holds.

    Raises:
        DataError: a number that is NaN or infinite.
        OutputError: the file cannot be written.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow([SERIES, *POSITION, column])
    for row in rows:
        numbers = (*row.position_mm, row.value)
        if not np.isfinite(numbers).all():
            raise DataError("a row is not of finite numbers", where=path, measured=numbers)
        table.writerow([row.uid, *(_shortest(number) for number in numbers)])
    write_text(path, text.getvalue())


def read_uids(path: Path) -> tuple[str, ...]:
    """Read ``seriesuids.csv``: one series UID a line, with or without a heading.

    Raises:
        FileError: missing or not text.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split()
    except (OSError, UnicodeDecodeError) as error:
        raise FileError("is not a list of series UIDs", where=path) from error
    return tuple(line for line in lines if line != SERIES)


def write_uids(path: Path, uids: Iterable[str]) -> None:
    """Write ``seriesuids.csv`` as LUNA16 has it: one series UID a line, no heading, atomically.

    Raises:
        OutputError: the file cannot be written.
    """
    write_text(path, "".join(f"{uid}\n" for uid in uids))


def _lines(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[str, dict[str, str]]]:
    """Place and fields of every row."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            table = csv.DictReader(file, restval="", skipinitialspace=True, strict=True)
            missing = [name for name in columns if name not in (table.fieldnames or ())]
            if missing:
                raise FileError(
                    f"no column {', '.join(missing)}",
                    where=path,
                    remedy=f"The first line names the columns: {', '.join(columns)}",
                )
            for fields in table:
                yield f"{path}, line {table.line_num}", fields
    except OSError as error:
        raise FileError(f"cannot be read: {(error.strerror or '').lower()}", where=path) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise FileError("is not a CSV file in UTF-8", where=path) from error


def _row(fields: dict[str, str], names: tuple[str, ...], place: str) -> Row:
    try:
        x, y, z, value = (float(fields[name]) for name in names)
    except ValueError as error:
        raise FileError(f"not a number in {', '.join(names)}", where=place) from error
    if not np.isfinite((x, y, z, value)).all():
        raise DataError("a row is not of finite numbers", where=place)
    return Row(fields[SERIES].strip(), (x, y, z), value)


def _shortest(number: float) -> str:
    """The shortest text that reads as the same number; whole ones without a point, such as -1."""
    number = float(number)
    return str(int(number)) if number.is_integer() else repr(number)
