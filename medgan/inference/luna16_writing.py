"""Synthetic scans as a folder like LUNA16's: images, lungs, tables, and where it all came from."""

import csv
import hashlib
import io
import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from medgan.data.luna16 import ANNOTATIONS, EXCLUDED, Luna16Scan, Nodule
from medgan.errors import DataError, MedganError
from medgan.inference.nodule_plan import InsertionPlan, plan_nodules
from medgan.inference.nodules import NoduleInserter
from medgan.io import read_volume
from medgan.io.dicom.uids import derived_uid
from medgan.io.files import output_errors, write_json, write_text
from medgan.io.folders import continued_folder
from medgan.io.luna16 import Row, write_rows, write_uids
from medgan.io.metaimage import write_itk
from medgan.volumes import Volume
from medgan.volumes.sharpness import edge_sigma_mm

SERIES, PROVENANCE = "seriesuids.csv", "provenance.csv"
MASKS, RECORDS = "seg-lungs", "made"

LUNG_LABEL = 3
"""Of a mask that was segmented; LUNA16 labels the lungs 3 and 4."""

_COLUMNS = (
    "seriesuid", "source_sha256", "action", "coordX", "coordY", "coordZ", "diameter_mm", "drawn_mm",
    "density", "on_wall", "shape_seed", "model_sha256", "synthetic",
)  # fmt: skip

_log = logging.getLogger(__name__)

Action = Literal["inserted", "removed"]


@dataclass(frozen=True)
class ChangedNodule:
    """A nodule put in or taken out.

    Attributes:
        action: which of the two.
        position_mm: world coordinates, LPS.
        diameter_mm: of the sphere of its volume.
        drawn_mm: the same of the whole shape, what the pleura cut off included.
        density: as wanted; empty for one taken out.
        on_wall: whether the pleura cuts it.
        shape_seed: see ``planned_shape``; None for one taken out.
    """

    action: Action
    position_mm: tuple[float, float, float]
    diameter_mm: float
    drawn_mm: float
    density: str = ""
    on_wall: bool = False
    shape_seed: int | None = None


@dataclass(frozen=True)
class MadeScan:
    """A synthetic scan and what is in it; its JSON is the record that makes the work resumable.

    Attributes:
        uid: its own series UID.
        source_sha256: of the source's series UID.
        subset: that of the source; None outside of subsets.
        nodules: rows of annotations.csv.
        excluded: rows of annotations_excluded.csv, as the source has them.
        changed: what was done.
        model_sha256: of the model's file.
    """

    uid: str
    source_sha256: str
    subset: int | None
    nodules: tuple[Nodule, ...]
    excluded: tuple[Nodule, ...]
    changed: tuple[ChangedNodule, ...]
    model_sha256: str

    @classmethod
    def read(cls, path: Path) -> "MadeScan":
        """From a record; its numbers are those that were written."""
        facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        for name, kind in (
            ("nodules", Nodule),
            ("excluded", Nodule),
            ("changed", ChangedNodule),
        ):
            facts[name] = tuple(
                kind(**(item | {"position_mm": tuple(item["position_mm"])})) for item in facts[name]
            )
        return cls(**facts)


@dataclass(frozen=True)
class Failure:
    """A scan of which nothing was made."""

    uid: str
    what: str


@dataclass(frozen=True)
class Outcome:
    """All synthetic scans of a folder, those of earlier runs included, and what failed in this."""

    made: tuple[MadeScan, ...]
    failures: tuple[Failure, ...]


def insert_into_scans(
    inserter: NoduleInserter, scans: Iterable[Luna16Scan], out: Path, plan: InsertionPlan
) -> Outcome:
    """Put nodules into scans, each into a copy under a series UID of its own.

    Annotations, excluded findings, lungs and subset are carried over. What is there whole is not
    made again: the UID follows from source, model and plan. A scan that cannot be used is named and
    the rest goes on.

    Args:
        inserter: the model.
        scans: sources, which are not touched.
        out: folder to make or continue: ``subset0/<uid>.mhd`` ..., ``seg-lungs``, the tables of
            LUNA16 and ``provenance.csv``.
        plan: what is wanted in each.

    Raises:
        OutputError: something cannot be written.
    """

    def change(scan: Luna16Scan, lungs: Volume) -> tuple[Volume, list[ChangedNodule]]:
        rng = np.random.default_rng([plan.seed, *hashlib.sha256(scan.uid.encode()).digest()[:8]])
        volume = scan.read()
        done = []
        findings = (*scan.nodules, *scan.excluded)
        edge_mm = edge_sigma_mm(volume, lungs)
        for nodule in plan_nodules(plan, volume, lungs, findings, rng):
            inserted = inserter.insert(
                volume,
                nodule.shape,
                nodule.position_mm,
                lungs=lungs if nodule.on_wall else None,
                edge_mm=edge_mm,
            )
            volume, lies = inserted.scan, inserted.nodule
            drawn = nodule.shape.diameter_mm
            facts = (round(drawn, 2), nodule.shape.density, nodule.on_wall, nodule.seed)
            done.append(ChangedNodule("inserted", lies.position_mm, lies.diameter_mm, *facts))
        return volume, done

    return _make(inserter, scans, out, ("insert", repr(plan)), change)


