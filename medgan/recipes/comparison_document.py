"""What a comparison of methods has measured so far."""

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medgan.metrics.aggregates import jsonable
from medgan.metrics.statistics import Interval, difference_interval, mean_interval
from medgan.recipes.comparison_config import ComparisonConfig, Variant, variants
from medgan.recipes.comparison_plan import Run

FLOORS = ("constant", "lookup_table")

Case = Mapping[str, Any]
Result = Mapping[str, Any]


@dataclass(frozen=True)
class Failure:
    """A training that could not be brought to its end.

    Attributes:
        run: which one.
        reason: the message of its error.
    """

    run: Run
    reason: str


def document(
    config: ComparisonConfig, planned: Sequence[Run], failures: Sequence[Failure] = ()
) -> dict[str, Any]:
    """All results that there are.

    Args:
        config: the comparison.
        planned: its trainings; those without a result are left out.
        failures: what to say of those that failed.

    Returns:
        ``rows``, one for each variant: ``member``, ``label``, ``anchored``, ``seeds``, ``steps``,
        ``values`` (by measure the mean over cases with a 95 % interval), ``difference`` (from the
        reference's MAE, by seed and case, and its ``share`` of that; null for the reference
        itself), ``cost``. ``floors``: the same values of the trivial results. ``definition``:
        protocol, range and mask of all of them. ``trainings``: how many are ``planned`` and
        ``finished``. ``failures``: ``member``, ``anchored``, ``seed``, ``reason``.
    """
    found = {variant: _results(planned, variant) for variant in variants(config)}
    reference = next(results for variant, results in found.items()
                     if variant.name == config.reference)  # fmt: skip
    # every one has the same floors of the same heads
    some = max(found.values(), key=len)
    rows = [
        _row(variant, results, None if results is reference else reference, _cost(planned, variant))
        for variant, results in found.items()
        if results
    ]
    return jsonable(
        {
            "name": config.name,
            "reference": config.reference,
            "definition": some[0]["definition"] if some else {},
            "trainings": {
                "planned": len(planned),
                "finished": sum(len(results) for results in found.values()),
            },
            "rows": rows,
            "floors": {
                floor: _values([result["floors"][floor] for result in some]) for floor in FLOORS
            },
            "failures": [
                {
                    "member": failure.run.variant.member.name,
                    "anchored": failure.run.variant.anchored,
                    "seed": failure.run.seed,
                    "reason": failure.reason,
                }
                for failure in failures
            ],
        }
    )


def _results(planned: Sequence[Run], variant: Variant) -> list[Result]:
    """Of a variant's seeds that have ended."""
    files = [run.result for run in planned if run.variant == variant]
    return [json.loads(file.read_text(encoding="utf-8")) for file in files if file.exists()]


def _cost(planned: Sequence[Run], variant: Variant) -> Mapping[str, float] | None:
    files = [run.cost for run in planned if run.variant == variant]
    return next((json.loads(f.read_text(encoding="utf-8")) for f in files if f.exists()), None)


def _row(
    variant: Variant,
    results: Sequence[Result],
    reference: Sequence[Result] | None,
    cost: Mapping[str, float] | None,
) -> dict[str, Any]:
    return {
        "member": variant.member.name,
        "label": variant.member.label,
        "anchored": variant.anchored,
        "seeds": [result["seed"] for result in results],
        "steps": sorted({result["steps"] for result in results}),
        "values": _values([result["cases"] for result in results]),
        "difference": None if reference is None else _difference(_maes(results), _maes(reference)),
        "cost": cost,
    }


def _values(cases_of_seeds: Sequence[Sequence[Case]]) -> dict[str, dict[str, Any]]:
    cases = [case for cases in cases_of_seeds for case in cases]
    measures = [name for name in cases[0] if name != "case"] if cases else []
    return {name: _value([_number(case[name]) for case in cases]) for name in measures}


def _value(numbers: Sequence[float]) -> dict[str, Any]:
    known = [number for number in numbers if not math.isnan(number)]
    mean = statistics.fmean(known) if known else math.nan
    return {"mean": mean, **_bounds(mean_interval(known)), "n": len(known)}


def _bounds(interval: Interval) -> dict[str, float]:
    return {"low": interval.low, "high": interval.high}


def _number(value: Any) -> float:
    """Of a JSON value: undefined is null, infinity a word."""
    return math.nan if value is None else float(value)


def _maes(results: Sequence[Result]) -> dict[tuple[int, str], float]:
    """By seed and case."""
    return {(result["seed"], case["case"]): float(case["mae"])
            for result in results for case in result["cases"]}  # fmt: skip


def _difference(
    own: Mapping[tuple[int, str], float], reference: Mapping[tuple[int, str], float]
) -> dict[str, float] | None:
    shared = [case for case in own if case in reference]
    if not shared:
        return None
    differences = [own[case] - reference[case] for case in shared]
    mean = statistics.fmean(differences)
    share = mean / statistics.fmean(reference[case] for case in shared)
    return {"mean": mean, **_bounds(difference_interval(differences)), "share": share}
