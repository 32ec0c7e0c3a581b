"""The free-response ROC curve: nodules found against false positives a scan.

Every measure takes weights, how often each scan counts, so that a bootstrap over scans is the same
computation on other weights.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from medgan.metrics.detection import Detections

PER_OCTAVE = 16
"""Samples of a curve from one rate of false positives to its double."""

CURVE_FPPI = 2.0 ** (np.arange(6 * PER_OCTAVE + 1) / PER_OCTAVE - 3)
"""(97,) False positives a scan at which a curve is sampled: 1/8 to 8."""

FPPI = CURVE_FPPI[::PER_OCTAVE]
"""(7,) False positives a scan whose mean sensitivity is the CPM: 1/8, 1/4, 1/2, 1, 2, 4, 8.

Source: Setio et al. (2017), section 2.4.
"""


@dataclass(frozen=True)
class Tally:
    """What is found as the threshold falls; the first entry is before the first mark.

    Attributes:
        scans: number of scans, repetitions counted.
        nodules: number of nodules in them.
        found: (n + 1,) nodules found.
        false_positives: (n + 1,) marks on nothing.
    """

    scans: float
    nodules: float
    found: NDArray[np.float64]
    false_positives: NDArray[np.float64]

    def sensitivity(self, fppi: NDArray[np.float64]) -> NDArray[np.float64]:
        """Share of the nodules found at rates of false positives, interpolated linearly.

        The curve begins in (0, 0), where it jumps it counts at its upper end, and beyond the
        detector's last mark it stays level. Marks of equal score come all at once.

        Args:
            fppi: (k,) false positives a scan, above 0.

        Returns:
            (k,) in [0, 1]; NaN where the scans have no nodule.
        """
        if not self.nodules:
            return np.full(len(fppi), np.nan)
        # Whole counts divided once: 111 / 888 is 1/8 exactly, and the jump there is not missed.
        return np.interp(fppi, self.false_positives / self.scans, self.found) / self.nodules

    def average_precision(self) -> float:
        """Area under precision over recall, as a sum of steps without interpolation.

        Precision is that of nodules found and false positives; repeated and irrelevant marks do
        not count.

        Returns:
            In [0, 1]; NaN where the scans have no nodule.

        Source: scikit-learn's definition, AP = sum of (R_n - R_(n-1)) P_n.
        """
        if not self.nodules:
            return np.nan
        found, made = self.found[1:], (self.found + self.false_positives)[1:]
        precision = np.divide(found, made, out=np.zeros_like(found), where=made > 0)
        return float((np.diff(self.found) * precision).sum() / self.nodules)


@dataclass(frozen=True)
class Ranking:
    """Nodules and false positives by the step of the curve in which they come.

    A step is a score, or a run of scores that have only false positives: level stretches have no
    vertices inside, which makes a curve of 1000 nodules short however many marks there are.

    Attributes:
        n_scans: number of scans.
        n_steps: number of steps; missed nodules come after all of them.
        nodule_scan: (n,) scan of each nodule.
        nodule_step: (n,) step in which it is found, ``n_steps`` if never.
        false_scan: (m,) scan of each false positive.
        false_step: (m,) its step.
    """

    n_scans: int
    n_steps: int
    nodule_scan: NDArray[np.int64]
    nodule_step: NDArray[np.int64]
    false_scan: NDArray[np.int64]
    false_step: NDArray[np.int64]

    @classmethod
    def of(cls, detections: Detections) -> Self:
        """Rank by score, the surest first."""
        found = np.isfinite(detections.nodule_score)
        n_found = int(found.sum())
        scores = np.concatenate([detections.nodule_score[found], detections.false_score])
        distinct, group = np.unique(-scores, return_inverse=True)
        has_nodule = np.bincount(group[:n_found], minlength=len(distinct)) > 0
        # A level stretch ends where the next score finds a nodule, the last one with the marks.
        ends = has_nodule | np.append(has_nodule[1:], True)[: len(distinct)]
        step = np.searchsorted(np.flatnonzero(ends), group)
        n_steps = int(ends.sum())
        nodule_step = np.full(len(found), n_steps)
        nodule_step[found] = step[:n_found]
        return cls(
            detections.n_scans,
            n_steps,
            detections.nodule_scan,
            nodule_step,
            detections.false_scan,
            step[n_found:],
        )

    def tally(self, weights: NDArray[np.int64], nodules: NDArray[np.bool_] | None = None) -> Tally:
        """Count step by step.

        Args:
            weights: (scans,) how often each scan counts.
            nodules: (n,) those to look at; the false positives stay. None: all.
        """
        counted = weights[self.nodule_scan] * (1 if nodules is None else nodules)
        found = np.bincount(self.nodule_step, counted, self.n_steps + 1)[:-1]
        false = np.bincount(self.false_step, weights[self.false_scan], self.n_steps)
        return Tally(
            float(weights.sum()),
            float(counted.sum()),
            np.concatenate([[0.0], found.cumsum()]),
            np.concatenate([[0.0], false.cumsum()]),
        )


def cpm(sensitivities: NDArray[np.float64]) -> NDArray[np.float64]:
    """The competition performance metric: mean sensitivity at the seven rates of `FPPI`.

    Args:
        sensitivities: (..., 7), as ``Tally.sensitivity(FPPI)`` gives them.

    Returns:
        (...), in [0, 1].
    """
    return sensitivities.mean(-1)
