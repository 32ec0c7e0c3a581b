"""The evaluation of nodule detectors on LUNA16, from files to one document."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medgan.errors import ConfigError, DataError
from medgan.metrics.aggregates import jsonable
from medgan.metrics.detection import MAX_MARKS, Detections, judge_marks
from medgan.metrics.findings import read_annotations, read_marks, read_scans
from medgan.metrics.froc import CURVE_FPPI, FPPI, PER_OCTAVE, Ranking, cpm
from medgan.metrics.operating_point import OperatingPoint, operating_point
from medgan.metrics.scan_bootstrap import CONFIDENCE, interval, resample_scans, two_sided_p

SIZE_EDGES_MM = (0.0, 6.0, 10.0, np.inf)
"""Limits of the groups of diameters, the lower one included."""

HIT_RULE = "distance to the centre below half the diameter"

_OPERATING = ("precision", "recall", "f1", "fppi")


def evaluate_detections(
    results: Path,
    *,
    annotations: Path,
    excluded: Path,
    seriesuids: Path,
    threshold: float | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
    against: Path | None = None,
) -> dict[str, Any]:
    """Score a detector by the rules of LUNA16, and compare it with another.

    Args:
        results: CSV of the detector's marks.
        annotations: CSV of the nodules.
        excluded: CSV of irrelevant findings.
        seriesuids: list of the scans; all of them count in the rate of false positives.
        threshold: score from which a mark is a detection, for precision, recall and F1.
        bootstrap: number of resamples of the scans; 0 leaves the intervals out.
        seed: of the resamples.
        against: results of another detector on the same scans.

    Returns:
        A document for JSON. ``sensitivities`` belong to the rates ``fppi``; every figure ``x`` has
        its 95 % interval ``x_ci`` beside it; ``by_size`` groups the nodules, ``operating_point``
        is there with a threshold, ``against`` with another detector.

    Raises:
        FileError: a file is missing or not of its kind.
        DataError: rows that cannot be used, or no nodule in the scans.
        ConfigError: a threshold that is not finite, a negative number of resamples or seed.
    """
    _check_options(threshold, bootstrap, seed)
    paths = [results] if against is None else [results, against]
    detectors = _judged(paths, annotations, excluded, seriesuids)
    weights = _weights(detectors[0].n_scans, bootstrap, seed)
    measured = [_measure(detections, weights, threshold) for detections in detectors]
    scored = [
        _scored(detections, measures, threshold)
        for detections, measures in zip(detectors, measured, strict=True)
    ]
    document = _terms(detectors[0], bootstrap, seed) | scored[0]
    if against is not None:
        document["against"] = scored[1] | {"difference": _difference(*measured)}
    return jsonable(document)


def _judged(
    results: list[Path], annotations: Path, excluded: Path, seriesuids: Path
) -> list[Detections]:
    """Each detector's marks against the findings of the scans listed."""
    scans = read_scans(seriesuids)
    nodules = read_annotations(annotations, scans)
    if not len(nodules.scan):
        raise DataError(
            "no nodule in the scans listed",
            where=annotations,
            remedy=f"List other scans than those in {seriesuids}",
        )
    irrelevant = read_annotations(excluded, scans, unique=False)
    return [
        judge_marks(read_marks(path, scans), nodules, irrelevant, len(scans)) for path in results
    ]


def _weights(n_scans: int, bootstrap: int, seed: int) -> NDArray[np.int64]:
    """(1 + bootstrap, n_scans): how often each scan counts.

    Row 0 is the scans as they are, the others are resamples: one computation serves both.
    """
    as_they_are = np.ones((1, n_scans), np.int64)
    return np.vstack([as_they_are, resample_scans(n_scans, bootstrap, seed)])


def _terms(detections: Detections, bootstrap: int, seed: int) -> dict[str, Any]:
    """What the document says of the evaluation, whatever the detector."""
    return {
        "protocol": "luna16",
        "hit_rule": HIT_RULE,
        "marks_per_scan": MAX_MARKS,
        "bootstrap": {
            "replicates": bootstrap,
            "unit": "scan",
            "confidence": CONFIDENCE,
            "seed": seed,
        },
        "scans": detections.n_scans,
        "nodules": len(detections.nodule_scan),
        "fppi": FPPI.tolist(),
    }


