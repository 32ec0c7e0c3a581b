"""The threshold of a detector, to be fixed on scans that are not tested on."""

import numpy as np

from medgan.metrics.detection import Detections


def best_f1_threshold(detections: Detections) -> float:
    """The score from which on marks count, so that F1 is largest.

    Args:
        detections: of validation scans.

    Returns:
        A score of one of the marks, of equally good ones the highest; infinity where no mark
        finds a nodule, so that nothing counts.
    """
    found = detections.nodule_score[np.isfinite(detections.nodule_score)]
    if not len(found):
        return float("inf")
    # between two scores that find nodules more marks are only false
    scores = np.unique(found)[::-1]
    true = len(found) - np.searchsorted(np.sort(found), scores)
    false_scores = np.sort(detections.false_score)
    false = len(false_scores) - np.searchsorted(false_scores, scores)
    f1 = 2 * true / (true + false + len(detections.nodule_score))
    return float(scores[f1.argmax()])
