"""Cases summed up, and numbers made fit for JSON."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

STD_DDOF = 1
"""Delta degrees of freedom of every standard deviation: that of a sample of patients."""


def aggregate(cases: Sequence[Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Summary of each measure over the cases.

    Cases in which a measure is undefined (NaN: no bone, a constant image) are left out of it, as
    ``count`` shows.

    Args:
        cases: values by measure, one mapping a case.

    Returns:
        By measure: ``mean``, ``std`` (ddof 1; NaN for fewer than two cases or infinite values),
        ``min``, ``25pc``, ``50pc``, ``75pc`` (linear interpolation), ``max``, ``count``.
    """
    measures = dict.fromkeys(name for case in cases for name in case)
    return {name: _summary([case[name] for case in cases if name in case]) for name in measures}


def _summary(values: Sequence[float]) -> dict[str, float]:
    defined = sorted(value for value in values if not math.isnan(value))
    count = len(defined)
    mean = math.fsum(defined) / count if count else math.nan
    variance = (
        math.fsum((value - mean) ** 2 for value in defined) / (count - STD_DDOF)
        if count > STD_DDOF and math.isfinite(mean)
        else math.nan
    )
    return {
        "mean": mean,
        "std": math.sqrt(variance),
        "min": _quantile(defined, 0.0),
        "25pc": _quantile(defined, 0.25),
        "50pc": _quantile(defined, 0.5),
        "75pc": _quantile(defined, 0.75),
        "max": _quantile(defined, 1.0),
        "count": count,
    }


def _quantile(ordered: Sequence[float], share: float) -> float:
    """Linear interpolation that, unlike NumPy's, keeps the infinite PSNR of identical images."""
    if not ordered:
        return math.nan
    position = share * (len(ordered) - 1)
    low, high = ordered[math.floor(position)], ordered[math.ceil(position)]
    fraction = position - math.floor(position)
    return low if low == high or fraction == 0 else low + fraction * (high - low)


def counted(count: int, noun: str) -> str:
    """A number and what it counts: "1 case", "2 cases"; nouns with a plain s alone."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def jsonable(value: Any) -> Any:
    """The same document with every number valid in JSON.

    NaN (undefined) becomes null and the infinities the strings "inf" and "-inf", which ``float``
    reads back; JSON itself has neither.
    """
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value
