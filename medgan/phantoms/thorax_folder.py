"""Phantoms of the thorax as a folder like LUNA16's."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medgan.errors import ConfigError
from medgan.io.batch.workers import map_in_workers
from medgan.io.dicom.uids import derived_uid
from medgan.io.files import output_errors, remove_strays, write_json
from medgan.io.luna16 import Row, write_rows, write_uids
from medgan.io.metaimage import write_itk
from medgan.phantoms.thorax import ThoraxScan, scan_thorax
from medgan.phantoms.thorax_nodules import PhantomNodule
from medgan.volumes.geometry import reorient

ANNOTATIONS, EXCLUDED, SERIES = "annotations.csv", "annotations_excluded.csv", "seriesuids.csv"
MASKS, TRUTH = "seg-lungs", "truth"

LUNG_LABEL = 3
"""LUNA16 labels the lungs 3 and 4; here one label stands for both."""

_SMALLEST_MM = 3.0
_NOT_MEASURED = -1.0
_FLIPPED_SHARE = 0.15


@dataclass(frozen=True)
class Case:
    """One scan to be written.

    Attributes:
        folder: of the whole set.
        seed: of the set.
        number: of the scan in the set.
        subsets: number of subsets.
        spacing_mm: voxel size along the patient's (X, Y, Z).
        nodules: how many; None: as in LUNA16.
    """

    folder: Path
    seed: int
    number: int
    subsets: int
    spacing_mm: tuple[float, float, float]
    nodules: int | None

    @property
    def uid(self) -> str:
        """The series UID: the same case has the same."""
        facts = (self.seed, self.number, *self.spacing_mm, self.nodules)
        return derived_uid("medgan thorax phantom", *map(str, facts))

    @property
    def scan(self) -> Path:
        """The header of its CT."""
        return self.folder / f"subset{self.number % self.subsets}" / f"{self.uid}.mhd"

    @property
    def mask(self) -> Path:
        """The header of its lungs."""
        return self.folder / MASKS / f"{self.uid}.mhd"

    @property
    def truth(self) -> Path:
        """Its findings as JSON; written last, so that a scan that has it is whole."""
        return self.folder / TRUTH / f"{self.uid}.json"


def write_luna16_phantoms(
    folder: str | os.PathLike[str],
    count: int,
    seed: int = 0,
    *,
    subsets: int = 10,
    spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0),
    nodules: int | None = None,
    jobs: int = 1,
) -> tuple[str, ...]:
    """Write phantoms as LUNA16 has its scans; what is there whole is not made again.

    Written are ``subset0/<uid>.mhd`` and .zraw to ``subset9``, ``seg-lungs/<uid>.mhd``,
    ``annotations.csv``, ``annotations_excluded.csv``, ``seriesuids.csv``, and beside them
    ``truth/<uid>.json`` with all that is known of each finding. Images are marked synthetic, and
    about every seventh has its x and y axes turned round, as some in LUNA16. Positions are LPS mm.
    A nodule that the pleura cuts to less than 3 mm is an excluded finding.

    Args:
        folder: new, or begun earlier with the same arguments.
        count: number of scans.
        seed: of the set; scan i has the same anatomy in sets of any size.
        subsets: number of folders over which the scans are dealt.
        spacing_mm: voxel size along the patient's (X, Y, Z).
        nodules: in each scan; None: as in LUNA16, 0 to 9.
        jobs: number of processes.

    Returns:
        The series UIDs in order.

    Raises:
        ConfigError: a number out of range.
        OutputError: something cannot be written.
    """
    if min(count, subsets, jobs) < 1 or seed < 0:
        raise ConfigError(
            "numbers of scans, subsets, jobs or the seed out of range",
            measured=(count, subsets, jobs, seed),
            limit="at least 1 each, seed 0 or more",
        )
    folder = Path(folder)
    cases = [Case(folder, seed, i, subsets, spacing_mm, nodules) for i in range(count)]
    for path in {place.parent for case in cases for place in (case.scan, case.mask, case.truth)}:
        with output_errors(path):
            path.mkdir(parents=True, exist_ok=True)
    remove_strays(folder)
    missing = [case for case in cases if not _is_whole(case)]
    if jobs == 1:
        for case in missing:
            _write(case)
    else:
        for _ in map_in_workers(_write, missing, jobs):
            pass
    truths = [json.loads(case.truth.read_text(encoding="utf-8")) for case in cases]
    uids = [case.uid for case in cases]
    for name, key in ((ANNOTATIONS, "annotations"), (EXCLUDED, "excluded")):
        rows = [
            Row(uid, tuple(finding["position_mm"]), finding["row_diameter_mm"])
            for uid, truth in zip(uids, truths, strict=True)
            for finding in truth[key]
        ]
        write_rows(folder / name, rows, "diameter_mm")
    write_uids(folder / SERIES, uids)
    return tuple(uids)


def _is_whole(case: Case) -> bool:
    headers = (case.scan, case.mask)
    files = [case.truth, *headers, *(path.with_name(f"{case.uid}.zraw") for path in headers)]
    return all(path.is_file() for path in files)


def _write(case: Case) -> None:
    rng = np.random.default_rng([case.seed, case.number, 13])
    scan = scan_thorax(int(rng.integers(2**31)), spacing_mm=case.spacing_mm, nodules=case.nodules)
    # Along +x and +y of LPS as most scanners store them, or against both.
    axes = "RAS" if rng.random() < _FLIPPED_SHARE else "LPS"
    lungs = scan.lungs.with_array(scan.lungs.array.astype(np.uint8) * LUNG_LABEL)
    write_itk(reorient(scan.ct, axes), case.scan)
    write_itk(reorient(lungs, axes), case.mask)
    write_json(case.truth, _truth(scan))


def _truth(scan: ThoraxScan) -> dict[str, Any]:
    nodules = [_described(finding, finding.diameter_mm) for finding in scan.nodules]
    others = [
        _described(
            finding,
            finding.diameter_mm if finding.kind == "calcified" else _NOT_MEASURED,
        )
        for finding in scan.excluded
    ]
    small = [n for n in nodules if n["diameter_mm"] < _SMALLEST_MM]
    for finding in small:
        finding["row_diameter_mm"] = _NOT_MEASURED
    return {
        "annotations": [n for n in nodules if n["diameter_mm"] >= _SMALLEST_MM],
        "excluded": [*small, *others],
    }


def _described(finding: PhantomNodule, row_diameter: float) -> dict[str, Any]:
    facts = asdict(finding)
    return {"position_mm": finding.position_mm, "row_diameter_mm": row_diameter, **facts}
