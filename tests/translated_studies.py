"""Studies of phantoms, and batches of translations."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pydicom

from medgan.inference.batch import Batch, Row
from medgan.inference.planning import Request, plan
from medgan.inference.translator import Translator
from medgan.io.dicom.write import Identity, write_series
from medgan.phantoms.scan import HeadScan, scan_head

CREATED = datetime(2026, 11, 22, 15, 0, 1, tzinfo=UTC)
Make = Callable[..., Batch]


def thick_head() -> HeadScan:
    return scan_head(4, spacing_mm=(6.0, 6.0, 12.0), supersample=1)


def planner(run: Path, translator: Translator) -> Make:
    """What plans a batch of a source and a target, and of other changes of the request."""

    def make(source: Path, target: Path, **changes: object) -> Batch:
        return plan(Request(run, source, target, **changes), translator)

    return make


def one_study(head: HeadScan, folder: Path) -> Path:
    """A folder with the MR and the CT of one patient, each a series."""
    add_series(head, folder / "one" / "mr", "MR")
    add_series(head, folder / "one" / "ct", "CT", series_number=2)
    return folder


def add_series(
    head: HeadScan, folder: Path, modality: str, patient: str = "one", series_number: int = 1
) -> Path:
    identity = Identity(patient_name=f"Doe^{patient}", series_number=series_number)
    volume = head.mr if modality == "MR" else head.ct
    write_series(replace(volume, synthetic=False), folder, identity, created=CREATED, seed=patient)
    return folder


def done(batch: Batch) -> list[Row]:
    list(batch)
    return batch.rows


def statuses(rows: list[Row]) -> dict[str, str]:
    return {row.label: row.status for row in rows}


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def change(folder: Path, **tags: object) -> None:
    for path in folder.glob("*.dcm"):
        header = pydicom.dcmread(path)
        for keyword, value in tags.items():
            if value is None:
                del header[keyword]
            else:
                setattr(header, keyword, value)
        header.save_as(path)
