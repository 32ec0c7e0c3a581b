"""One training of a comparison of methods, and its test."""

import statistics
from pathlib import Path
from typing import Any

import numpy as np

from medgan.config import TrainConfig
from medgan.inference.translator import Translator
from medgan.io import read_volume
from medgan.io.files import write_json, writing
from medgan.metrics.aggregates import jsonable
from medgan.metrics.edges import BONE, SKIN, edge_displacement_mm
from medgan.recipes import mr_ct
from medgan.recipes.comparison_cost import steps_that_fill
from medgan.recipes.comparison_plan import Run, with_steps
from medgan.recipes.runs import train_or_resume
from medgan.recipes.scans import read_pair, scan_paths
from medgan.volumes import Volume
from medgan.volumes.geometry import reorient
from medgan.volumes.masks import body_mask


def train_and_test(run: Run) -> str:
    """Train, or go on, and write ``run.result`` and ``run.pictures``.

    Returns:
        A line to show.

    Raises:
        MedganError: the training cannot begin or has diverged, or a scan cannot be used.
    """
    config = _effective(run)
    train_or_resume(config, run.folder)
    # the last model, because no score that chooses would be the same for all of them
    translator = Translator.load(run.folder / "checkpoints" / "last")
    cases = [_test(run, config, translator, number) for number in range(len(config.evaluation))]
    result: dict[str, Any] = {
        "member": run.variant.name,
        "seed": run.seed,
        "steps": config.training.steps,
        "definition": cases[0].scores[mr_ct.RESULT].definition(),
        "cases": [{"case": case.name, **_scores(case)} for case in cases],
        "floors": {
            floor: [{"case": case.name, **case.scores[floor].values} for case in cases]
            for floor in (mr_ct.CONSTANT, mr_ct.LOOKUP)
        },
    }
    write_json(run.result, jsonable(result))
    return f"MAE {statistics.mean(case['mae'] for case in result['cases']):.1f} HU"


def _effective(run: Run) -> TrainConfig:
    """The training with its number of steps, which is measured when it is begun."""
    if run.minutes is None:
        return run.config
    begun = run.begun()
    steps = begun.training.steps if begun else steps_that_fill(run.config, run.minutes)
    return with_steps(run.config, steps)


def _test(run: Run, config: TrainConfig, translator: Translator, number: int) -> mr_ct.CaseResult:
    pair = config.evaluation[number]
    ends = read_pair(config, pair)
    source, reference = ends[translator.source], ends[translator.target]
    others = [read_volume(path, modality=translator.source)
              for path in scan_paths(config, pair.source)[1:]]  # fmt: skip
    made = translator(source, also=others)
    if number == 0:
        _write_pictures(run.pictures, source, made.image, reference)
    return mr_ct.score_case(pair.name, source, made.image, reference)


def _scores(case: mr_ct.CaseResult) -> dict[str, float]:
    """What the table shows of a case: the protocol's values and how far edges have moved."""
    mask = body_mask(case.source) & body_mask(case.reference)
    images = case.prediction.array, case.reference.array
    moved = {
        f"edge_{name}_mm": edge_displacement_mm(*images, mask, case.source.spacing_mm, edge).mean_mm
        for name, edge in (("bone", BONE), ("skin", SKIN))
    }
    return {**case.scores[mr_ct.RESULT].values, **moved}


def _write_pictures(path: Path, source: Volume, result: Volume, reference: Volume) -> None:
    """An axial and a sagittal slice of the first case; first row anterior, or on top."""
    pictures = {}
    for name, volume in (("source", source), ("result", result), ("reference", reference)):
        array = reorient(volume, "LPI").array
        x, _, z = array.shape
        # a third below the top there are ventricles, and skull all around
        pictures[f"{name}_axial"] = array[:, :, z // 3].T.astype(np.float32)
        # beside the midline, where there is more than the falx
        pictures[f"{name}_sagittal"] = array[7 * x // 16].T.astype(np.float32)
    with writing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **pictures)
