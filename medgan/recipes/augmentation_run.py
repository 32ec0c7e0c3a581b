"""One training of an augmentation experiment, and its marks."""

import logging
import time
from collections.abc import Sequence

from medgan.data.luna16 import Luna16Scan
from medgan.detection import Detector, resume_detector, train_detector, write_marks
from medgan.errors import MedganError
from medgan.io.files import write_json
from medgan.io.luna16 import Row, write_rows
from medgan.metrics.aggregates import counted
from medgan.recipes.augmentation_plan import Lesson

_log = logging.getLogger(__name__)


def train_and_mark(lesson: Lesson) -> str:
    """Train, or go on, mark validation and test scans, and write what the report is made of.

    Returns:
        A line to show.

    Raises:
        MedganError: the training cannot begin or has diverged, or the disk is full.
    """
    started, run, files = time.perf_counter(), lesson.run, lesson.run.files
    begun = (files.detector / "config.yaml").exists()
    if begun:
        resume_detector(lesson.train, files.detector, validation=lesson.validation)
    else:
        train_detector(lesson.train, run.config, files.detector, validation=lesson.validation)
    trained = time.perf_counter()
    detector = Detector.load(files.detector)
    problems = []
    for group, scans in (("validation", lesson.validation), ("test", lesson.test)):
        problems += _mark(detector, scans, lesson, group)
    nodules = [nodule for scan in lesson.train for nodule in scan.nodules]
    write_json(
        files.result,
        {
            "arm": run.arm.name,
            "share": run.share,
            "seed": run.seed,
            "steps": run.config.training.steps,
            "scans": len(lesson.train),
            "different_scans": len({scan.uid for scan in lesson.train}),
            "nodules": len(nodules),
            # a training that was interrupted has taken longer than what is known of it here
            "training_seconds": None if begun else trained - started,
            "marking_seconds": time.perf_counter() - trained,
            "problems": problems,
        },
    )
    chosen = detector.card.provenance["chosen"]
    score = f", validation CPM {chosen['cpm']:.3f}" if "cpm" in chosen else ""
    return f"{counted(len(lesson.train), 'scan')}, {counted(len(nodules), 'nodule')}{score}"


def _mark(
    detector: Detector, scans: Sequence[Luna16Scan], lesson: Lesson, group: str
) -> list[dict[str, str]]:
    """Write the marks of a group; what could not be read is named and has no mark."""
    marks, problems = {}, []
    for scan in scans:
        try:
            marks[scan.uid] = detector.predict(scan.read(), scan.lungs())
        except MedganError as error:
            _log.warning("not marked: scan %s: %s", scan.uid, error.what)
            problems.append({"uid": scan.uid, "what": error.what})
    files = lesson.run.files
    rows = [
        Row(uid, mark.position_mm, mark.diameter_mm)
        for uid, found in marks.items()
        for mark in found
    ]
    write_rows(files.diameters(group), rows, "diameter_mm")
    write_marks(files.marks(group), marks)
    return problems
