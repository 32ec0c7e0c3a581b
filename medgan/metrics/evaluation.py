"""Files and folders of predictions against their references: one document."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from medgan.errors import MedganError
from medgan.io import read_volume
from medgan.io.values import CT_BELOW
from medgan.metrics.aggregates import STD_DDOF, aggregate, counted, jsonable
from medgan.metrics.cases import CaseFiles, pair_cases
from medgan.metrics.comparison import compare_cases
from medgan.metrics.floors import floors
from medgan.metrics.mask_rules import EvaluationMask
from medgan.metrics.pairs import PairResult, evaluate_pair, require_on_grid, resolve_mask
from medgan.metrics.protocols import protocol_named
from medgan.metrics.segmentation import LabelAgreement, compare_labels
from medgan.metrics.statistics import mean_interval
from medgan.volumes.volume import Volume

_log = logging.getLogger(__name__)

MIN_SPAN_HU = 100.0
"""A CT that spans less holds neither air beside tissue nor bone: mostly it is not in HU."""

MIN_MASK_VOXELS = 1000
"""Fewer voxels, a cube of 10, are no patient; a few of them decide every measure."""

LABEL_MEASURES = ("dice", "hd95", "missed_classes", "spurious_classes", "classes")
LABEL_DEFINITION = {
    "protocol": "label maps",
    "range": None,
    "unit": "1; hd95: mm; classes: a number",
    "mask_rule": "none: whole label maps",
    "averaging": "classes of the reference, then mean over volumes; hd95: classes found",
}
"""In the place of an image protocol's, for what is measured in segmentations."""


@dataclass(frozen=True)
class CaseScores:
    """All that was measured of one case; what was not asked for is empty or None.

    Attributes:
        result: the prediction.
        floors: the trivial predictions, by name.
        labels: the segmentations.
        against: the other model's prediction.
        warnings: what makes the numbers doubtful, see ``doubts``.
    """

    result: PairResult
    floors: Mapping[str, PairResult] = field(default_factory=dict)
    labels: LabelAgreement | None = None
    against: PairResult | None = None
    warnings: Sequence[str] = ()

    def values(self) -> dict[str, float]:
        """Every number of the prediction by measure."""
        return {**self.result.values, **(self.labels.values if self.labels else {})}

    def row(self) -> dict[str, Any]:
        """The same beside what defines it, and every class of the segmentations."""
        return {**self.result.to_dict(), **(self.labels.to_dict() if self.labels else {})}


def evaluate(
    prediction: Path,
    reference: Path,
    *,
    mask: Path | None = None,
    source: Path | None = None,
    protocol: str = "synthrad2023",
    labels: tuple[Path, Path] | None = None,
    against: Path | None = None,
) -> dict[str, Any]:
    """Quality of one predicted file, or of a folder of them, as a document ready for JSON.

    Args:
        prediction: a file, or a folder whose files pair with the reference's by name stem.
        reference: likewise.
        mask: likewise; by default the protocol's own rule makes one for each case.
        source: likewise, the images that were translated; adds the two trivial floors.
        protocol: see ``evaluate_pair``.
        labels: likewise, segmentations of the predictions and of the references; adds Dice and
            HD95.
        against: likewise, predictions of another model; adds the paired comparison.

    Returns:
        ``protocol``, ``range``, ``psnr_peak``, ``unit``, ``mask_rule``, ``averaging``,
        ``std_ddof``, ``warnings``, ``cases``, ``aggregates`` and ``intervals`` (of the mean) by
        measure. With a source ``floors`` by name; with another model ``against``; each with its own
        ``cases``, ``aggregates`` and ``intervals``. With another model ``comparison`` by measure,
        too. Every row repeats the definition, and has its number of cases. Undefined values are
        null; infinity is the string "inf".

    Raises:
        FileError: a file is missing or unreadable.
        DataError: unmatched cases, or as ``evaluate_pair``; the message names the case.
        GeometryError: as ``evaluate_pair``.
    """
    protocol_named(protocol)
    cases = pair_cases(prediction, reference, mask, source, against=against, labels=labels)
    scores: dict[str, CaseScores] = {}
    for number, case in enumerate(cases, 1):
        with _naming(f"case {case.name}" if reference.is_dir() else None):
            scores[case.name] = score_case(case, protocol)
        _log.info("evaluated case %d of %d", number, len(cases))
    document = scores_document(scores)
    for warning in document["warnings"]:
        _log.warning("%s", warning)
    return document


def score_case(case: CaseFiles, protocol: str) -> CaseScores:
    """Read the files of one case and measure them; arguments and errors as ``evaluate``."""
    modality = protocol_named(protocol).modality
    truth = read_volume(case.reference, modality=modality)
    source = None if case.source is None else read_volume(case.source)
    given = None if case.mask is None else read_volume(case.mask, modality="LABEL")
    predicted = read_volume(case.prediction, modality=modality)
    # Before a mask is made: that takes seconds, and a wrong grid is the commonest mistake.
    require_on_grid(predicted, truth, "prediction")
    with _naming(None if case.mask is None else case.mask.name):
        region = resolve_mask(given, truth, source=source, protocol=protocol)
    result = evaluate_pair(predicted, truth, mask=region, protocol=protocol)
    images = {"prediction": predicted, "reference": truth}
    trivial = {} if source is None else floors(source, truth, region, protocol)
    other = None
    if case.against is not None:
        volume = read_volume(case.against, modality=modality)
        with _naming("the other model's"):
            other = evaluate_pair(volume, truth, mask=region, protocol=protocol)
        images["other model's prediction"] = volume
    return CaseScores(result, trivial, _label_agreement(case), other, doubts(images, region))


