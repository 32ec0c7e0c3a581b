"""What an augmentation experiment has measured so far: read from its CSV files, nothing trained.

Pooling: every seed's detector marks the same test scans. A resample draws scans with replacement;
in it each seed has its own curve, and a figure is the mean over the seeds. An arm less the
reference is the difference of these means on the same resample, over the seeds that both have. So
the intervals cover the choice of test scans; how far trainings differ stands beside them by seed.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from medgan.metrics.aggregates import jsonable
from medgan.metrics.detection import MAX_MARKS
from medgan.metrics.froc import CURVE_FPPI, FPPI, PER_OCTAVE
from medgan.metrics.luna16 import HIT_RULE, SIZE_EDGES_MM
from medgan.metrics.scan_bootstrap import CONFIDENCE, interval, resample_scans, two_sided_p
from medgan.metrics.slice_boxes import LEAST_IOU
from medgan.recipes.augmentation_config import ArmConfig, AugmentationExperiment
from medgan.recipes.augmentation_material import Material, Truth
from medgan.recipes.augmentation_plan import Run
from medgan.recipes.augmentation_published import published_rows
from medgan.recipes.augmentation_scores import Judge, Scores, score_run, validation_threshold
from medgan.recipes.augmentation_verdict import control_check, effect_of, verdict


@dataclass(frozen=True)
class Failure:
    """A training that could not be brought to its end, and why."""

    run: Run
    reason: str


@dataclass(frozen=True, eq=False)
class _Scored:
    run: Run
    threshold: float
    scores: Scores
    result: Mapping[str, Any]


def document(
    config: AugmentationExperiment,
    out: Path,
    planned: Sequence[Run],
    material: Material,
    failures: Sequence[Failure] = (),
) -> dict[str, Any]:
    """All results that there are.

    Args:
        config: the experiment.
        out: its folder.
        planned: its trainings; those without a result are left out.
        material: the scans.
        failures: what to say of trainings that failed.

    Returns:
        ``rows``, one for each arm and share: ``cpm``, ``sensitivities`` and so on as means over
        ``seeds``, every ``x`` with ``x_ci``; ``difference`` from the reference at the same share
        (null for itself), ``effect``, ``verdict``. ``controls``: what the controls say of the
        experiment. ``runs``: what ``medgan froc`` gives for the marks of each, with its
        ``threshold``. ``sources``: FID and KID. ``published``: images and detection in one row, see
        ``published_rows``. ``definition``: how all of it was measured. ``problems``: scans left
        out. ``failures``.

    Raises:
        FileError: a file of marks or truth is missing or damaged.
    """
    judges = {group: Judge.read(Truth.of(out, group)) for group in ("validation", "test")}
    test = judges["test"]
    weights = np.vstack([
        np.ones((1, len(test.scans)), np.int64),
        resample_scans(len(test.scans), config.bootstrap, config.bootstrap_seed),
    ])  # fmt: skip
    scored = []
    for run in planned:
        if run.files.result.exists():
            threshold = validation_threshold(run.files, judges["validation"])
            result = json.loads(run.files.result.read_text(encoding="utf-8"))
            scores = score_run(run.files, test, threshold, weights)
            scored.append(_Scored(run, threshold, scores, result))
    rows = [
        row
        for arm in config.arms
        for share in config.shares_of(arm)
        if (row := _row(config, arm, share, scored, len(test.scans))) is not None
    ]
    sources = _sources(config, out)
    return dict(jsonable({
        "name": config.name,
        "reference": config.reference,
        "definition": _definition(config, judges, material),
        "trainings": {"planned": len(planned), "finished": len(scored)},
        "rows": rows,
        "controls": control_check(rows, {source.name: source.kind for source in config.sources}),
        "runs": [_run(one, out) for one in scored],
        "sources": sources,
        "published": published_rows(rows, sources),
        "problems": [*material.problems, *_later_problems(scored)],
        "failures": [
            {"arm": f.run.arm.name, "share": f.run.share, "seed": f.run.seed, "reason": f.reason}
            for f in failures
        ],
    }))  # fmt: skip


def _row(
    config: AugmentationExperiment,
    arm: ArmConfig,
    share: float,
    scored: Sequence[_Scored],
    scans: int,
) -> dict[str, Any] | None:
    mine, theirs = (
        {one.run.seed: one for one in scored if (one.run.arm.name, one.run.share) == (name, share)}
        for name in (arm.name, config.reference)
    )
    if not mine:
        return None
    row: dict[str, Any] = {
        "arm": arm.name,
        "label": arm.label,
        "share": share,
        "source": arm.source,
        "real": arm.real,
        "seeds": sorted(mine),
        "steps": sorted({one.result["steps"] for one in mine.values()}),
        "train_scans": fmean(one.result["scans"] for one in mine.values()),
        "train_nodules": fmean(one.result["nodules"] for one in mine.values()),
        **_figures(Scores.pooled([one.scores for one in mine.values()])),
        "cpm_by_seed": [float(mine[seed].scores.cpm[0]) for seed in sorted(mine)],
        "difference": None,
        "effect": None,
        "verdict": None,
    }
    shared = sorted(set(mine) & set(theirs))
    if arm.name != config.reference and shared:
        label = next(arm.label for arm in config.arms if arm.name == config.reference)
        row["difference"] = _difference(
            [mine[seed].scores for seed in shared], [theirs[seed].scores for seed in shared]
        )
        row["difference"]["scans"] = scans
        row["effect"] = effect_of(row["difference"])
        row["verdict"] = verdict(row, label)
    return row


def _figures(scores: Scores) -> dict[str, Any]:
    """Figures with intervals; of the curve also the seven rates by themselves."""
    figures = scores.to_dict()
    bounds = figures["curve_ci"]
    figures["sensitivities"] = figures["curve"][::PER_OCTAVE]
    figures["sensitivities_ci"] = bounds if bounds is None else bounds[::PER_OCTAVE]
    return figures


def _difference(mine: Sequence[Scores], theirs: Sequence[Scores]) -> dict[str, Any]:
    by_seed = [a.cpm - b.cpm for a, b in zip(mine, theirs, strict=True)]
    pooled = np.mean(by_seed, axis=0)
    resampled = len(pooled) > 1
    return {
        "cpm": float(pooled[0]),
        "cpm_ci": interval(pooled[1:]).tolist() if resampled else None,
        "cpm_p": two_sided_p(pooled[1:]),
        "cpm_by_seed": [float(each[0]) for each in by_seed],
        "seeds": len(by_seed),
    }


def _run(one: _Scored, out: Path) -> dict[str, Any]:
    figures = _figures(one.scores)
    kept = ("cpm", "sensitivities", "precision", "recall", "f1", "fppi")
    return {
        "arm": one.run.arm.name,
        "share": one.run.share,
        "seed": one.run.seed,
        "marks": one.run.files.marks("test").relative_to(out).as_posix(),
        "threshold": one.threshold,
        **{name: figures[name] for key in kept for name in (key, f"{key}_ci")},
        **{key: one.result[key] for key in ("steps", "scans", "nodules", "training_seconds")},
    }


def _definition(
    config: AugmentationExperiment, judges: Mapping[str, Judge], material: Material
) -> dict[str, Any]:
    test = judges["test"]
    return {
        "hit_rule": HIT_RULE,
        "marks_per_scan": MAX_MARKS,
        "fppi": FPPI.tolist(),
        "curve_fppi": CURVE_FPPI.tolist(),
        "size_edges_mm": SIZE_EDGES_MM,
        "size_nodules": [int(group.sum()) for group in test.size_groups],
        "slice_iou": LEAST_IOU,
        "threshold": "best F1 on the validation scans, by the same rule",
        "bootstrap": {
            "replicates": config.bootstrap,
            "seed": config.bootstrap_seed,
            "unit": "scan",
            "confidence": CONFIDENCE,
            "pooling": "mean over seeds in each resample",
        },
        "scans": {group: len(scans) for group, scans in material.groups.items()},
        "nodules": {
            group: sum(len(scan.nodules) for scan in scans)
            for group, scans in material.groups.items()
        },
        "material": "phantoms" if config.phantoms else "LUNA16 folder",
    }


def _sources(config: AugmentationExperiment, out: Path) -> list[dict[str, Any]]:
    found = []
    for source in config.sources:
        place = out / "synthetic" / source.name / "summary.json"
        facts = json.loads(place.read_text(encoding="utf-8")) if place.exists() else {}
        found.append({"name": source.name, "label": source.label, "kind": source.kind, **facts})
    return found


def _later_problems(scored: Sequence[_Scored]) -> list[dict[str, str]]:
    return [
        {"group": one.run.name, "where": problem["uid"], **problem}
        for one in scored
        for problem in one.result["problems"]
    ]
