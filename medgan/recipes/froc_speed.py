"""How long the evaluation of nodule detections takes at the size of LUNA16 or any other."""

import csv
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from medgan.metrics.detection import Detections, judge_marks
from medgan.metrics.findings import read_annotations, read_marks, read_scans
from medgan.metrics.luna16 import evaluate_detections
from medgan.recipes.measuring import in_new_process, in_turns, peak_memory_mb

SCANS, NODULES, EXCLUDED = 888, 1186, 35192
"""Of LUNA16; fewer or more scans have nodules and excluded findings in proportion."""

FOUND = 0.9
"""Share of the nodules that have a mark."""

SEED = 0
THRESHOLD = 0.5


@dataclass(frozen=True)
class Setup:
    """Random findings and marks.

    Attributes:
        scans: how many.
        marks: in each.
        resamples: of the bootstrap over scans.
    """

    scans: int = SCANS
    marks: int = 100
    resamples: int = 1000

    def in_proportion(self, count: int) -> int:
        """As many of something as LUNA16 has ``count`` of, for this number of scans."""
        return max(1, round(count * self.scans / SCANS))


@dataclass(frozen=True)
class FrocSpeed:
    """The evaluation from files to the document of ``medgan froc``.

    Attributes:
        setup: what is evaluated.
        rounds: of which the median counts.
        nodules: in the scans.
        excluded: irrelevant findings in them.
        cpm: of the marks.
        cpm_ci: its interval.
        seconds: of the whole, every figure with its interval.
        quartiles: of them.
        seconds_judging: of reading the files and judging the marks alone.
        peak_memory_mb: of a process that makes the files and evaluates them, in 2^20 bytes.
    """

    setup: Setup
    rounds: int
    nodules: int
    excluded: int
    cpm: float
    cpm_ci: list[float] | None
    seconds: float
    quartiles: tuple[float, float]
    seconds_judging: float
    peak_memory_mb: float


def measure(setup: Setup = Setup(), *, rounds: int = 3) -> FrocSpeed:
    """Write random files and evaluate them.

    Args:
        setup: what is evaluated.
        rounds: at least 1.

    Raises:
        ConfigError: a negative number of resamples.
        OutputError: not enough memory.
    """
    with TemporaryDirectory(prefix="medgan-") as folder:
        files = write_files(Path(folder), setup)
        document = evaluate(files, setup)
        seconds = in_turns(
            {"whole": lambda: evaluate(files, setup), "judging": lambda: judge(files)}, rounds
        )
    return FrocSpeed(
        setup=setup,
        rounds=rounds,
        nodules=document["nodules"],
        excluded=setup.in_proportion(EXCLUDED),
        cpm=document["cpm"],
        cpm_ci=document["cpm_ci"],
        seconds=seconds["whole"].median,
        quartiles=seconds["whole"].quartiles,
        seconds_judging=seconds["judging"].median,
        peak_memory_mb=in_new_process(memory, setup),
    )


def memory(setup: Setup) -> float:
    """Peak memory of the evaluation in this process, which must be new; 2^20 bytes."""
    with TemporaryDirectory(prefix="medgan-") as folder:
        evaluate(write_files(Path(folder), setup), setup)
    return peak_memory_mb()


def write_files(folder: Path, setup: Setup = Setup()) -> dict[str, Path]:
    """Random nodules, excluded findings and results; nine nodules in ten are marked.

    Returns:
        "annotations", "excluded", "results" and "seriesuids".
    """
    rng = np.random.default_rng(SEED)
    scans, nodules = setup.scans, setup.in_proportion(NODULES)
    uids = [f"1.2.{number}" for number in range(scans)]
    truth = {}
    for name, count in (("annotations", nodules), ("excluded", setup.in_proportion(EXCLUDED))):
        scan = rng.integers(scans, size=count)
        numbers = np.column_stack([rng.uniform(-150, 150, (count, 3)), rng.uniform(3, 25, count)])
        truth[name] = scan, numbers
    scan, numbers = truth["annotations"]
    seen = rng.random(nodules) < FOUND
    rest = (setup.marks - np.bincount(scan[seen], minlength=scans)).clip(0)
    mark_scan = np.concatenate([scan[seen], np.repeat(np.arange(scans), rest)])
    positions = np.concatenate(
        [numbers[seen, :3] + rng.normal(0, 1, (seen.sum(), 3)),
         rng.uniform(-150, 150, (rest.sum(), 3))]
    )  # fmt: skip
    scores = np.concatenate([rng.beta(5, 2, seen.sum()), rng.beta(1, 8, rest.sum())])
    tables = {**truth, "results": (mark_scan, np.column_stack([positions, scores]))}
    for name, (scan, numbers) in tables.items():
        with (folder / name).open("w", newline="") as file:
            writer = csv.writer(file)
            value = "probability" if name == "results" else "diameter_mm"
            writer.writerow(["seriesuid", "coordX", "coordY", "coordZ", value])
            for number, row in zip(scan, numbers.tolist(), strict=True):
                writer.writerow([uids[number], *row])
    (folder / "seriesuids").write_text("\n".join(uids))
    return {name: folder / name for name in (*tables, "seriesuids")}


def judge(files: dict[str, Path]) -> Detections:
    """The marks of the files, judged."""
    scans = read_scans(files["seriesuids"])
    return judge_marks(
        read_marks(files["results"], scans),
        read_annotations(files["annotations"], scans),
        read_annotations(files["excluded"], scans, unique=False),
        len(scans),
    )


def evaluate(files: dict[str, Path], setup: Setup) -> dict[str, Any]:
    """The document of ``medgan froc``."""
    return evaluate_detections(**files, threshold=THRESHOLD, bootstrap=setup.resamples, seed=SEED)