def doubts(images: Mapping[str, Volume], mask: EvaluationMask) -> list[str]:
    """What makes the numbers of one case doubtful: values that cannot be right, a tiny mask.

    Args:
        images: what was measured, by name; (X, Y, Z), CT in HU, finite.
        mask: the voxels that counted.

    Returns:
        A clause each; none where nothing is odd.
    """
    found = []
    for name, image in images.items():
        low, high = float(image.array.min()), float(image.array.max())
        if low == high:
            found.append(f"the {name} is constant ({low:g})")
        elif image.modality == "CT" and high - low < MIN_SPAN_HU:
            found.append(
                f"the {name} spans {high - low:.3g} HU, from {low:.4g} to {high:.4g}: less than "
                f"{MIN_SPAN_HU:g} HU is no CT of a patient; is it in HU?"
            )
        elif image.modality == "MR" and low < CT_BELOW:
            found.append(f"the {name} reaches down to {low:.4g}: that is CT, measured as MR")
    voxels = int(mask.voxels.sum())
    if voxels < MIN_MASK_VOXELS:
        found.append(f"the mask has {counted(voxels, 'voxel')}, fewer than {MIN_MASK_VOXELS}")
    return found


def evaluation_document(
    results: Mapping[str, PairResult], floor_results: Mapping[str, Mapping[str, PairResult]]
) -> dict[str, Any]:
    """Results by case, and floors by name and case, as ``evaluate`` returns them."""
    return scores_document(
        {
            name: CaseScores(result, {floor: rows[name] for floor, rows in floor_results.items()})
            for name, result in results.items()
        }
    )


def scores_document(scores: Mapping[str, CaseScores]) -> dict[str, Any]:
    """What was measured, by case, as ``evaluate`` returns it."""
    first = next(iter(scores.values()))
    definition = _row_definition(first.result)
    document: dict[str, Any] = {
        **first.result.definition(),
        "std_ddof": STD_DDOF,
        # By number: a file name may tell who the patient is, and warnings go to logs and servers.
        "warnings": [
            f"case {number}: {text}"
            for number, each in enumerate(scores.values(), 1)
            for text in each.warnings
        ],
    }
    document |= _section(
        [{"case": name, **each.row()} for name, each in scores.items()],
        [each.values() for each in scores.values()],
        definition,
    )
    if first.floors:
        document["floors"] = {
            floor: _plain_section({name: each.floors[floor] for name, each in scores.items()})
            for floor in first.floors
        }
    others = {name: each.against for name, each in scores.items() if each.against}
    if others:
        document["against"] = _plain_section(others)
        compared = compare_cases(
            [each.values() for each in scores.values()],
            [other.values for other in others.values()],
        )
        document["comparison"] = {
            measure: {**asdict(each), **definition} for measure, each in compared.items()
        }
    valid: dict[str, Any] = jsonable(document)
    return valid


def _plain_section(results: Mapping[str, PairResult]) -> dict[str, Any]:
    return _section(
        [{"case": name, **result.to_dict()} for name, result in results.items()],
        [dict(result.values) for result in results.values()],
        _row_definition(next(iter(results.values()))),
    )


def _row_definition(result: PairResult) -> dict[str, Any]:
    """What a summary over cases repeats in every row; the peak follows from the protocol."""
    definition = result.definition()
    return {name: definition[name] for name in LABEL_DEFINITION}


def _section(
    rows: list[dict[str, Any]], values: Sequence[dict[str, float]], definition: dict[str, Any]
) -> dict[str, Any]:
    summary = aggregate(values)
    intervals = {
        measure: mean_interval([case.get(measure, float("nan")) for case in values])
        for measure in summary
    }
    definitions = {
        measure: LABEL_DEFINITION if measure in LABEL_MEASURES else definition
        for measure in summary
    }
    return {
        "cases": rows,
        "aggregates": {name: {**each, **definitions[name]} for name, each in summary.items()},
        "intervals": {
            name: {**asdict(each), **definitions[name]} for name, each in intervals.items()
        },
    }


def _label_agreement(case: CaseFiles) -> LabelAgreement | None:
    if case.predicted_labels is None or case.reference_labels is None:
        return None
    predicted = read_volume(case.predicted_labels, modality="LABEL")
    truth = read_volume(case.reference_labels, modality="LABEL")
    with _naming(f"labels {case.predicted_labels.name} and {case.reference_labels.name}"):
        return compare_labels(predicted, truth)


@contextmanager
def _naming(where: str | None) -> Iterator[None]:
    """Say in the message of whatever goes wrong what it was about; None adds nothing."""
    try:
        yield
    except MedganError as error:
        if where is None:
            raise
        raise type(error)(str(error), where=where) from error
