"""Which nodules a detector found, and which of its marks are false, by the rules of LUNA16.

Source: Setio et al., Medical Image Analysis 42 (2017), doi:10.1016/j.media.2017.06.015, section
2.4, and the official evaluation program of LUNA16, whose treatment of ties, of repeated marks and
of overlapping findings the paper leaves open.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medgan.metrics.findings import Annotations, Marks

MAX_MARKS = 100
"""Marks a scan that count. Source: official evaluation program of LUNA16."""


@dataclass(frozen=True)
class MarkCounts:
    """What became of a detector's marks.

    Attributes:
        given: all of them.
        over_limit: dropped, because their scan had more than `MAX_MARKS`.
        repeated: on a nodule that a surer mark found already; counted once for each such nodule.
        on_excluded: on an irrelevant finding and on no nodule; neither right nor wrong.
        on_several_nodules: inside more than one nodule, each of which they find.
        false_positives: the marks on nothing.
    """

    given: int
    over_limit: int
    repeated: int
    on_excluded: int
    on_several_nodules: int
    false_positives: int


@dataclass(frozen=True)
class Detections:
    """A detector's marks, judged.

    Attributes:
        n_scans: all scans evaluated, those without nodules and without marks as well.
        nodule_scan: (n,) int, the scan of each nodule.
        nodule_diameter_mm: (n,) float64.
        nodule_score: (n,) float64, probability of the surest mark on it; -inf where it was missed.
        false_scan: (m,) int, the scan of each false positive.
        false_score: (m,) float64.
        counts: what became of all marks.
    """

    n_scans: int
    nodule_scan: NDArray[np.int64]
    nodule_diameter_mm: NDArray[np.float64]
    nodule_score: NDArray[np.float64]
    false_scan: NDArray[np.int64]
    false_score: NDArray[np.float64]
    counts: MarkCounts


def judge_marks(
    marks: Marks, nodules: Annotations, excluded: Annotations, n_scans: int
) -> Detections:
    """Tell hits from false positives.

    1. A scan keeps its `MAX_MARKS` surest marks (`within_limit`).
    2. A mark hits a finding when it lies nearer to its centre than half its diameter (strictly).
    3. A nodule's score is that of the surest mark that hits it; the others on it are ignored. A
       mark inside two nodules finds both.
    4. A mark that hits an excluded finding and no nodule is ignored.
    5. All other marks are false positives.

    Args:
        marks: the detector's.
        nodules: those to be found.
        excluded: irrelevant findings.
        n_scans: number of scans evaluated.
    """
    kept = within_limit(marks.scan, marks.probability, n_scans)
    mark_scan = np.where(kept, marks.scan, -1)
    hits = np.zeros(len(marks.scan), np.int64)
    on_excluded = np.zeros(len(marks.scan), np.bool_)
    score = np.full(len(nodules.scan), -np.inf)
    for mine, theirs in _scan_by_scan(mark_scan, nodules.scan, n_scans):
        hit = _inside(marks.position_mm[mine], nodules, theirs)
        hits[mine] = hit.sum(1)
        certainty = np.where(hit, marks.probability[mine, None], -np.inf)
        score[theirs] = certainty.max(0, initial=-np.inf)
    for mine, theirs in _scan_by_scan(mark_scan, excluded.scan, n_scans):
        on_excluded[mine] = _inside(marks.position_mm[mine], excluded, theirs).any(1)
    false = kept & (hits == 0) & ~on_excluded
    return Detections(
        n_scans,
        nodules.scan,
        nodules.diameter_mm,
        score,
        marks.scan[false],
        marks.probability[false],
        MarkCounts(
            given=len(kept),
            over_limit=int((~kept).sum()),
            repeated=int(hits.sum() - np.isfinite(score).sum()),
            on_excluded=int((on_excluded & (hits == 0)).sum()),
            on_several_nodules=int((hits > 1).sum()),
            false_positives=int(false.sum()),
        ),
    )


def within_limit(
    scan: NDArray[np.int64], probability: NDArray[np.float64], n_scans: int
) -> NDArray[np.bool_]:
    """The marks that count: in a scan of too many, those surer than its 101st.

    Marks as sure as the 101st are all dropped, so that the order of rows decides nothing; a scan
    may keep fewer than 100, or none where the scores are saturated.

    Args:
        scan: (n,) scan of each mark.
        probability: (n,) its score.
        n_scans: number of scans.

    Returns:
        (n,) bool.
    """
    order = np.lexsort((-probability, scan))
    start = np.searchsorted(scan[order], np.arange(n_scans + 1))
    limit = np.full(n_scans, -np.inf)
    crowded = np.flatnonzero(np.diff(start) > MAX_MARKS)
    limit[crowded] = probability[order[start[crowded] + MAX_MARKS]]
    return probability > limit[scan]


def _scan_by_scan(
    first: NDArray[np.int64], second: NDArray[np.int64], n_scans: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Indices of what lies in one scan, for every scan that has both; scan -1 is none."""
    orders = [np.argsort(scan, kind="stable") for scan in (first, second)]
    starts = [
        np.searchsorted(scan[order], np.arange(n_scans + 1))
        for scan, order in zip((first, second), orders, strict=True)
    ]
    for low_1, high_1, low_2, high_2 in zip(
        starts[0][:-1], starts[0][1:], starts[1][:-1], starts[1][1:], strict=True
    ):
        if high_1 > low_1 and high_2 > low_2:
            yield orders[0][low_1:high_1], orders[1][low_2:high_2]


def _inside(
    position_mm: NDArray[np.float64], findings: Annotations, which: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """(marks, findings): whether a mark lies inside the sphere of a finding."""
    offset = position_mm[:, None] - findings.position_mm[which]
    return (offset**2).sum(-1) < (findings.diameter_mm[which] / 2) ** 2
