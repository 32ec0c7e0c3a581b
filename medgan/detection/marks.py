"""A detector's marks, and their file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from medgan.io.luna16 import Row, write_rows


@dataclass(frozen=True)
class Mark:
    """A place where a nodule may be.

    Attributes:
        position_mm: world coordinates, LPS (to the left, to the back, to the head), mm.
        probability: in [0, 1]; not calibrated.
        diameter_mm: of the nodule that is thought to be there.
    """

    position_mm: tuple[float, float, float]
    probability: float
    diameter_mm: float


def write_marks(path: Path, marks: Mapping[str, Sequence[Mark]]) -> None:
    """Write the marks of some scans as LUNA16's evaluation reads them, atomically.

    Args:
        path: CSV file to write.
        marks: series UID -> marks; a scan without any has no row.

    Raises:
        OutputError: the file cannot be written.
    """
    rows = (
        Row(uid, mark.position_mm, mark.probability)
        for uid, found in marks.items()
        for mark in found
    )
    write_rows(path, rows, "probability")
