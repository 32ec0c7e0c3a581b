"""FROC at the size of LUNA16: medgan's bootstrap beside one that copies scans.

Run as ``OMP_NUM_THREADS=1 python benchmarks/froc.py [--replicates N]``. Marks and findings are
random, in the numbers of LUNA16: 888 scans of 100 marks, 1186 nodules, 35192 excluded findings.
The comparison draws the same scans, joins their lists and calls scikit-learn's ``roc_curve``, as
the official program does; it is measured on fewer resamples.
"""

import argparse
import csv
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_curve

from medgan.metrics.detection import Detections, judge_marks
from medgan.metrics.findings import read_annotations, read_marks, read_scans
from medgan.metrics.froc import FPPI, Ranking, cpm
from medgan.metrics.luna16 import evaluate_detections
from medgan.metrics.scan_bootstrap import resample_scans

SCANS, NODULES, EXCLUDED, MARKS = 888, 1186, 35192, 100
SEED = 0


def write_files(folder: Path) -> dict[str, Path]:
    """Random nodules, excluded findings and results; nine nodules in ten are marked."""
    rng = np.random.default_rng(SEED)
    uids = [f"1.2.{number}" for number in range(SCANS)]
    truth = {}
    for name, count in (("annotations", NODULES), ("excluded", EXCLUDED)):
        scan = rng.integers(SCANS, size=count)
        numbers = np.column_stack([rng.uniform(-150, 150, (count, 3)), rng.uniform(3, 25, count)])
        truth[name] = scan, numbers
    scan, numbers = truth["annotations"]
    seen = rng.random(NODULES) < 0.9
    rest = MARKS - np.bincount(scan[seen], minlength=SCANS)
    mark_scan = np.concatenate([scan[seen], np.repeat(np.arange(SCANS), rest)])
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


def cpms_by_copying(detections: Detections, weights: NDArray[np.int64]) -> NDArray[np.float64]:
    """CPM of each resample from the joined lists of its scans and scikit-learn's ROC curve."""
    nodules = [detections.nodule_score[detections.nodule_scan == s] for s in range(SCANS)]
    false = [detections.false_score[detections.false_scan == s] for s in range(SCANS)]
    values = []
    for row in weights:
        drawn = np.repeat(np.arange(SCANS), row)
        score = np.concatenate([nodules[scan] for scan in drawn])
        wrong = np.concatenate([false[scan] for scan in drawn])
        found = score[np.isfinite(score)]
        truth = np.repeat([1, 0], [len(found), len(wrong)])
        false_share, found_share, _ = roc_curve(truth, np.concatenate([found, wrong]))
        # Whole numbers again: rounding of the shares would shift jumps off the rates.
        fppi = np.rint(false_share * len(wrong)) / SCANS
        values.append(np.interp(FPPI, fppi, found_share * len(found) / len(score)).mean())
    return np.array(values)


def measure(replicates: int, copied: int = 20) -> dict[str, Any]:
    """Seconds and values.

    Args:
        replicates: resamples of medgan's bootstrap.
        copied: of them, those repeated by copying scans.
    """
    with TemporaryDirectory() as folder:
        files = write_files(Path(folder))
        start = time.perf_counter()
        detections = judge(files)
        read_and_judge = time.perf_counter() - start
        start = time.perf_counter()
        document = evaluate_detections(**files, threshold=0.5, bootstrap=replicates, seed=SEED)
        whole = time.perf_counter() - start
    start = time.perf_counter()
    ranking, weights = Ranking.of(detections), resample_scans(SCANS, replicates, SEED)
    mine = np.array([cpm(ranking.tally(row).sensitivity(FPPI)) for row in weights])
    cpm_only = time.perf_counter() - start
    start = time.perf_counter()
    theirs = cpms_by_copying(detections, weights[:copied])
    per_copy = (time.perf_counter() - start) / len(theirs)
    return {
        "scans": SCANS,
        "marks": detections.counts.given,
        "replicates": replicates,
        "cpm": document["cpm"],
        "cpm_ci": document["cpm_ci"],
        "seconds_reading_and_judging": read_and_judge,
        "seconds_whole_evaluation": whole,
        "seconds_cpm_of_all_replicates": cpm_only,
        "seconds_by_copying_extrapolated": per_copy * replicates,
        "largest_difference_of_cpm": float(np.abs(mine[:copied] - theirs).max()),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replicates", type=int, default=1000)
    print(json.dumps(measure(parser.parse_args().replicates), indent=2))
