"""FROC at the size of LUNA16: medgan's bootstrap beside one that copies scans.

Run as ``OMP_NUM_THREADS=1 python benchmarks/froc.py [--replicates N]``. Marks and findings are
random, in the numbers of LUNA16: 888 scans of 100 marks, 1186 nodules, 35192 excluded findings.
The comparison draws the same scans, joins their lists and calls scikit-learn's ``roc_curve``, as
the official program does; it is measured on fewer resamples. ``medgan benchmark froc`` measures
medgan alone.
"""

import argparse
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_curve

from medgan.metrics.detection import Detections
from medgan.metrics.froc import FPPI, Ranking, cpm
from medgan.metrics.scan_bootstrap import resample_scans
from medgan.recipes.froc_speed import SCANS, SEED, Setup, evaluate, judge, write_files


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
        document = evaluate(files, Setup(resamples=replicates))
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
