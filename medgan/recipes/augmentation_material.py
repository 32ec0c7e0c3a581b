"""The scans of an augmentation experiment, divided once into what is learnt, chosen and tested by.

The division, and what was wrong with scans that were left out, is written down the first time and
kept: a later run tests on the same scans.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medgan.data.luna16 import Luna16, Luna16Scan
from medgan.errors import DataError, TrainingError
from medgan.io.files import output_errors, write_json, write_text
from medgan.io.luna16 import Row, read_grid, write_rows, write_uids
from medgan.phantoms.thorax_folder import write_luna16_phantoms
from medgan.recipes.augmentation_config import GROUPS, AugmentationExperiment, Group
from medgan.volumes import Volume
from medgan.volumes.geometry import reorient

SHUFFLE_STREAM = 61


@dataclass(frozen=True)
class Truth:
    """The files that the marks of a group are judged by; as ``medgan froc`` takes them.

    Attributes:
        annotations: of the group's scans.
        excluded: of the group's scans.
        seriesuids: the group's scans.
        slices: where their axial slices lie; see ``write_slices``.
    """

    annotations: Path
    excluded: Path
    seriesuids: Path
    slices: Path

    @classmethod
    def of(cls, out: Path, group: Group) -> "Truth":
        """Those of a group in an experiment's folder."""
        folder = out / "truth" / group
        return cls(
            folder / "annotations.csv",
            folder / "annotations_excluded.csv",
            folder / "seriesuids.csv",
            folder / "slices.csv",
        )


@dataclass(frozen=True)
class Material:
    """The scans of each group, and why others were left out.

    Attributes:
        groups: train, validation and test; no scan in two of them.
        problems: series UID and fault of every scan left out.
    """

    groups: dict[Group, tuple[Luna16Scan, ...]]
    problems: tuple[dict[str, str], ...]

    def part(self, share: float, seed: int) -> tuple[Luna16Scan, ...]:
        """A share of the training scans, at least one; larger shares hold the smaller ones.

        Args:
            share: above 0, up to 1.
            seed: determines which scans.
        """
        train = self.groups["train"]
        order = np.random.default_rng([seed, SHUFFLE_STREAM]).permutation(len(train))
        count = max(1, round(share * len(train)))
        return tuple(train[index] for index in sorted(order[:count]))


def prepare_material(config: AugmentationExperiment, out: Path, jobs: int = 1) -> Material:
    """Make or find the scans, divide them, and write down how.

    Args:
        config: the experiment.
        out: its folder, which exists.
        jobs: processes that make phantoms.

    Raises:
        TrainingError: the folder holds an experiment with other scans.
        DataError: a group has no usable scan, or no nodule.
        FileError: a folder or a table is missing.
        OutputError: something cannot be written.
    """
    facts = _facts(config)
    place = out / "material.json"
    known = json.loads(place.read_text(encoding="utf-8")) if place.exists() else None
    if known is not None and known["material"] != facts:
        raise TrainingError(
            "the folder holds an experiment with other scans",
            where=out,
            remedy="Name another folder with --out, or give the configuration it was begun with",
        )
    opened = {group: _open(config, out, group, jobs) for group in GROUPS}
    if known is None:
        opened = {group: luna.with_lungs() for group, luna in opened.items()}
        found = {group: luna.scans for group, luna in opened.items()}
        problems = [
            {"group": group, "uid": problem.uid, "what": problem.what, "where": problem.where}
            for group, luna in opened.items()
            for problem in luna.problems
        ]
        _write_truth(found, out)
        groups = {group: [scan.uid for scan in scans] for group, scans in found.items()}
        write_json(place, {"material": facts, "groups": groups, "problems": problems})
        return Material(found, tuple(problems))
    chosen = {group: _named(luna, known["groups"][group]) for group, luna in opened.items()}
    return Material(chosen, tuple(known["problems"]))


def write_slices(path: Path, scans: Sequence[Luna16Scan]) -> None:
    """Write where the axial slices of scans lie: CSV ``seriesuid, first_mm, spacing_mm, count``.

    The lowest slice's centre along z of LPS (towards the head), the distance between slices and
    their number.

    Raises:
        FileError: a scan's header cannot be read.
        OutputError: the file cannot be written.
    """
    lines = ["seriesuid,first_mm,spacing_mm,count"]
    for scan in scans:
        grid = read_grid(scan.path)
        upright = reorient(Volume(np.broadcast_to(np.uint8(0), grid.shape), grid.affine, "LABEL"))
        first, spacing = float(upright.affine[2, 3]), upright.spacing_mm[2]
        lines.append(f"{scan.uid},{first!r},{spacing!r},{upright.shape[2]}")
    write_text(path, "\n".join(lines) + "\n")


def _facts(config: AugmentationExperiment) -> dict[str, Any]:
    material = config.phantoms or config.luna16
    assert material is not None
    facts: dict[str, Any] = material.model_dump(mode="json")
    return facts


def _open(config: AugmentationExperiment, out: Path, group: Group, jobs: int) -> Luna16:
    if config.phantoms is not None:
        folder = out / "scans" / group
        settings = getattr(config.phantoms, group)
        write_luna16_phantoms(
            folder,
            settings.scans,
            config.phantoms.group_seed(group),
            subsets=1,
            spacing_mm=(config.phantoms.spacing_mm,) * 3,
            nodules=settings.nodules,
            jobs=jobs,
        )
        return Luna16.open(folder)
    assert config.luna16 is not None
    return Luna16.open(
        config.luna16.root,
        subsets=getattr(config.luna16, group),
        annotations=config.luna16.annotations,
        excluded=config.luna16.excluded,
    )


def _named(luna: Luna16, uids: Sequence[str]) -> tuple[Luna16Scan, ...]:
    scans = {scan.uid: scan for scan in luna.scans}
    missing = [uid for uid in uids if uid not in scans]
    if missing:
        raise DataError(
            "scans of the experiment cannot be used any more",
            where=luna.root,
            measured=f"{len(missing)} of {len(uids)}, the first {missing[0]}",
            remedy="Bring them back, or begin anew in another folder",
        )
    return tuple(scans[uid] for uid in uids)


def _write_truth(groups: dict[Group, tuple[Luna16Scan, ...]], out: Path) -> None:
    for group, scans in groups.items():
        if not any(scan.nodules for scan in scans):
            raise DataError("no nodule in the scans of a group", where=group)
        truth = Truth.of(out, group)
        with output_errors(truth.slices.parent):
            truth.slices.parent.mkdir(parents=True, exist_ok=True)
        for path, which in ((truth.annotations, "nodules"), (truth.excluded, "excluded")):
            rows = [
                Row(scan.uid, finding.position_mm, finding.diameter_mm)
                for scan in scans
                for finding in getattr(scan, which)
            ]
            write_rows(path, rows, "diameter_mm")
        write_uids(truth.seriesuids, [scan.uid for scan in scans])
        write_slices(truth.slices, scans)
