"""Synthetic slices as folders that can be compared: images, masks, and where it came from."""

import csv
import hashlib
import io
import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from medgan.data.chest import Chest
from medgan.data.chest_tissues import IN_NODULE
from medgan.data.luna16_scan import Luna16Scan
from medgan.errors import ConfigError, DataError, MedganError, OutputError
from medgan.inference.luna16_writing import PROVENANCE, RECORDS, Failure
from medgan.inference.mask_slices import SlicePainter
from medgan.inference.nodule_plan import InsertionPlan, plan_nodules
from medgan.io.dicom.uids import derived_uid
from medgan.io.files import make_folder, remove_strays, write_json, write_text
from medgan.io.folders import continued_folder
from medgan.io.luna16 import to_world
from medgan.io.metaimage import write_itk

FOLDERS = ("synthetic", "synthetic_masks", "real", "real_masks", "tissues")
"""Of slices, their nodules, the slices their maps were made of, these ones' nodules, and maps."""

SLICES = "slices.csv"

_SLICE_COLUMNS = (
    "slice", "source_sha256", "coordZ", "nodule_pixels", "noise_seed", "model_sha256", "synthetic",
)  # fmt: skip
_NODULE_COLUMNS = (
    "seriesuid", "source_sha256", "action", "coordX", "coordY", "coordZ", "drawn_mm", "density",
    "on_wall", "shape_seed", "model_sha256", "synthetic",
)  # fmt: skip

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SlicePlan:
    """Which slices are drawn of every scan.

    Attributes:
        new: nodules to put into the maps; None: only those that are annotated.
        every: besides the slices through the middle of each nodule, each so many-th with lung.
        seed: draws new nodules and noise.

    Raises:
        ConfigError: ``every`` below 1.
    """

    new: InsertionPlan | None = None
    every: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ConfigError("out of range", where="every", measured=self.every, limit="1 or more")


@dataclass(frozen=True)
class NewNodule:
    """A nodule that was put into a map.

    Attributes:
        position_mm: of its middle, LPS.
        drawn_mm: diameter of the sphere of its volume, before the pleura cuts it.
        density: as wanted.
        on_wall: whether the pleura cuts it.
        shape_seed: see ``medgan.inference.nodule_plan.planned_shape``.
    """

    position_mm: tuple[float, float, float]
    drawn_mm: float
    density: str
    on_wall: bool
    shape_seed: int


@dataclass(frozen=True)
class MadeSlice:
    """A synthetic slice.

    Attributes:
        name: its file below each folder, ``<uid>/z0042.mha``.
        z_mm: of the slice, towards the head.
        nodule_pixels: of nodules, annotated and new.
        noise_seed: its noise follows from it.
    """

    name: str
    z_mm: float
    nodule_pixels: int
    noise_seed: int


@dataclass(frozen=True)
class PaintedScan:
    """The synthetic slices of a scan; its JSON is the record that makes the work resumable.

    Attributes:
        uid: names the folders of its slices, and the patient.
        source_sha256: of the source's series UID.
        slices: what was drawn.
        nodules: put into the map.
        model_sha256: of the model's file.
    """

    uid: str
    source_sha256: str
    slices: tuple[MadeSlice, ...]
    nodules: tuple[NewNodule, ...]
    model_sha256: str

    @classmethod
    def read(cls, path: Path) -> Self:
        """From a record; its numbers are those that were written."""
        facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        slices = tuple(MadeSlice(**one) for one in facts.pop("slices"))
        nodules = tuple(
            NewNodule(**(one | {"position_mm": tuple(one["position_mm"])}))
            for one in facts.pop("nodules")
        )
        return cls(**facts, slices=slices, nodules=nodules)


@dataclass(frozen=True)
class Outcome:
    """All scans of a folder, those of earlier runs included, and what failed in this."""

    made: tuple[PaintedScan, ...]
    failures: tuple[Failure, ...]


