"""Synthetic scans as a folder in the form of LUNA16: new UIDs, carried annotations, new rows."""

import csv
import hashlib
import io
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from medgan.data.luna16_scan import Luna16Scan, Nodule
from medgan.errors import DataError, FileError, GeometryError
from medgan.io.dicom.uids import derived_uid
from medgan.io.files import output_errors, remove_strays, write_json, write_text
from medgan.io.luna16 import Row, write_rows, write_uids
from medgan.io.metaimage import write_itk
from medgan.volumes import Volume

PROVENANCE = "provenance.csv"
COLUMNS = (
    "seriesuid",
    "source_sha256",
    "copy",
    "action",
    "coordX",
    "coordY",
    "coordZ",
    "diameter_mm",
)
LUNG_LABEL = 3

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class SyntheticScan:
    """What a synthesiser makes of a scan.

    Attributes:
        ct: HU, on the scan's grid.
        nodules: the new ones; those of the scan are still there.
    """

    ct: Volume
    nodules: tuple[Nodule, ...]


Synthesiser = Callable[[Luna16Scan, int, np.random.Generator], SyntheticScan]
"""Puts a number of nodules into a training scan; the generator of random numbers determines all.

Raises DataError where it cannot, such as in lungs without room.
"""


@dataclass(frozen=True)
class Copy:
    """One synthetic scan: the so many-th copy of a training scan."""

    scan: Luna16Scan
    number: int


def write_synthetic(
    folder: Path,
    source: str,
    copies: Sequence[Copy],
    synthesiser: Synthesiser,
    *,
    nodules: int,
    seed: int,
) -> None:
    """Make synthetic scans; what is there whole is not made again.

    Written are ``subset<n>/<uid>.mhd`` and .zraw, ``seg-lungs/<uid>.mhd``, ``annotations.csv``,
    ``annotations_excluded.csv`` and ``seriesuids.csv`` as LUNA16 has them, and ``provenance.csv``
    with a row for each new nodule, as ``medgan nodules insert`` writes it. A copy that the
    synthesiser cannot make is left out and named.

    Args:
        folder: new, or begun earlier.
        source: name of the source; part of the UIDs.
        copies: which to make, those of one scan one after another.
        synthesiser: makes them.
        nodules: new ones in each.
        seed: with a copy's place, of everything random in it.

    Raises:
        OutputError: something cannot be written.
        ModelError: the synthesiser is of no use.
    """
    with output_errors(folder):
        (folder / "truth").mkdir(parents=True, exist_ok=True)
    remove_strays(folder)
    for copy in copies:
        place = _truth_file(folder, source, seed, copy)
        if not place.exists():
            try:
                _write(folder, source, seed, copy, synthesiser, nodules)
            except (DataError, FileError, GeometryError) as error:
                _log.warning("no copy of scan %s: %s", copy.scan.uid, error.what)
                write_json(place, {"problem": error.what})
    _write_tables(folder, [_truth_file(folder, source, seed, copy) for copy in copies])


def is_whole(folder: Path, source: str, copies: Sequence[Copy], seed: int) -> bool:
    """Whether there is nothing left to make, with the arguments of ``write_synthetic``."""
    return all(_truth_file(folder, source, seed, copy).exists() for copy in copies)


def left_out(
    folder: Path, source: str, copies: Sequence[Copy], seed: int
) -> tuple[dict[str, str], ...]:
    """``uid`` of the training scan and ``what`` was wrong, for each copy that was left out."""
    found = []
    for copy in copies:
        truth = json.loads(_truth_file(folder, source, seed, copy).read_text(encoding="utf-8"))
        if "problem" in truth:
            found.append({"uid": copy.scan.uid, "what": truth["problem"]})
    return tuple(found)


def _uid(source: str, seed: int, copy: Copy) -> str:
    facts = (source, str(seed), copy.scan.uid, str(copy.number))
    return derived_uid("medgan augmentation", *facts)


def _truth_file(folder: Path, source: str, seed: int, copy: Copy) -> Path:
    return folder / "truth" / f"{_uid(source, seed, copy)}.json"


def _write(
    folder: Path,
    source: str,
    seed: int,
    copy: Copy,
    synthesiser: Synthesiser,
    nodules: int,
) -> None:
    scan, uid = copy.scan, _uid(source, seed, copy)
    rng = np.random.default_rng([seed, copy.number, *_words(scan.uid)])
    made = synthesiser(scan, nodules, rng)
    lungs = scan.lungs()
    place = folder / f"subset{scan.subset or 0}" / f"{uid}.mhd"
    mask = folder / "seg-lungs" / f"{uid}.mhd"
    for path in (place, mask):
        with output_errors(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
    ct = made.ct.with_array(made.ct.array, synthetic=True)
    write_itk(lungs.with_array((lungs.array != 0).astype(np.uint8) * LUNG_LABEL), mask)
    write_itk(ct, place)
    # last, so that a scan that has it is whole
    write_json(
        _truth_file(folder, source, seed, copy),
        {
            "uid": uid,
            "source": scan.uid,
            "copy": copy.number,
            "annotations": [asdict(nodule) for nodule in scan.nodules],
            "excluded": [asdict(finding) for finding in scan.excluded],
            "inserted": [asdict(nodule) for nodule in made.nodules],
        },
    )


def _words(uid: str) -> list[int]:
    """A UID as numbers that seed a generator."""
    return [int(part) for part in uid.split(".") if part.isdigit()]


def _write_tables(folder: Path, truths: Sequence[Path]) -> None:
    read = [json.loads(path.read_text(encoding="utf-8")) for path in truths]
    made = [truth for truth in read if "problem" not in truth]
    for name, keys in (
        ("annotations.csv", ("annotations", "inserted")),
        ("annotations_excluded.csv", ("excluded",)),
    ):
        rows = [
            Row(truth["uid"], tuple(finding["position_mm"]), finding["diameter_mm"])
            for truth in made
            for key in keys
            for finding in truth[key]
        ]
        write_rows(folder / name, rows, "diameter_mm")
    write_uids(folder / "seriesuids.csv", [truth["uid"] for truth in made])
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for truth in made:
        facts = (truth["uid"], source_hash(truth["source"]), truth["copy"], "inserted")
        for nodule in truth["inserted"]:
            table.writerow([*facts, *nodule["position_mm"], nodule["diameter_mm"]])
    write_text(folder / PROVENANCE, text.getvalue())


def source_hash(uid: str) -> str:
    """What a table of provenance says of the scan that a synthetic one was made of."""
    return hashlib.sha256(uid.encode()).hexdigest()
