"""The score of a detector on prepared scans, and the false positives it makes there."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medgan.detection.config import DetectorConfig
from medgan.detection.marks import Mark
from medgan.detection.network import HeatmapNetwork
from medgan.detection.prediction import find_marks
from medgan.detection.scans import TrainingScan
from medgan.io.luna16 import to_index, to_world
from medgan.metrics.detection import judge_marks
from medgan.metrics.findings import Annotations, Marks
from medgan.metrics.froc import FPPI, Ranking, cpm


@dataclass(frozen=True)
class Scores:
    """How well nodules are found, by the rules of LUNA16.

    Attributes:
        cpm: mean sensitivity at 1/8 to 8 false positives a scan.
        sensitivity: at 1 false positive a scan.
        nodules: how many there are to be found.
        scans: number of scans.
    """

    cpm: float
    sensitivity: float
    nodules: int
    scans: int


def score(network: HeatmapNetwork, scans: Sequence[TrainingScan], config: DetectorConfig) -> Scores:
    """Run a network over scans and compare its marks with their nodules.

    Returns:
        Scores; NaN where the scans have no nodule.
    """
    marks = [find_marks(network, scan.image, config) for scan in scans]
    detections = judge_marks(
        _marks(marks),
        _annotations(scans, excluded=False),
        _annotations(scans, excluded=True),
        len(scans),
    )
    tally = Ranking.of(detections).tally(np.ones(len(scans), np.int64))
    sensitivities = tally.sensitivity(FPPI)
    return Scores(
        float(cpm(sensitivities)),
        float(sensitivities[FPPI == 1][0]),
        len(detections.nodule_scan),
        len(scans),
    )


def false_positives(
    network: HeatmapNetwork, scan: TrainingScan, config: DetectorConfig, limit: int
) -> NDArray[np.float64]:
    """Where a network is surest of nodules that are none.

    Args:
        network: the network.
        scan: to look through.
        config: of the detector.
        limit: how many to return at most.

    Returns:
        (n, 3) voxel indices, the surest first; marks on excluded findings are not among them.
    """
    # once is enough to learn from, and takes half the time
    once = config.prediction.model_copy(update={"mirrored": False})
    marks = find_marks(network, scan.image, config.model_copy(update={"prediction": once}))
    voxels = to_index(scan.image.grid, np.reshape([m.position_mm for m in marks], (-1, 3)))
    wrong = np.ones(len(marks), np.bool_)
    for findings in (scan.nodules, scan.excluded):
        offset = (voxels[:, None] - findings.centre) * config.input.spacing_mm
        wrong &= ~((offset**2).sum(-1) < (findings.diameter_mm / 2) ** 2).any(1)
    return np.asarray(voxels[wrong][:limit])


def _marks(marks: Sequence[Sequence[Mark]]) -> Marks:
    found = [mark for of_scan in marks for mark in of_scan]
    return Marks(
        np.repeat(np.arange(len(marks)), [len(of_scan) for of_scan in marks]),
        np.array([mark.position_mm for mark in found], np.float64).reshape(-1, 3),
        np.array([mark.probability for mark in found], np.float64),
    )


def _annotations(scans: Sequence[TrainingScan], *, excluded: bool) -> Annotations:
    findings = [scan.excluded if excluded else scan.nodules for scan in scans]
    return Annotations(
        np.repeat(np.arange(len(scans)), [len(f.diameter_mm) for f in findings]),
        np.concatenate(
            [to_world(scan.image.grid, f.centre) for scan, f in zip(scans, findings, strict=True)]
        ),
        np.concatenate([f.diameter_mm for f in findings]),
    )
