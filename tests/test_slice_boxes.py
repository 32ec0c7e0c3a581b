"""Boxes on slices and the threshold, each against a naive count."""

import math

import numpy as np
import pytest

from medgan.errors import DataError, FileError
from medgan.metrics.detection import Detections, MarkCounts
from medgan.metrics.findings import Annotations
from medgan.metrics.slice_boxes import Slices, judge_slices, read_slices
from medgan.metrics.threshold import best_f1_threshold

SLICES = Slices(np.array([-10.0, 0.0]), np.array([2.0, 2.5]), np.array([20, 16]))


def balls(rng, count):
    z = rng.uniform(-8, 25, count)
    position = np.stack([rng.uniform(0, 20, count), rng.uniform(0, 20, count), z], 1)
    return Annotations(rng.integers(0, 2, count), position, rng.uniform(3, 15, count))


def naive_boxes(findings, scan):
    """(slice, finding) -> x0, y0, x1, y1."""
    found = {}
    for number in np.flatnonzero(findings.scan == scan):
        x, y, z = findings.position_mm[number]
        for index in range(int(SLICES.count[scan])):
            away = SLICES.first_mm[scan] + index * SLICES.spacing_mm[scan] - z
            square = (findings.diameter_mm[number] / 2) ** 2 - away**2
            if square > 0:
                h = math.sqrt(square)
                found[index, number] = (x - h, y - h, x + h, y + h)
    return found


def naive_iou(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return width * height / (sum(areas) - width * height)


def naive_judgement(marks, probability, nodules):
    taken, false, boxes = {}, [], 0
    for scan in range(2):
        wanted = naive_boxes(nodules, scan)
        boxes += len(wanted)
        made = naive_boxes(marks, scan)
        for index, mark in sorted(made, key=lambda key: -probability[key[1]]):
            left = [key for key in wanted if key[0] == index and (scan, key) not in taken]
            best = max(
                left, key=lambda key: naive_iou(made[index, mark], wanted[key]), default=None
            )
            if best is not None and naive_iou(made[index, mark], wanted[best]) >= 0.5:
                taken[scan, best] = probability[mark]
            else:
                false.append((scan, probability[mark]))
    return taken, false, boxes


@pytest.mark.parametrize("seed", range(4))
def test_boxes_are_judged_as_by_naive_counting(seed):
    rng = np.random.default_rng(seed)
    nodules = balls(rng, 12)
    jitter = rng.normal(0, 0.8, (12, 3))
    near = Annotations(
        nodules.scan, nodules.position_mm + jitter, nodules.diameter_mm * rng.uniform(0.8, 1.2, 12)
    )
    other = balls(rng, 12)
    marks = Annotations(*(np.concatenate([getattr(near, n), getattr(other, n)])
                          for n in ("scan", "position_mm", "diameter_mm")))  # fmt: skip
    probability = rng.permutation(24) / 24
    judged = judge_slices(marks, probability, nodules, SLICES)
    taken, false, boxes = naive_judgement(marks, probability, nodules)
    assert 0 < len(taken) < boxes
    assert len(judged.nodule_scan) == boxes
    found = judged.nodule_score[np.isfinite(judged.nodule_score)]
    assert sorted(found) == pytest.approx(sorted(taken.values()))
    made = sorted(zip(judged.false_scan.tolist(), judged.false_score.tolist(), strict=True))
    assert np.array(made) == pytest.approx(np.array(sorted(false)))


def test_perfect_marks_find_every_box_and_nothing_else():
    nodules = balls(np.random.default_rng(9), 1)
    judged = judge_slices(nodules, np.array([0.7]), nodules, SLICES)
    assert (judged.nodule_score == 0.7).all()
    assert len(judged.nodule_score) > 0
    assert len(judged.false_score) == 0


def test_a_table_of_slices_without_a_scan_or_a_column_is_refused(tmp_path):
    path = tmp_path / "slices.csv"
    path.write_text("seriesuid,first_mm,spacing_mm,count\n1.2,-3.5,2.5,10\n")
    assert read_slices(path, ["1.2"]).count.tolist() == [10]
    with pytest.raises(DataError, match="without slices"):
        read_slices(path, ["1.2", "1.3"])
    path.write_text("seriesuid,first_mm\n1.2,0\n")
    with pytest.raises(FileError, match="not a table of slices"):
        read_slices(path, ["1.2"])


def detections(nodule_score, false_score):
    nodule_score, false_score = np.array(nodule_score, float), np.array(false_score, float)
    zeros = [np.zeros(len(x), np.int64) for x in (nodule_score, false_score)]
    counts = MarkCounts(0, 0, 0, 0, 0, 0)
    return Detections(
        1, zeros[0], np.ones(len(nodule_score)), nodule_score, zeros[1], false_score, counts
    )


@pytest.mark.parametrize("seed", range(5))
def test_the_threshold_is_the_one_of_the_best_f1_of_all(seed):
    rng = np.random.default_rng(seed)
    hits = np.where(rng.random(15) < 0.3, -np.inf, rng.integers(3, 10, 15) / 10)
    false = rng.integers(0, 8, 20) / 10
    scores = {}
    for threshold in np.unique([*hits[np.isfinite(hits)], *false]):
        tp, fp = (hits >= threshold).sum(), (false >= threshold).sum()
        scores[float(threshold)] = 2 * tp / (tp + fp + len(hits))
    best = max(scores.values())
    expected = max(t for t, f1 in scores.items() if f1 == pytest.approx(best))
    assert best_f1_threshold(detections(hits, false)) == pytest.approx(expected)


def test_where_nothing_is_found_nothing_counts():
    assert best_f1_threshold(detections([-np.inf], [0.5, 0.9])) == math.inf
