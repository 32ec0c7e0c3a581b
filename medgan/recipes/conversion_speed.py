"""How quickly DICOM series become compressed NIfTI, beside dcm2niix on the same files."""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from scipy import ndimage

from medgan.errors import FileError
from medgan.phantoms.dicom_slices import INTERCEPT, Slice, Uids, write_slices

RIVAL = "dcm2niix"

NOISE_HU = 15.0
NOISE_MM = 0.6
PIXEL_MM = 0.8
"""Standard deviation of the noise, and of the kernel that makes neighbours alike, those of a
soft-tissue reconstruction: the images compress as real ones do."""

_MEASURED = """
import resource, subprocess, sys
status = subprocess.call(sys.argv[1:], stdout=sys.stderr)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(status)
"""
"""A process starts with the memory of the one that starts it: this one is small."""


@dataclass(frozen=True)
class Speed:
    """What one program took.

    Attributes:
        seconds: to convert all series, median over the rounds.
        output_mb: size of all volumes, in 10^6 bytes.
        peak_memory_mb: of the largest process, in 2^20 bytes.
    """

    seconds: float
    output_mb: float
    peak_memory_mb: float


@dataclass(frozen=True)
class Comparison:
    """medgan and dcm2niix on the same series, in turns.

    Attributes:
        series: number of series.
        slices: images in each.
        size: rows and columns of each.
        jobs: series converted at the same time.
        rounds: how often each program converted all of them.
        medgan: what medgan took, its start included.
        dcm2niix: what the other took; None where it is not installed.
        ratio: of the seconds, medgan's to dcm2niix's.
        size_ratio: of the sizes, likewise.
    """

    series: int
    slices: int
    size: int
    jobs: int
    rounds: int
    medgan: Speed
    dcm2niix: Speed | None
    ratio: float | None
    size_ratio: float | None


def measure(
    *, series: int = 20, slices: int = 200, size: int = 512, jobs: int = 2, rounds: int = 1
) -> Comparison:
    """Make CT series in a temporary folder and convert them, the two programs taking turns.

    Args:
        series: number of series.
        slices: images in each.
        size: rows and columns of each.
        jobs: series converted at the same time.
        rounds: how often each program converts all of them.

    Raises:
        FileError: a program failed.
    """
    with tempfile.TemporaryDirectory(prefix="medgan-") as folder:
        studies = Path(folder) / "studies"
        write_studies(studies, series, slices, size)
        ours: list[Speed] = []
        theirs: list[Speed] = []
        for _ in range(rounds):
            ours.append(convert(studies, Path(folder) / "results", jobs))
            if shutil.which(RIVAL):
                theirs.append(_dcm2niix(studies, Path(folder) / "results", jobs))
    mine, other = _typical(ours), _typical(theirs) if theirs else None
    return Comparison(
        series,
        slices,
        size,
        jobs,
        rounds,
        mine,
        other,
        ratio=mine.seconds / other.seconds if other else None,
        size_ratio=mine.output_mb / other.output_mb if other else None,
    )


def write_studies(folder: Path, series: int, slices: int, size: int) -> None:
    """Make CT series of so many slices, each in a folder of its own."""
    for number in range(series):
        _write_ct(folder / f"{number:03d}", slices, size, number)


def convert(studies: Path, results: Path, jobs: int) -> Speed:
    """Convert all series with medgan, in a process of its own, and remove the volumes.

    Args:
        studies: the tree of series.
        results: a folder that does not exist yet.
        jobs: series converted at the same time.

    Raises:
        FileError: medgan failed.
    """
    program = [sys.executable, "-m", "medgan.cli.main", "convert"]
    command = [*program, str(studies), str(results), "--to", "nifti", "--jobs", str(jobs)]
    return _timed([command], results, 1)


def _write_ct(folder: Path, slices: int, size: int, seed: int) -> None:
    """An ellipse of soft tissue with two lungs in air, all with correlated noise."""
    random = np.random.default_rng(seed)
    x, y = np.meshgrid(np.linspace(-1, 1, size), np.linspace(-1, 1, size))
    body = (x / 0.8) ** 2 + (y / 0.6) ** 2 < 1
    lungs = ((abs(x) - 0.35) / 0.25) ** 2 + (y / 0.4) ** 2 < 1
    plane = np.where(lungs, -850.0, np.where(body, 40.0, -1000.0))
    sigma = NOISE_MM / PIXEL_MM
    gain = NOISE_HU * 2 * np.sqrt(np.pi) * sigma
    images = []
    for k in range(slices):
        noise = ndimage.gaussian_filter(random.standard_normal((size, size)), sigma)
        hu = np.clip(np.rint(plane + gain * noise), -1024, 3071)
        stored = (hu - INTERCEPT).astype(np.uint16)
        position = (0.0, 0.0, 1.5 * k)
        images.append(Slice(stored, position, hu, spacing=(PIXEL_MM, PIXEL_MM)))
    write_slices(images, folder, "CT", Uids("ct", str(seed)))


def _dcm2niix(studies: Path, results: Path, jobs: int) -> Speed:
    """As many processes at once as medgan has workers, since dcm2niix has no workers."""
    options = ["-z", "y", "-b", "n", "-f", "%j", "-o", str(results)]
    commands = [[RIVAL, *options, str(folder)] for folder in sorted(studies.iterdir())]
    return _timed(commands, results, jobs)


def _timed(commands: Sequence[list[str]], results: Path, at_once: int) -> Speed:
    """Run commands, so many at once, and measure and remove their results."""
    results.mkdir()
    start = time.perf_counter()
    with ThreadPoolExecutor(at_once) as pool:
        peaks = list(pool.map(_peak_mb, commands))
    seconds = time.perf_counter() - start
    size = sum(file.stat().st_size for file in results.rglob("*.nii.gz"))
    shutil.rmtree(results)
    return Speed(seconds, size / 1e6, max(peaks))


def _peak_mb(command: Sequence[str]) -> float:
    """Run a command; returns the memory of its largest process in 2^20 bytes."""
    run = subprocess.run(
        [sys.executable, "-S", "-c", _MEASURED, *command], capture_output=True, text=True
    )
    if run.returncode:
        raise FileError(
            "failed",
            where=Path(command[0]).name,
            measured=f"exit code {run.returncode}: {run.stderr[-500:]}",
        )
    return int(run.stdout) * (1 if sys.platform == "darwin" else 1024) / 2**20


def _typical(speeds: Sequence[Speed]) -> Speed:
    return Speed(
        median(speed.seconds for speed in speeds),
        median(speed.output_mb for speed in speeds),
        max(speed.peak_memory_mb for speed in speeds),
    )
