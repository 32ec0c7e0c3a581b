"""What the marks of a run are worth, and of several seeds together, from CSV files alone."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from medgan.metrics.detection import Detections, judge_marks, within_limit
from medgan.metrics.findings import (
    Annotations,
    Marks,
    read_annotations,
    read_marks,
    read_scans,
)
from medgan.metrics.froc import CURVE_FPPI, FPPI, PER_OCTAVE, Ranking, cpm
from medgan.metrics.luna16 import SIZE_EDGES_MM
from medgan.metrics.operating_point import operating_point
from medgan.metrics.scan_bootstrap import interval
from medgan.metrics.slice_boxes import Slices, judge_slices, read_slices
from medgan.metrics.threshold import best_f1_threshold
from medgan.recipes.augmentation_material import Truth
from medgan.recipes.augmentation_plan import RunFiles

Rows = NDArray[np.float64]
"""(rows, ...): row 0 of the scans as they are, the others of resamples."""

NOTHING_COUNTS = 1e9
"""A threshold above every probability, where none is of use; finite, so that it can be written."""


@dataclass(frozen=True)
class Judge:
    """The truth of a group of scans.

    Attributes:
        scans: series UIDs.
        nodules: to be found.
        excluded: irrelevant findings.
        slices: where the axial slices lie.
    """

    scans: tuple[str, ...]
    nodules: Annotations
    excluded: Annotations
    slices: Slices

    @classmethod
    def read(cls, truth: Truth) -> Self:
        """Read its files.

        Raises:
            FileError: one is missing or not of its kind.
            DataError: rows that cannot be used.
        """
        scans = read_scans(truth.seriesuids)
        return cls(
            scans,
            read_annotations(truth.annotations, scans),
            read_annotations(truth.excluded, scans, unique=False),
            read_slices(truth.slices, scans),
        )

    @cached_property
    def size_groups(self) -> list[NDArray[np.bool_]]:
        """Which nodules are in each group of diameters."""
        group = np.digitize(self.nodules.diameter_mm, SIZE_EDGES_MM) - 1
        return [group == number for number in range(len(SIZE_EDGES_MM) - 1)]


@dataclass(frozen=True, eq=False)
class Scores:
    """Figures of one run, or means over seeds; row 0 of the scans as they are, then resamples.

    Attributes:
        curve: (rows, 97) sensitivity at ``CURVE_FPPI``.
        by_size: (rows, groups) CPM of each group of diameters.
        precision: (rows,) at the threshold, as LUNA16 counts hits.
        recall: (rows,)
        f1: (rows,)
        fppi: (rows,) false positives a scan.
        slice_precision: (rows,) of boxes on slices, at the same threshold.
        slice_recall: (rows,)
        slice_f1: (rows,)
        slice_fppi: (rows,) false boxes a scan, all slices counted.
        slice_ap50: (rows,) average precision at IoU 0.5.
    """

    curve: Rows
    by_size: Rows
    precision: Rows
    recall: Rows
    f1: Rows
    fppi: Rows
    slice_precision: Rows
    slice_recall: Rows
    slice_f1: Rows
    slice_fppi: Rows
    slice_ap50: Rows

    @property
    def cpm(self) -> Rows:
        """(rows,) mean sensitivity at the seven rates of ``FPPI``."""
        return cpm(self.curve[:, ::PER_OCTAVE])

    @classmethod
    def pooled(cls, several: Sequence["Scores"]) -> "Scores":
        """Means over seeds, row by row: every seed was tested on the same resamples."""
        names = [field.name for field in fields(cls)]
        return cls(**{
            name: np.mean([getattr(scores, name) for scores in several], axis=0) for name in names
        })  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Every figure ``x`` of the scans as they are, and its 95 % interval ``x_ci``."""
        names = [field.name for field in fields(self)]
        figures: dict[str, Any] = {}
        for name in ("cpm", *names):
            values = getattr(self, name)
            bounds = interval(values[1:]).tolist() if len(values) > 1 else None
            figures |= {name: values[0].tolist(), f"{name}_ci": bounds}
        return figures


def validation_threshold(files: RunFiles, judge: Judge) -> float:
    """The threshold that gives the best F1 on the validation scans.

    Raises:
        FileError: the marks are missing or no marks.
    """
    marks = read_marks(files.marks("validation"), judge.scans)
    judged = judge_marks(marks, judge.nodules, judge.excluded, len(judge.scans))
    return min(best_f1_threshold(judged), NOTHING_COUNTS)


def score_run(
    files: RunFiles, judge: Judge, threshold: float, weights: NDArray[np.int64]
) -> Scores:
    """Score the marks of a run on the test scans.

    Args:
        files: of the run.
        judge: of the test scans.
        threshold: fixed on the validation scans.
        weights: (rows, scans) how often each scan counts; row 0 is all ones.

    Raises:
        FileError: the marks are missing or no marks.
    """
    marks = read_marks(files.marks("test"), judge.scans)
    judged = judge_marks(marks, judge.nodules, judge.excluded, len(judge.scans))
    ranking = Ranking.of(judged)
    point = operating_point(judged, threshold, weights)
    boxes = _on_slices(files, marks, judge)
    slice_point = operating_point(boxes, threshold, weights)
    slice_ranking = Ranking.of(boxes)
    return Scores(
        curve=np.array([ranking.tally(row).sensitivity(CURVE_FPPI) for row in weights]),
        by_size=np.array([
            [cpm(ranking.tally(row, mine).sensitivity(FPPI)) for mine in judge.size_groups]
            for row in weights
        ]),
        precision=point.precision,
        recall=point.recall,
        f1=point.f1,
        fppi=point.fppi,
        slice_precision=slice_point.precision,
        slice_recall=slice_point.recall,
        slice_f1=slice_point.f1,
        slice_fppi=slice_point.fppi,
        slice_ap50=np.array([slice_ranking.tally(row).average_precision() for row in weights]),
    )  # fmt: skip


def _on_slices(files: RunFiles, marks: Marks, judge: Judge) -> Detections:
    sized = read_annotations(files.diameters("test"), judge.scans, unique=False)
    # both files have the same rows in the same order
    kept = within_limit(marks.scan, marks.probability, len(judge.scans))
    mine = Annotations(sized.scan[kept], sized.position_mm[kept], sized.diameter_mm[kept])
    return judge_slices(mine, marks.probability[kept], judge.nodules, judge.slices)
