"""The synthetic scans of each source, and those of them that an arm learns from."""

import csv
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from medgan.data.luna16 import Luna16, Luna16Scan, Nodule
from medgan.errors import DataError, FileError, TrainingError
from medgan.io.files import output_errors, write_json
from medgan.recipes.augmentation_config import ArmConfig, AugmentationExperiment, SourceConfig
from medgan.recipes.augmentation_controls import NoiseBalls, Oracle, phantom_thoraxes
from medgan.recipes.augmentation_material import Material
from medgan.recipes.augmentation_synthesis import (
    PROVENANCE,
    Copy,
    Synthesiser,
    is_whole,
    left_out,
    source_hash,
    write_synthetic,
)

PICK_STREAM = 62


@dataclass(frozen=True)
class Synthetic:
    """A synthetic scan and where it comes from.

    Attributes:
        scan: all its nodules, carried and new.
        origin: UID of the training scan it was made of; None where that is not recorded.
        copy: number among the copies of that scan.
        inserted: the new nodules; all of them where that is not recorded.
    """

    scan: Luna16Scan
    origin: str | None
    copy: int
    inserted: tuple[Nodule, ...]

    def alone(self) -> Luna16Scan:
        """The scan with its new nodules only: the real ones it has are neither right nor wrong."""
        new = set(self.inserted)
        carried = tuple(nodule for nodule in self.scan.nodules if nodule not in new)
        return replace(self.scan, nodules=self.inserted, excluded=(*self.scan.excluded, *carried))


@dataclass(frozen=True)
class Source:
    """What a source has given.

    Attributes:
        scans: ordered by copy, then as the training scans are.
        problems: ``uid`` and ``what`` of scans that could not be made or used.
    """

    scans: tuple[Synthetic, ...]
    problems: tuple[dict[str, str], ...]


def prepare_source(
    source: SourceConfig, config: AugmentationExperiment, material: Material, out: Path
) -> Source:
    """Make the synthetic scans of a source, or find those that there are.

    Copies are made of those training scans only that some arm learns from together with them.

    Args:
        source: which.
        config: the experiment.
        material: its scans; only the training scans are used.
        out: its folder.

    Raises:
        TrainingError: the folder holds scans made with other settings.
        DataError: no scan could be made, or scans were made of scans that are to be tested on.
        MedganError: as ``Luna16.open``.
    """
    if source.kind == "folder":
        assert source.path is not None
        return _read(source.path, material)
    folder = out / "synthetic" / source.name
    require_same_source(source, folder)
    train = material.groups["train"]
    times = [arm.times for arm in config.arms if arm.source == source.name]
    number = math.ceil(max(times, default=0))
    learnt_from = _learnt_from(source, config, material)
    copies = [Copy(scan, i) for scan in learnt_from for i in range(number)]
    if not is_whole(folder, source.name, copies, source.seed):
        maker = _synthesiser(source, config, train, out)
        write_synthetic(
            folder, source.name, copies, maker, nodules=source.nodules, seed=source.seed
        )
    found = _read(folder, material)
    problems = left_out(folder, source.name, copies, source.seed)
    return replace(found, problems=(*problems, *found.problems))


def _learnt_from(
    source: SourceConfig, config: AugmentationExperiment, material: Material
) -> list[Luna16Scan]:
    """The training scans in those parts of the data at which arms use a source."""
    uids = {
        scan.uid
        for arm in config.arms
        if arm.source == source.name
        for share in config.shares_of(arm)
        for seed in config.seeds
        for scan in material.part(share, seed)
    }
    return [scan for scan in material.groups["train"] if scan.uid in uids]