@dataclass(frozen=True)
class _Measures:
    """Every array has the scans as they are in row 0 and the resamples after it."""

    curve: NDArray[np.float64]
    average_precision: NDArray[np.float64]
    by_size: NDArray[np.float64]
    """(rows, groups, 7)"""
    group_sizes: NDArray[np.int64]
    operating_point: OperatingPoint | None

    @property
    def sensitivities(self) -> NDArray[np.float64]:
        return self.curve[:, ::PER_OCTAVE]


def _measure(
    detections: Detections, weights: NDArray[np.int64], threshold: float | None
) -> _Measures:
    ranking = Ranking.of(detections)
    group = np.digitize(detections.nodule_diameter_mm, SIZE_EDGES_MM) - 1
    groups = [group == number for number in range(len(SIZE_EDGES_MM) - 1)]
    tallies = [ranking.tally(row) for row in weights]
    return _Measures(
        np.array([tally.sensitivity(CURVE_FPPI) for tally in tallies]),
        np.array([tally.average_precision() for tally in tallies]),
        np.array(
            [[ranking.tally(row, mine).sensitivity(FPPI) for mine in groups] for row in weights]
        ),
        np.array([mine.sum() for mine in groups]),
        None if threshold is None else operating_point(detections, threshold, weights),
    )


def _with_interval(name: str, values: NDArray[np.float64]) -> dict[str, Any]:
    """Row 0 as the figure, the other rows as its interval; null where there are no others."""
    bounds = interval(values[1:]).tolist() if len(values) > 1 else None
    return {name: values[0].tolist(), f"{name}_ci": bounds}


def _scored(detections: Detections, measures: _Measures, threshold: float | None) -> dict[str, Any]:
    """What the document says of one detector."""
    return {
        **_figures(measures),
        "by_size": _by_size(measures),
        "marks": vars(detections.counts),
        **_operating_point(measures, threshold),
        "curve": {"fppi": CURVE_FPPI.tolist(), **_with_interval("sensitivities", measures.curve)},
    }


def _figures(measures: _Measures) -> dict[str, Any]:
    return {
        **_with_interval("cpm", cpm(measures.sensitivities)),
        **_with_interval("sensitivities", measures.sensitivities),
        **_with_interval("average_precision", measures.average_precision),
    }


def _by_size(measures: _Measures) -> list[dict[str, Any]]:
    return [
        {
            "diameter_mm": [SIZE_EDGES_MM[number], SIZE_EDGES_MM[number + 1]],
            "nodules": int(size),
            **_with_interval("cpm", cpm(measures.by_size[:, number])),
            **_with_interval("sensitivities", measures.by_size[:, number]),
        }
        for number, size in enumerate(measures.group_sizes)
    ]


def _operating_point(measures: _Measures, threshold: float | None) -> dict[str, Any]:
    point = measures.operating_point
    if point is None:
        return {}
    found, nodules = int(point.true_positives[0]), int(point.nodules[0])
    figures: dict[str, Any] = {
        "threshold": threshold,
        "true_positives": found,
        "false_positives": int(point.false_positives[0]),
        "missed": nodules - found,
    }
    for name in _OPERATING:
        figures |= _with_interval(name, getattr(point, name))
    return {"operating_point": figures}


def _difference(first: _Measures, second: _Measures) -> dict[str, Any]:
    """First less second, on the same resamples."""
    cpms = cpm(first.sensitivities) - cpm(second.sensitivities)
    return {
        **_with_interval("cpm", cpms),
        "cpm_p": two_sided_p(cpms[1:]),
        **_with_interval("sensitivities", first.sensitivities - second.sensitivities),
        **_with_interval("average_precision", first.average_precision - second.average_precision),
    }


def _check_options(threshold: float | None, bootstrap: int, seed: int) -> None:
    if threshold is not None and not np.isfinite(threshold):
        raise ConfigError("is not a finite number", where="threshold", measured=threshold)
    for name, value in (("bootstrap", bootstrap), ("seed", seed)):
        if value < 0:
            raise ConfigError("is negative", where=name, measured=value, limit="0 or more")
