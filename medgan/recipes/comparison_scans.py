"""The phantom scans of a comparison of methods: who is in them, what is in which file."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from medgan.errors import DataError
from medgan.io import read_volume, write_volume
from medgan.phantoms.scan import scan_head
from medgan.recipes.comparison_config import ComparisonConfig, HeldOutConfig

FIRST_SEEDS = {"source": 500, "target": 600, "test": 700}
"""Seeds of the people of each group: none is shared, nor with the anchor's phantoms."""


@dataclass(frozen=True)
class Head:
    """One person.

    Attributes:
        group: "source" and "target" are trained on, "test" is tested on.
        number: in the group, from 0.
        kinds: files that are needed: contrasts, "ct".
    """

    group: str
    number: int
    kinds: tuple[str, ...]

    @property
    def seed(self) -> int:
        """Of anatomy, pose and noise."""
        return FIRST_SEEDS[self.group] + self.number


def scan_name(group: str, number: int, kind: str) -> str:
    """File of a phantom scan, relative to the folder of scans.

    Args:
        group: "source", "target" or "test".
        number: of the person in the group.
        kind: contrast, or "ct".
    """
    return f"{group}_{number:02d}_{kind}.nii.gz"


def heads(config: ComparisonConfig) -> Iterator[Head]:
    """Everybody that the comparison needs; nobody where it has scans of its own."""
    settings = config.held_out
    if settings is None:
        return
    seen = [member.contrasts or settings.contrasts for member in config.members]
    contrasts = tuple(sorted({contrast for several in seen for contrast in several}))
    groups = (
        ("source", settings.source_heads, contrasts),
        ("target", settings.target_heads, ("ct",)),
        ("test", settings.test_heads * len(config.seeds), (*contrasts, "ct")),
    )
    for group, count, kinds in groups:
        for number in range(count):
            yield Head(group, number, kinds)


def make_scans(config: ComparisonConfig, folder: Path) -> None:
    """Write the phantom scans that are not there yet, one thread a processor core.

    Raises:
        DataError: scans that are there have another voxel size.
        OutputError: a scan cannot be written.
    """
    if config.held_out is None:
        return
    settings = config.held_out
    people = list(heads(config))
    _require_same_spacing(settings, people[0], folder)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(lambda head: _make(head, settings, folder), people):
            pass


def _make(head: Head, settings: HeldOutConfig, folder: Path) -> None:
    places = {kind: folder / scan_name(head.group, head.number, kind) for kind in head.kinds}
    for contrast in ("t1", "t2"):
        missing = [kind for kind in (contrast, "ct") if kind in places]
        missing = [kind for kind in missing if not places[kind].exists()]
        if not missing:
            continue
        scan = scan_head(head.seed, contrast=contrast, spacing_mm=settings.spacing_mm)
        for kind in missing:
            write_volume(scan.ct if kind == "ct" else scan.mr, places[kind])


def _require_same_spacing(settings: HeldOutConfig, head: Head, folder: Path) -> None:
    place = folder / scan_name(head.group, head.number, head.kinds[0])
    if not place.exists():
        return
    found = tuple(round(size, 3) for size in read_volume(place).spacing_mm)
    if found != tuple(round(size, 3) for size in settings.spacing_mm):
        raise DataError(
            "the folder holds scans of another voxel size in mm",
            where=folder,
            measured=found,
            limit=settings.spacing_mm,
            remedy="Name another folder with --out",
        )
