"""The list of what a batch has made, beside its results: what a resumed batch starts from."""

import csv
import io
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Self, get_args

from medgan.errors import FileError
from medgan.io.files import output_errors, shown, writing

MANIFEST = "manifest.csv"
"""Name of the manifest in the folder of results."""

_SHARE_OF_TIME = 0.05

Key = tuple[str, str, str]
"""Source, part and output: what stays the same when a source is converted again."""

Status = Literal["pending", "converted", "repaired", "refused", "skipped"]


@dataclass(frozen=True)
class Record:
    """One row.

    Attributes:
        source: relative to the folder that was converted.
        part: what sets the volume apart within its series; mostly empty.
        status: "pending" until it has been tried.
        output: relative to the manifest; empty where nothing was to be written.
        created: when the conversion was first planned, ISO 8601; what goes into DICOM results.
            Empty, like the fingerprint, where nothing was to be converted.
        fingerprint: of the source's files and of all that the result follows from.
        files: number of files of the result; where the source was refused, of an earlier one that
            still stands there.
        bytes: size of them all.
        repairs: what was done to irregular geometry.
        warnings: what is odd about the values.
        error_type: the kind of error where it was refused.
        error: its message, or why it was skipped.
    """

    source: str
    part: str
    status: Status
    output: str
    created: str
    fingerprint: str
    files: int = 0
    bytes: int = 0
    repairs: str = ""
    warnings: str = ""
    error_type: str = ""
    error: str = ""

    @property
    def key(self) -> Key:
        """By which an earlier record of the same conversion is found."""
        return self.source, self.part, self.output

    def over(self, before: Self) -> Self:
        """This one, which still knows the result that it may replace, should it be refused."""
        return replace(self, files=before.files, bytes=before.bytes)


def now() -> str:
    """The time in UTC, ISO 8601, to the second; ``SOURCE_DATE_EPOCH`` stands in for the clock.

    Source: https://reproducible-builds.org/specs/source-date-epoch.
    """
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    moment = datetime.fromtimestamp(int(epoch), UTC) if epoch.isdecimal() else datetime.now(UTC)
    return moment.isoformat(timespec="seconds")


def read_manifest(folder: Path) -> dict[Key, Record]:
    """The records of earlier runs, by key; none where there is no manifest.

    Raises:
        FileError: a manifest is there but cannot be understood.
    """
    path = folder / MANIFEST
    if not path.exists():
        return {}
    names = [field.name for field in fields(Record)]
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            reader = csv.DictReader(stream, strict=True)
            if reader.fieldnames != names:
                raise ValueError("other columns")
            records = [_record(row) for row in reader]
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise FileError(
            "is not a manifest of medgan",
            where=path,
            remedy="Move it away, or convert into another folder",
        ) from error
    return {record.key: record for record in records}


def write_manifest(folder: Path, records: Iterable[Record], staging: Path) -> None:
    """Write the manifest, atomically.

    A source that was left aside is no row where another one tells of a result made from it.

    Args:
        folder: where it belongs.
        records: in the order of the rows.
        staging: a folder on the same disk for the unfinished file.

    Raises:
        OutputError: the file cannot be written.
    """
    records = list(records)
    named = {(record.source, record.part) for record in records if record.output}
    rows = [r for r in records if r.output or (r.source, r.part) not in named]
    text = io.StringIO()
    table = csv.DictWriter(text, [field.name for field in fields(Record)], lineterminator="\n")
    table.writeheader()
    table.writerows(asdict(row) for row in rows)
    unfinished = staging / MANIFEST
    with writing(unfinished) as temporary:
        temporary.write_text(shown(text.getvalue()), encoding="utf-8", newline="\n")
    with output_errors(folder / MANIFEST):
        unfinished.replace(folder / MANIFEST)


class ManifestKeeper:
    """Writes the manifest of a batch at work so often that it takes little of the time.

    Written after every result, the manifest of a hundred thousand would be written in full as
    often; a killed batch makes what is not in it again, to the same bytes.

    Args:
        folder: where it belongs.
        records: by key; they change while the batch is at work.
        staging: a folder on the same disk for the unfinished file.
    """

    def __init__(self, folder: Path, records: Mapping[Key, Record], staging: Path) -> None:
        self.folder, self.records, self.staging = folder, records, staging
        self._due = 0.0

    def save(self) -> None:
        """Write it now.

        Raises:
            OutputError: the file cannot be written.
        """
        start = time.monotonic()
        ordered = [self.records[key] for key in sorted(self.records)]
        write_manifest(self.folder, ordered, self.staging)
        end = time.monotonic()
        self._due = end + (end - start) / _SHARE_OF_TIME

    def save_when_due(self) -> None:
        """Write it where enough time has passed since it was last written.

        Raises:
            OutputError: the file cannot be written.
        """
        if time.monotonic() > self._due:
            self.save()


def _record(row: dict[str, str]) -> Record:
    if row["status"] not in get_args(Status):
        raise ValueError(row["status"])
    numbers = {name: int(row[name]) for name in ("files", "bytes")}
    return Record(**{**row, **numbers})  # type: ignore[arg-type]
