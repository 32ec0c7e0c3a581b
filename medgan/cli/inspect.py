"""``medgan inspect``: what is in these files and folders."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from medgan.cli.console import JsonTarget, emit_json, progress, result_console
from medgan.errors import DataError, FileError, MedganError

if TYPE_CHECKING:
    from medgan.io.studies import Source
    from medgan.volumes import Volume


@dataclass(frozen=True)
class Problem:
    """Why a volume cannot be used: the kind of error and its message."""

    type: str
    message: str


@dataclass(frozen=True)
class Finding:
    """One volume: a file, or a DICOM series by its headers. What is not known is None.

    Attributes:
        path: as given, or below the folder given; of a DICOM series its folder or first file.
        format: the file's ending, one of those that medgan reads, or "dicom".
        shape: voxels along (X, Y, Z).
        spacing_mm: along the same axes.
        orientation: direction in which each axis points, e.g. "RAS".
        modality: "CT", "MR" or "LABEL"; guessed from the values but for DICOM.
        unit: of the range: "HU", "arbitrary" or "label".
        minimum: smallest value.
        maximum: largest value.
        synthetic: whether the file says that a model made it.
        problem: why the volume cannot be used.
        part: what sets a volume apart within its DICOM series, e.g. "echo 2".
        contrast: of a DICOM series, e.g. "T1".
        files: number of files that it consists of.
    """

    path: Path
    format: str | None = None
    shape: tuple[int, int, int] | None = None
    spacing_mm: tuple[float, float, float] | None = None
    orientation: str | None = None
    modality: str | None = None
    unit: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    synthetic: bool | None = None
    problem: Problem | None = None
    part: str = ""
    contrast: str = ""
    files: int = 1

    @property
    def label(self) -> str:
        """The volume for people: its path, and what sets it apart."""
        return f"{self.path} ({self.part})" if self.part else str(self.path)


@dataclass(frozen=True)
class Place:
    """A volume that was found, ``path`` as in `Finding`; ``source`` is None for a foreign file."""

    path: Path
    source: "Source | None" = None


@dataclass(frozen=True)
class Search:
    """What paths hold: volumes, and the number of files of each other kind."""

    places: tuple[Place, ...]
    skipped: dict[str, int]


def search(paths: Iterable[Path]) -> Search:
    """Find the volumes in files and folders; a file that is named is always one of them.

    Raises:
        FileError: a path does not exist, or a folder holds no volume.
    """
    from medgan.io import SUFFIXES
    from medgan.io.studies import find_sources

    places: list[Place] = []
    skipped: dict[str, int] = {}
    for path in paths:
        tree = find_sources(path)
        if path.is_dir() and not tree.sources:
            limit = f"DICOM CT or MR, {', '.join(SUFFIXES)}"
            raise FileError("no volume in this folder", where=path, limit=limit)
        places += [Place(tree.root / source.name, source) for source in tree.sources]
        if path.is_file() and not tree.sources:
            places.append(Place(path))
            continue
        for leftover in tree.leftovers:
            skipped[leftover.reason] = skipped.get(leftover.reason, 0) + 1
    return Search(tuple(places), skipped)


def inspect_place(place: Place) -> Finding:
    """Describe one volume; what is wrong with it is part of the description."""
    if place.source and place.source.entry:
        return _inspect_series(place.path, place.source)
    # the name is escaped for reading where it is not UTF-8; the file has to be found all the same
    found = inspect_file(place.source.paths[0] if place.source else place.path)
    return replace(found, path=place.path)


def inspect_file(path: Path) -> Finding:
    """Read one file and describe it; what is wrong with it is part of the description."""
    from medgan.io import SUFFIXES, read_volume
    from medgan.io.studies import likely_modality
    from medgan.volumes.geometry import axis_codes
    from medgan.volumes.volume import UNITS

    ending = next((suffix for suffix in SUFFIXES if path.name.lower().endswith(suffix)), None)
    try:
        volume = read_volume(path)
    except MedganError as error:
        return Finding(path, ending, problem=_problem(error))
    modality = likely_modality(volume)
    return Finding(
        path,
        ending,
        shape=volume.shape,
        spacing_mm=volume.spacing_mm,
        orientation=axis_codes(volume.affine),
        modality=modality,
        unit=UNITS[modality],
        minimum=float(volume.array.min()),
        maximum=float(volume.array.max()),
        synthetic=volume.synthetic,
        problem=_useless(volume),
    )


def _inspect_series(path: Path, source: "Source") -> Finding:
    entry = source.entry
    assert entry is not None
    return Finding(
        path,
        "dicom",
        shape=entry.shape,
        spacing_mm=entry.spacing_mm,
        modality=entry.modality,
        synthetic=entry.synthetic,
        problem=_problem(entry.problem) if entry.problem else None,
        part=entry.part,
        contrast=entry.contrast,
        files=len(set(entry.paths)),
    )


def _useless(volume: "Volume") -> Problem | None:
    """What no reader objects to, and no use can be made of."""
    if volume.array.size == 1:
        return _problem(DataError("holds a single voxel", measured=volume.shape))
    low, high = volume.array.min(), volume.array.max()
    if low == high:
        return _problem(DataError("every voxel has the same value", measured=f"{low:g}"))
    return None


def _problem(error: MedganError) -> Problem:
    return Problem(type(error).__name__, str(error))


def _table(findings: Iterable[Finding]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("volume", "shape", "spacing mm", "axes", "kind", "range", "problem"):
        table.add_column(heading, overflow="fold")
    for finding in findings:
        table.add_row(*map(escape, _cells(finding)))
    return table


def _cells(finding: Finding) -> Iterator[str]:
    yield finding.label
    yield " x ".join(map(str, finding.shape or ()))
    yield " x ".join(f"{size:.3g}" for size in finding.spacing_mm or ())
    yield finding.orientation or ""
    kind = [finding.synthetic and "synthetic", finding.modality, finding.contrast]
    yield " ".join(word for word in kind if word)
    known = finding.minimum is not None
    yield f"{finding.minimum:g} to {finding.maximum:g} {finding.unit}" if known else ""
    yield finding.problem.type if finding.problem else ""


def command(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH", help="Files, and folders to search.")
    ],
    json: JsonTarget = None,
) -> None:
    """Say what is in files and folders: geometry, modality, range of values, problems.

    DICOM series are described by their headers alone. Exits with 1 when a volume has a problem.

    Example: medgan inspect scans/ head.nii.gz --json -
    """
    found = search(paths)
    findings = [inspect_place(place) for place in progress(found.places, "Inspecting")]
    out = result_console(json)
    out.print(_table(findings))
    for reason, count in sorted(found.skipped.items()):
        out.print(f"skipped {count}: {reason}", markup=False, highlight=False)
    for finding in findings:
        if finding.problem:
            # Below the table: in a column the longest would leave no room for the others.
            out.print(f"{finding.label}: {finding.problem.message}", markup=False, highlight=False)
    problems = sum(finding.problem is not None for finding in findings)
    emit_json({"volumes": findings, "problems": problems, "skipped": found.skipped}, json)
    if problems:
        raise typer.Exit(1)
