"""A detector at one threshold: precision, recall and what they are made of."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medgan.metrics.detection import Detections


@dataclass(frozen=True)
class OperatingPoint:
    """Counts of k weightings of the scans, each (k,) float64.

    Attributes:
        true_positives: nodules found.
        false_positives: marks on nothing.
        nodules: nodules to be found.
        scans: number of scans.
    """

    true_positives: NDArray[np.float64]
    false_positives: NDArray[np.float64]
    nodules: NDArray[np.float64]
    scans: NDArray[np.float64]

    @property
    def precision(self) -> NDArray[np.float64]:
        """Nodules found in relation to nodules found and false positives; NaN without marks."""
        return _ratio(self.true_positives, self.true_positives + self.false_positives)

    @property
    def recall(self) -> NDArray[np.float64]:
        """Share of the nodules that is found; NaN without nodules."""
        return _ratio(self.true_positives, self.nodules)

    @property
    def f1(self) -> NDArray[np.float64]:
        """Harmonic mean of precision and recall: 2 TP / (TP + FP + nodules)."""
        made = self.true_positives + self.false_positives
        return _ratio(2 * self.true_positives, made + self.nodules)

    @property
    def fppi(self) -> NDArray[np.float64]:
        """False positives a scan."""
        return self.false_positives / self.scans


def operating_point(
    detections: Detections, threshold: float, weights: NDArray[np.int64]
) -> OperatingPoint:
    """Count the marks of at least a score.

    Args:
        detections: the judged marks.
        threshold: least score that counts as a detection.
        weights: (k, scans) how often each scan counts.
    """

    def weighted(scan: NDArray[np.int64]) -> NDArray[np.float64]:
        per_scan = np.bincount(scan, minlength=detections.n_scans)
        return (weights @ per_scan).astype(np.float64)

    return OperatingPoint(
        weighted(detections.nodule_scan[detections.nodule_score >= threshold]),
        weighted(detections.false_scan[detections.false_score >= threshold]),
        weighted(detections.nodule_scan),
        weights.sum(1).astype(np.float64),
    )


def _ratio(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.full_like(whole, np.nan), where=whole > 0)