def remove_from_scans(inserter: NoduleInserter, scans: Iterable[Luna16Scan], out: Path) -> Outcome:
    """Take every annotated nodule out of copies of scans; otherwise as ``insert_into_scans``.

    A nodule too large for the model stays, with its annotation. Scans without nodules are left out.

    Raises:
        OutputError: something cannot be written.
    """

    def change(scan: Luna16Scan, lungs: Volume) -> tuple[Volume, list[ChangedNodule]]:
        volume = scan.read()
        done = []
        for nodule in scan.nodules:
            try:
                volume = inserter.remove(volume, nodule)
            except DataError as error:
                _log.warning("scan %s: a nodule stays: %s", scan.uid, error.what)
                continue
            done.append(_removed(nodule))
        if not done:
            raise DataError("none of its nodules can be taken out")
        return volume, done

    return _make(inserter, (scan for scan in scans if scan.nodules), out, ("remove",), change)


def _removed(nodule: Nodule) -> ChangedNodule:
    return ChangedNodule("removed", nodule.position_mm, nodule.diameter_mm, nodule.diameter_mm)


def _make(
    inserter: NoduleInserter,
    scans: Iterable[Luna16Scan],
    out: Path,
    how: tuple[str, ...],
    change: Callable[[Luna16Scan, Volume], tuple[Volume, list[ChangedNodule]]],
) -> Outcome:
    failures = []
    records = continued_folder(out, RECORDS)
    for scan in scans:
        sha256 = inserter.model.sha256
        uid = derived_uid("medgan nodules", scan.uid, sha256, *how)
        record = records / f"{uid}.json"
        if record.is_file():
            continue
        try:
            lungs = scan.lungs()
            volume, done = change(scan, lungs)
        except MedganError as error:
            _log.warning("left out: scan %s: %s", scan.uid, error.what)
            failures.append(Failure(scan.uid, error.what))
            continue
        source = hashlib.sha256(scan.uid.encode()).hexdigest()
        made = MadeScan(
            uid, source, scan.subset, _left(scan, done), scan.excluded, tuple(done), sha256
        )
        _write(made, scan, volume, lungs, out)
        # Written last: a scan that has a record is whole.
        write_json(record, asdict(made))
    made_scans = tuple(MadeScan.read(path) for path in sorted(records.glob("[!.]*.json")))
    _write_tables(made_scans, out)
    return Outcome(made_scans, tuple(failures))


def _left(scan: Luna16Scan, done: list[ChangedNodule]) -> tuple[Nodule, ...]:
    """The nodules of a scan after what was done to it."""
    gone = {nodule.position_mm for nodule in done if nodule.action == "removed"}
    new = [nodule for nodule in done if nodule.action == "inserted"]
    kept = [nodule for nodule in scan.nodules if nodule.position_mm not in gone]
    return (*kept, *(Nodule(nodule.position_mm, nodule.diameter_mm) for nodule in new))


def _write(made: MadeScan, scan: Luna16Scan, volume: Volume, lungs: Volume, out: Path) -> None:
    folder = out if made.subset is None else out / f"subset{made.subset}"
    with output_errors(out):
        folder.mkdir(exist_ok=True)
        (out / MASKS).mkdir(exist_ok=True)
    write_itk(volume, folder / f"{made.uid}.mhd")
    if scan.lung_mask is None:
        mask = lungs.with_array(lungs.array.astype(np.uint8) * LUNG_LABEL)
    else:
        mask = read_volume(scan.lung_mask, modality="LABEL")
    write_itk(mask, out / MASKS / f"{made.uid}.mhd")


def _write_tables(scans: tuple[MadeScan, ...], out: Path) -> None:
    for name, of_scan in ((ANNOTATIONS, "nodules"), (EXCLUDED, "excluded")):
        rows = [
            Row(scan.uid, finding.position_mm, finding.diameter_mm)
            for scan in scans
            for finding in getattr(scan, of_scan)
        ]
        write_rows(out / name, rows, "diameter_mm")
    write_uids(out / SERIES, [scan.uid for scan in scans])
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(_COLUMNS)
    for scan in scans:
        for nodule in scan.changed:
            seed = "" if nodule.shape_seed is None else nodule.shape_seed
            size = nodule.diameter_mm, nodule.drawn_mm
            kind = nodule.density, "YES" if nodule.on_wall else "NO", seed
            source = scan.uid, scan.source_sha256, nodule.action
            table.writerow([*source, *nodule.position_mm, *size, *kind, scan.model_sha256, "YES"])
    write_text(out / PROVENANCE, text.getvalue())
