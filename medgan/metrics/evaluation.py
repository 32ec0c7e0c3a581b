"""Files and folders of predictions against their references: one document."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from medgan.errors import MedganError
from medgan.io import read_volume
from medgan.metrics.aggregates import STD_DDOF, aggregate, jsonable
from medgan.metrics.cases import CaseFiles, pair_cases
from medgan.metrics.comparison import compare_cases
from medgan.metrics.floors import floors
from medgan.metrics.pairs import PairResult, evaluate_pair, require_on_grid, resolve_mask
from medgan.metrics.protocols import protocol_named
from medgan.metrics.segmentation import LabelAgreement, compare_labels
from medgan.metrics.statistics import mean_interval

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CaseScores:
    """All that was measured of one case; what was not asked for is empty or None.

    Attributes:
        result: the prediction.
        floors: the trivial predictions, by name.
        labels: the segmentations.
        against: the other model's prediction.
    """

    result: PairResult
    floors: Mapping[str, PairResult] = field(default_factory=dict)
    labels: LabelAgreement | None = None
    against: PairResult | None = None

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
        ``std_ddof``, ``cases`` (a row each, with the definition repeated), ``aggregates`` and
        ``intervals`` (of the mean) by measure. With a source ``floors`` by name; with another
        model ``against``; each with its own ``cases``, ``aggregates`` and ``intervals``. With
        another model ``comparison`` by measure, too. Undefined values are null; infinity is the
        string "inf".

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
    return scores_document(scores)


def score_case(case: CaseFiles, protocol: str) -> CaseScores:
    """Read the files of one case and measure them; arguments and errors as ``evaluate``."""
    modality = protocol_named(protocol).modality
    truth = read_volume(case.reference, modality=modality)
    source = None if case.source is None else read_volume(case.source)
    given = None if case.mask is None else read_volume(case.mask, modality="LABEL")
    predicted = read_volume(case.prediction, modality=modality)
    # Before a mask is made: that takes seconds, and a wrong grid is the commonest mistake.
    require_on_grid(predicted, truth, "prediction")
    counted = resolve_mask(given, truth, source=source, protocol=protocol)
    result = evaluate_pair(predicted, truth, mask=counted, protocol=protocol)
    trivial = {} if source is None else floors(source, truth, counted, protocol)
    other = None
    if case.against is not None:
        volume = read_volume(case.against, modality=modality)
        with _naming("the other model's"):
            other = evaluate_pair(volume, truth, mask=counted, protocol=protocol)
    return CaseScores(result, trivial, _label_agreement(case), other)


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
    document: dict[str, Any] = {**first.result.definition(), "std_ddof": STD_DDOF}
    document |= _section(
        [{"case": name, **each.row()} for name, each in scores.items()],
        [each.values() for each in scores.values()],
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
        document["comparison"] = {measure: asdict(each) for measure, each in compared.items()}
    valid: dict[str, Any] = jsonable(document)
    return valid


def _plain_section(results: Mapping[str, PairResult]) -> dict[str, Any]:
    return _section(
        [{"case": name, **result.to_dict()} for name, result in results.items()],
        [dict(result.values) for result in results.values()],
    )


def _section(rows: list[dict[str, Any]], values: Sequence[dict[str, float]]) -> dict[str, Any]:
    summary = aggregate(values)
    return {
        "cases": rows,
        "aggregates": summary,
        "intervals": {
            measure: asdict(mean_interval([case.get(measure, float("nan")) for case in values]))
            for measure in summary
        },
    }


def _label_agreement(case: CaseFiles) -> LabelAgreement | None:
    if case.predicted_labels is None or case.reference_labels is None:
        return None
    return compare_labels(
        read_volume(case.predicted_labels, modality="LABEL"),
        read_volume(case.reference_labels, modality="LABEL"),
    )


@contextmanager
def _naming(where: str | None) -> Iterator[None]:
    """Say in the message of whatever goes wrong what it was about; None adds nothing."""
    try:
        yield
    except MedganError as error:
        if where is None:
            raise
        raise type(error)(str(error), where=where) from error