def pick(
    source: Source, arm: ArmConfig, part: Sequence[Luna16Scan], seed: int
) -> tuple[Luna16Scan, ...]:
    """The synthetic scans that an arm learns from: ``times`` as many as real ones.

    Only copies of the real scans of this part are taken, every scan's first before its second.
    Scans of unknown origin are drawn from all.

    Args:
        source: where they come from.
        arm: what is wanted; an arm without real scans gets new nodules only.
        part: the real scans that may be known.
        seed: of the draw.

    Raises:
        DataError: there are too few.
    """
    wanted = max(1, round(arm.times * len(part)))
    known = {scan.uid for scan in part}
    fitting = [one for one in source.scans if one.origin is None or one.origin in known]
    if any(one.origin is None for one in fitting):
        order = np.random.default_rng([seed, PICK_STREAM]).permutation(len(fitting))
        fitting = [fitting[index] for index in order]
    if not fitting or len(fitting) < wanted - len(source.problems):
        raise DataError(
            "too few synthetic scans",
            where=arm.name,
            measured=len(fitting),
            limit=wanted,
            remedy="Lower times, or give more scans",
        )
    return tuple(one.scan if arm.real else one.alone() for one in fitting[:wanted])


def _synthesiser(
    source: SourceConfig, config: AugmentationExperiment, train: Sequence[Luna16Scan], out: Path
) -> Synthesiser:
    if source.kind == "oracle":
        return Oracle(phantom_thoraxes(config, out))
    if source.kind == "generator":
        # Here alone torch is needed.
        from medgan.recipes.augmentation_generator import generator_of

        return generator_of(source, config, out)
    return NoiseBalls([nodule.diameter_mm for scan in train for nodule in scan.nodules])


def require_same_source(source: SourceConfig, folder: Path) -> None:
    """Refuse a folder that was made with other settings; write them down in one that is new.

    Raises:
        TrainingError: so it was.
    """
    place = folder / "source.json"
    facts = source.model_dump(mode="json", exclude={"label"})
    if place.exists():
        if json.loads(place.read_text(encoding="utf-8")) != facts:
            raise TrainingError(
                "the folder holds synthetic scans made with other settings",
                where=folder,
                remedy="Give the source another name, or remove the folder and its arms' runs",
            )
        return
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_json(place, facts)


def _read(folder: Path, material: Material) -> Source:
    luna = Luna16.open(folder)
    table = _provenance(folder / PROVENANCE)
    uids = {source_hash(scan.uid): scan.uid for scans in material.groups.values() for scan in scans}
    train = {scan.uid: number for number, scan in enumerate(material.groups["train"])}
    found = []
    for scan in luna.scans:
        rows = [row for row in table if row.uid == scan.uid]
        origin = uids.get(rows[0].source_sha256) if rows else None
        new = {row.position_mm for row in rows if row.inserted}
        inserted = tuple(nodule for nodule in scan.nodules if not rows or nodule.position_mm in new)
        found.append(Synthetic(scan, origin, rows[0].copy if rows else 0, inserted))
    _require_training_only(folder, found, material)
    found.sort(key=lambda one: (one.copy, train.get(one.origin or "", len(train))))
    problems = tuple({"uid": problem.uid, "what": problem.what} for problem in luna.problems)
    return Source(tuple(found), problems)


@dataclass(frozen=True)
class _Provenance:
    uid: str
    source_sha256: str
    copy: int
    inserted: bool
    position_mm: tuple[float, float, float]


def _provenance(path: Path) -> list[_Provenance]:
    if not path.exists():
        return []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [
                _Provenance(
                    row["seriesuid"],
                    row["source_sha256"],
                    int(row.get("copy") or 0),
                    row["action"] == "inserted",
                    (float(row["coordX"]), float(row["coordY"]), float(row["coordZ"])),
                )
                for row in csv.DictReader(file)
            ]
    except (KeyError, ValueError) as error:
        raise FileError(
            "not a table of provenance",
            where=path,
            limit="seriesuid, source_sha256, action, coordX, coordY, coordZ",
        ) from error


def _require_training_only(folder: Path, found: Sequence[Synthetic], material: Material) -> None:
    held_out = {
        scan.uid for group, scans in material.groups.items() if group != "train" for scan in scans
    }
    leaks = [one for one in found if {one.scan.uid, one.origin} & held_out]
    if leaks:
        raise DataError(
            "synthetic scans were made of scans that must not be learnt from",
            where=folder,
            measured=f"{len(leaks)} of {len(found)}",
            remedy="Make them of the training scans only: truth/train/seriesuids.csv lists these",
        )
