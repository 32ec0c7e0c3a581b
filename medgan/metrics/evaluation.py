"""Files and folders of predictions against their references: one document."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medgan.io import read_volume
from medgan.metrics.aggregates import STD_DDOF, aggregate, jsonable
from medgan.metrics.cases import pair_cases
from medgan.metrics.floors import floors
from medgan.metrics.pairs import PairResult, evaluate_pair, resolve_mask
from medgan.metrics.protocols import protocol_named

_log = logging.getLogger(__name__)


def evaluate(
    prediction: Path,
    reference: Path,
    *,
    mask: Path | None = None,
    source: Path | None = None,
    protocol: str = "synthrad2023",
) -> dict[str, Any]:
    """Quality of one predicted file, or of a folder of them, as a document ready for JSON.

    Args:
        prediction: a file, or a folder whose files pair with the reference's by name stem.
        reference: likewise.
        mask: likewise; by default the body mask of each reference.
        source: likewise, the images that were translated; adds the two trivial floors.
        protocol: see ``evaluate_pair``.

    Returns:
        ``protocol``, ``range``, ``unit``, ``mask_rule``, ``averaging``, ``std_ddof``, ``cases``
        (a row each, with the definition repeated), ``aggregates`` by measure and, with a source,
        ``floors`` by name, each with its own ``cases`` and ``aggregates``. Undefined values are
        null; infinity is the string "inf".

    Raises:
        FileError: a file is missing or unreadable.
        DataError: unmatched cases, or as ``evaluate_pair``.
        GeometryError: as ``evaluate_pair``.
    """
    modality = protocol_named(protocol).modality
    results: dict[str, PairResult] = {}
    floor_results: dict[str, dict[str, PairResult]] = {}
    cases = pair_cases(prediction, reference, mask, source)
    for number, case in enumerate(cases, 1):
        truth = read_volume(case.reference, modality=modality)
        given = None if case.mask is None else read_volume(case.mask, modality="LABEL")
        counted = resolve_mask(given, truth)
        predicted = read_volume(case.prediction, modality=modality)
        results[case.name] = evaluate_pair(predicted, truth, mask=counted, protocol=protocol)
        if case.source is not None:
            fitted = floors(read_volume(case.source), truth, counted, protocol)
            for name, floor in fitted.items():
                floor_results.setdefault(name, {})[case.name] = floor
        _log.info("evaluated case %d of %d", number, len(cases))
    return evaluation_document(results, floor_results)


def evaluation_document(
    results: Mapping[str, PairResult], floor_results: Mapping[str, Mapping[str, PairResult]]
) -> dict[str, Any]:
    """Results by case, and floors by name and case, as ``evaluate`` returns them."""
    document: dict[str, Any] = next(iter(results.values())).definition()
    document |= {"std_ddof": STD_DDOF, **_rows(results)}
    if floor_results:
        document["floors"] = {name: _rows(rows) for name, rows in floor_results.items()}
    valid: dict[str, Any] = jsonable(document)
    return valid


def _rows(results: Mapping[str, PairResult]) -> dict[str, Any]:
    return {
        "cases": [{"case": name, **result.to_dict()} for name, result in results.items()],
        "aggregates": aggregate([result.values for result in results.values()]),
    }
