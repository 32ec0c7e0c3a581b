"""``medgan inspect``: what is in these files and folders."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from medgan.cli.console import JsonTarget, emit_json, progress, result_console
from medgan.errors import FileError, MedganError


@dataclass(frozen=True)
class Problem:
    """Why a file cannot be used: the kind of error and its message."""

    type: str
    message: str


@dataclass(frozen=True)
class Finding:
    """One file. What could not be read is None.

    Attributes:
        path: as given, or below the folder given.
        format: the file's ending, one of those that medgan reads.
        shape: voxels along (X, Y, Z).
        spacing_mm: along the same axes.
        orientation: direction in which each axis points, e.g. "RAS".
        modality: "CT" or "MR", guessed from the values.
        unit: of the range: "HU" or "arbitrary".
        minimum: smallest value.
        maximum: largest value.
        synthetic: whether the file says that a model made it.
        problem: why the file cannot be used.
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


def find_volumes(paths: Iterable[Path]) -> Iterator[Path]:
    """The files themselves, and below folders every file with the suffix of a volume, sorted.

    Args:
        paths: files and folders.

    Raises:
        FileError: a path does not exist, or a folder holds no volume.
    """
    from medgan.io import SUFFIXES

    for path in paths:
        if not path.exists():
            raise FileError("no such file or folder", where=path)
        if not path.is_dir():
            yield path
            continue
        found = sorted(
            file
            for file in path.rglob("*")
            if file.name.lower().endswith(SUFFIXES) and file.is_file()
        )
        if not found:
            raise FileError("no volume in this folder", where=path, limit=", ".join(SUFFIXES))
        yield from found


def inspect_file(path: Path) -> Finding:
    """Read one file and describe it; what is wrong with it is part of the description."""
    from medgan.io import SUFFIXES, read_volume
    from medgan.volumes.geometry import axis_codes

    ending = next((suffix for suffix in SUFFIXES if path.name.lower().endswith(suffix)), None)
    try:
        volume = read_volume(path)
    except MedganError as error:
        return Finding(path, ending, problem=Problem(type(error).__name__, str(error)))
    return Finding(
        path,
        ending,
        shape=volume.shape,
        spacing_mm=volume.spacing_mm,
        orientation=axis_codes(volume.affine),
        modality=volume.modality,
        unit=volume.unit,
        minimum=float(volume.array.min()),
        maximum=float(volume.array.max()),
        synthetic=volume.synthetic,
    )


def _table(findings: Iterable[Finding]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("file", "shape", "spacing mm", "axes", "guess", "range", "problem"):
        table.add_column(heading, overflow="fold")
    for finding in findings:
        row = [str(finding.path), *[""] * 5, ""]
        if finding.problem:
            row[6] = f"{finding.problem.type}: {finding.problem.message}"
        elif finding.shape and finding.spacing_mm:
            row[1:6] = [
                " x ".join(map(str, finding.shape)),
                " x ".join(f"{size:.3g}" for size in finding.spacing_mm),
                str(finding.orientation),
                f"synthetic {finding.modality}" if finding.synthetic else str(finding.modality),
                f"{finding.minimum:g} to {finding.maximum:g} {finding.unit}",
            ]
        table.add_row(*map(escape, row))
    return table


def command(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH", help="Files, and folders to search.")
    ],
    json: JsonTarget = None,
) -> None:
    """Say what is in files and folders: geometry, guessed modality, range of values, problems.

    Exits with 1 when a file has a problem.

    Example: medgan inspect scans/ head.nii.gz --json -
    """
    files = list(find_volumes(paths))
    findings = [inspect_file(path) for path in progress(files, "Inspecting")]
    result_console(json).print(_table(findings))
    problems = sum(finding.problem is not None for finding in findings)
    emit_json({"volumes": findings, "problems": problems}, json)
    if problems:
        raise typer.Exit(1)
