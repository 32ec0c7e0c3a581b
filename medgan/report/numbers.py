"""Figures of nodule detection as text."""

from collections.abc import Sequence


def interval_text(value: float | None, bounds: Sequence[float | None] | None) -> str:
    """A figure and, where it is known, its interval; "-" where there is no figure."""
    if value is None:
        return "-"
    if bounds is None or None in bounds:
        return f"{value:.3f}"
    return f"{value:.3f} [{bounds[0]:.3f}, {bounds[1]:.3f}]"


def rate_text(fppi: float) -> str:
    """A rate of false positives a scan, as it is published."""
    return f"{fppi:g}" if fppi >= 1 else f"1/{1 / fppi:g}"
