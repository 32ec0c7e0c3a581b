"""How often 95 % intervals of a mean hold it: t beside the percentile and the BCa bootstrap.

Run as ``OMP_NUM_THREADS=1 python benchmarks/intervals.py [--repetitions N]``. ``none`` is the share
of samples to which medgan gives no interval, because it has too few different values; the shares of
``t``, ``percentile`` and ``bca`` are over the samples that have one, ``t_of_all`` over all samples.
"""

import argparse
import json
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from medgan.metrics.statistics import CONFIDENCE, mean_interval

SIZES = (6, 8, 10, 20, 40)
RESAMPLES = 1000

Sample = NDArray[np.float64]


def _one_outlier(draw: np.random.Generator, size: int) -> Sample:
    """Scores near 0.9, of which one in twenty is a failure near 0.6."""
    failed = draw.random(size) < 0.05
    return np.where(failed, 0.6, 0.9) + draw.normal(0, 0.01, size)


POPULATIONS: dict[str, tuple[Callable[[np.random.Generator, int], Sample], float]] = {
    "normal": (lambda draw, size: draw.normal(size=size), 0.0),
    "gamma 2": (lambda draw, size: draw.gamma(2, size=size), 2.0),
    "outliers": (_one_outlier, 0.885),
    "0/1, p = 0.2": (lambda draw, size: (draw.random(size) < 0.2).astype(np.float64), 0.2),
}
"""By name: a draw of so many cases, and the true mean."""


def coverage(population: str, size: int, repetitions: int) -> dict[str, Any]:
    """Shares of intervals that hold the true mean of a population."""
    sample, truth = POPULATIONS[population]
    draw = np.random.default_rng(size)
    hits: dict[str, list[bool]] = {"t": [], "t_of_all": [], "percentile": [], "bca": []}
    for _ in range(repetitions):
        values = sample(draw, size)
        error = stats.sem(values)
        reach = stats.t.ppf((1 + CONFIDENCE) / 2, size - 1) * error
        hits["t_of_all"].append(bool(abs(values.mean() - truth) <= reach))
        found = mean_interval(values)
        if found.missing:
            continue
        hits["t"].append(found.low <= truth <= found.high)
        for method in ("percentile", "bca"):
            low, high = stats.bootstrap(
                (values,), np.mean, n_resamples=RESAMPLES, method=method, random_state=draw
            ).confidence_interval
            hits[method].append(bool(low <= truth <= high))
    shares = {name: float(np.mean(each)) if each else None for name, each in hits.items()}
    return {**shares, "none": 1 - len(hits["t"]) / repetitions}


def measure(repetitions: int) -> dict[str, Any]:
    """Every population at every number of cases."""
    return {
        name: {str(size): coverage(name, size, repetitions) for size in SIZES}
        for name in POPULATIONS
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=2000, help="Samples of each kind.")
    print(json.dumps(measure(parser.parse_args().repetitions), indent=2))