def paint_scans(
    painter: SlicePainter, scans: Iterable[Luna16Scan], out: Path, plan: SlicePlan
) -> Outcome:
    """Draw slices of scans from the maps of their tissues.

    Written are, for every slice, ``synthetic/<uid>/z0042.mha`` (marked synthetic), the slice of the
    scan that its map was made of in ``real``, masks of the nodules in both (``synthetic_masks``,
    with the new ones, and ``real_masks``), and the whole map in ``tissues``: all on the model's
    grid, under a UID that follows from source, model and plan. A scan that stands whole is not made
    again; one that cannot be used is named and the rest goes on.

    Args:
        painter: the model.
        scans: sources, which are not touched.
        out: folder to make or continue.
        plan: what is wanted of each.

    Raises:
        OutputError: something cannot be written.
    """
    records = continued_folder(out, RECORDS)
    remove_strays(out)
    failures = []
    for scan in scans:
        sha256 = painter.model.sha256
        uid = derived_uid("medgan slices", scan.uid, sha256, repr(plan))
        record = records / f"{uid}.json"
        if record.is_file():
            continue
        try:
            slices, nodules = _paint(painter, scan, plan, uid, out)
        except OutputError:
            raise
        except MedganError as error:
            _log.warning("left out: scan %s: %s", scan.uid, error.what)
            failures.append(Failure(scan.uid, error.what))
            continue
        source = hashlib.sha256(scan.uid.encode()).hexdigest()
        # Written last: a scan that has a record is whole.
        write_json(record, asdict(PaintedScan(uid, source, slices, nodules, sha256)))
    made = tuple(PaintedScan.read(path) for path in sorted(records.glob("[!.]*.json")))
    _write_tables(made, out)
    return Outcome(made, tuple(failures))


def _paint(
    painter: SlicePainter, scan: Luna16Scan, plan: SlicePlan, uid: str, out: Path
) -> tuple[tuple[MadeSlice, ...], tuple[NewNodule, ...]]:
    chest = Chest.of_scan(scan, painter.preparation)
    changed, new = _with_new(chest, scan, plan)
    synthetic_source = scan.read().synthetic
    for folder in FOLDERS:
        make_folder(out / folder / uid)
    made = []
    for index in _chosen(changed, plan):
        name = f"{uid}/z{index:04d}.mha"
        seed = _seed(plan.seed, scan.uid, index)
        masks = [
            np.isin(one.tissues[index], IN_NODULE).astype(np.uint8) for one in (changed, chest)
        ]
        hu = painter.paint(changed, index, seed)
        painted = changed.volume(index, hu, "CT", synthetic=True)
        volumes = (
            painted,
            changed.volume(index, masks[0], "LABEL"),
            chest.volume(index, chest.hu[index], "CT", synthetic=synthetic_source),
            chest.volume(index, masks[1], "LABEL"),
            changed.volume(index, changed.tissues[index], "LABEL"),
        )
        for folder, volume in zip(FOLDERS, volumes, strict=True):
            write_itk(volume, out / folder / name)
        z_mm = float(to_world(painted, (0, 0, 0))[2])
        made.append(MadeSlice(name, round(z_mm, 3), int(masks[0].sum()), seed))
    return tuple(made), new


def _with_new(
    chest: Chest, scan: Luna16Scan, plan: SlicePlan
) -> tuple[Chest, tuple[NewNodule, ...]]:
    """The map with new nodules, and what they are; those too small for its voxels are left out."""
    if plan.new is None:
        return chest, ()
    rng = np.random.default_rng(_seed(plan.seed, scan.uid))
    findings = (*scan.nodules, *scan.excluded)
    new = []
    for nodule in plan_nodules(plan.new, scan.read(), scan.lungs(), findings, rng):
        shape = nodule.shape
        try:
            chest = chest.with_nodule(shape, nodule.position_mm)
        except DataError as error:
            _log.warning("scan %s: a nodule is left out: %s", scan.uid, error.what)
            continue
        facts = (round(shape.diameter_mm, 2), shape.density, nodule.on_wall, nodule.seed)
        new.append(NewNodule(nodule.position_mm, *facts))
    return chest, tuple(new)


def _chosen(chest: Chest, plan: SlicePlan) -> list[int]:
    """Slices through nodules, and each so many-th with lung."""
    return sorted({*chest.nodule_slices(), *chest.lung_slices()[plan.every // 2 :: plan.every]})


def _seed(*facts: object) -> int:
    digest = hashlib.sha256(" ".join(map(str, facts)).encode()).digest()
    return int.from_bytes(digest[:6], "big")


def _write_tables(scans: Sequence[PaintedScan], out: Path) -> None:
    slices = [
        (one.name, scan.source_sha256, one.z_mm, one.nodule_pixels, one.noise_seed,
         scan.model_sha256, "YES")
        for scan in scans
        for one in scan.slices
    ]  # fmt: skip
    nodules = [
        (scan.uid, scan.source_sha256, "drawn", *one.position_mm, one.drawn_mm, one.density,
         "YES" if one.on_wall else "NO", one.shape_seed, scan.model_sha256, "YES")
        for scan in scans
        for one in scan.nodules
    ]  # fmt: skip
    for name, columns, rows in (
        (SLICES, _SLICE_COLUMNS, slices),
        (PROVENANCE, _NODULE_COLUMNS, nodules),
    ):
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([columns, *rows])
        write_text(out / name, text.getvalue())
