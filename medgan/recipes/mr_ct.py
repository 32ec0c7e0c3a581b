"""Train a translator between MR and CT, and measure it on pairs it has never seen."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medgan.config import PairConfig, TrainConfig
from medgan.inference.translator import Translator
from medgan.io import write_volume
from medgan.io.files import write_json
from medgan.metrics.evaluation import evaluation_document
from medgan.metrics.floors import floors
from medgan.metrics.pairs import EvaluationMask, PairResult, evaluate_pair
from medgan.models.model_file import Direction
from medgan.recipes.runs import mirror, train_or_resume
from medgan.recipes.scans import read_pair
from medgan.recipes.training import OnStep
from medgan.report.cases import case_sections
from medgan.report.html import Report, Section, Table, write_report
from medgan.report.images import CaseImages
from medgan.volumes import Volume
from medgan.volumes.masks import body_mask

PROTOCOLS: dict[str, str] = {"CT": "synthrad2023", "MR": "mr-normalised"}
MASK_RULE = "body masks of source and reference, both"
UNIT_PERCENTILES = (0.5, 99.5)
RESULT, CONSTANT, LOOKUP = "medgan", "constant", "lookup_table"
COLUMNS: dict[str, Mapping[str, str]] = {
    "CT": {
        "bone_dice": "bone Dice", "correlation": "correlation", "mae": "MAE (HU)",
        "mae_air": "air", "mae_soft": "soft", "mae_bone": "bone", "psnr": "PSNR (dB)",
        "ssim": "SSIM",
    },
    "MR": {"ssim": "SSIM", "correlation": "correlation", "mae": "MAE"},
}  # fmt: skip

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CaseResult:
    """One pair: the prediction and the scores of it and of the floors."""

    name: str
    source: Volume
    prediction: Volume
    reference: Volume
    attention: Volume | None
    scores: Mapping[str, PairResult]


def run(
    config: TrainConfig,
    out: Path,
    direction: Direction = "forward",
    on_step: OnStep | None = None,
) -> list[CaseResult]:
    """Train (or finish training), translate the evaluation pairs, measure, report.

    Args:
        config: the training; its ``evaluation`` pairs are never trained on.
        out: run folder; one that exists is resumed, one that has ended is only evaluated.
        direction: which of the two generators is measured.
        on_step: called after every logged step.

    Returns:
        The cases, in the configuration's order; also in ``out`` as ``evaluation.json`` (or
        ``evaluation_backward.json``), ``predictions/``, ``attention/`` and ``report.html``.
    """
    train_or_resume(config, out, on_step)
    translator = Translator.load(out, direction)
    cases = [evaluate_case(translator, *_read(config, pair, translator), pair.name)
             for pair in config.evaluation]  # fmt: skip
    write_cases(out, cases, direction)
    mirror(config, out)
    return cases


def evaluate_case(
    translator: Translator, source: Volume, reference: Volume, name: str
) -> CaseResult:
    """Translate one source; score it and the floors where source and reference have body."""
    result = translator(source, details=True)
    return score_case(name, source, result.image, reference, result.attention)


def score_case(
    name: str, source: Volume, image: Volume, reference: Volume, attention: Volume | None = None
) -> CaseResult:
    """Score a synthetic image, and the floors, where source and reference have body.

    Args:
        name: of the case.
        source: what was translated.
        image: the result, on the source's grid.
        reference: the truth, on the same grid.
        attention: background attention, for the report.
    """
    mask = EvaluationMask(body_mask(source) & body_mask(reference), MASK_RULE)
    protocol = PROTOCOLS[reference.modality]
    if image.modality == "MR":
        image = in_unit_of(image, reference, mask.voxels)
    scores = {RESULT: evaluate_pair(image, reference, mask=mask, protocol=protocol)}
    scores |= floors(source, reference, mask, protocol)
    return CaseResult(name, source, image, reference, attention, scores)


def in_unit_of(image: Volume, reference: Volume, mask: NDArray[np.bool_]) -> Volume:
    """A synthetic MR in the unit of a reference, which no network can know.

    Two numbers are fitted: the 0.5 and 99.5 percentiles inside the mask become the reference's.

    Args:
        image: MR.
        reference: MR on the same grid.
        mask: (X, Y, Z) bool.
    """
    low, high = np.percentile(image.array[mask], UNIT_PERCENTILES)
    low_wanted, high_wanted = np.percentile(reference.array[mask], UNIT_PERCENTILES)
    gain = (high_wanted - low_wanted) / max(high - low, np.finfo(np.float32).tiny)
    return image.with_array(
        np.where(mask, (image.array - low) * gain + low_wanted, 0).astype(np.float32)
    )


def _read(config: TrainConfig, pair: PairConfig, translator: Translator) -> tuple[Volume, Volume]:
    """A pair's source and reference for the translator's direction."""
    ends = read_pair(config, pair)
    return ends[translator.source], ends[translator.target]


def document(cases: Sequence[CaseResult]) -> dict[str, Any]:
    """The scores in the form of ``medgan evaluate``, floors beside results."""
    scores = {
        method: {case.name: case.scores[method] for case in cases}
        for method in (RESULT, CONSTANT, LOOKUP)
    }
    return evaluation_document(scores.pop(RESULT), scores)


def table(cases: Sequence[CaseResult]) -> Table:
    """The scores as a table, floors below each result."""
    columns = COLUMNS[cases[0].reference.modality]
    labels = {RESULT: "medgan", CONSTANT: "floor: best constant", LOOKUP: "floor: look-up table"}
    first = cases[0].scores[RESULT]
    return Table(
        caption=f"{first.protocol}; range {first.limits}; {first.mask_rule}; mean over voxels of "
        f"each case; n = {len(cases)}. The floors are fitted on the pair itself.",
        columns=["case", "method", *columns.values()],
        rows=[
            [case.name, label, *(case.scores[key].values.get(m, float("nan")) for m in columns)]
            for case in cases
            for key, label in labels.items()
        ],
    )


def write_cases(out: Path, cases: Sequence[CaseResult], direction: Direction) -> None:
    """Write predictions, attention, ``evaluation.json`` and ``report.html`` into a run folder."""
    suffix = "" if direction == "forward" else "_backward"
    for case in cases:
        volumes = {"predictions": case.prediction, "attention": case.attention}
        for kind, volume in volumes.items():
            if volume is not None:
                (out / kind).mkdir(exist_ok=True)
                write_volume(volume, out / kind / f"{case.name}{suffix}.nii.gz")
    if not cases:
        return
    write_json(out / f"evaluation{suffix}.json", document(cases))
    write_case_report(out / f"report{suffix}.html", cases, out.name)


def write_case_report(path: Path, cases: Sequence[CaseResult], title: str) -> None:
    """Write tables, plots and images of the cases as one HTML file."""
    images = [
        CaseImages(case.name, case.prediction, case.source, case.reference, case.attention)
        for case in cases
    ]
    source, target = cases[0].source.modality, cases[0].reference.modality
    quality = Section("Quality", tables=[table(cases)])
    report = Report(
        title=f"{source} to {target}: {title}",
        summary=[f"{len(cases)} cases that took no part in training."],
        sections=[quality, *case_sections(document(cases), images)],
    )
    write_report(path, report)
