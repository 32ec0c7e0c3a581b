"""A picture of how time and memory grow."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from medgan.report.figures import empty_figure, png_bytes
from medgan.report.plots import COLOURS

_ROWS = {"seconds": "seconds", "peak_memory_mb": "peak memory [MB]"}


def growth_plot(curves: Sequence[Mapping[str, Any]]) -> bytes:
    """One column a curve, both axes logarithmic: seconds above, memory below, each with its fit.

    Args:
        curves: ``of``, ``work``, ``points`` (``amount``, ``seconds``, ``peak_memory_mb``) and, for
            seconds and memory each, a fit (``factor``, ``exponent``).

    Returns:
        Bytes of a PNG file.
    """
    canvas = empty_figure(2.8 * len(curves), 5.0)
    places = canvas.subplots(2, len(curves), squeeze=False)
    for curve, column in zip(curves, places.T, strict=True):
        for (name, label), place, colour in zip(_ROWS.items(), column, COLOURS, strict=False):
            _draw(place, curve, name, colour)
            place.set_ylabel(label, fontsize=8)
    return png_bytes(canvas)


def _draw(place: Any, curve: Mapping[str, Any], name: str, colour: str) -> None:
    amounts = np.array([point["amount"] for point in curve["points"]], float)
    values = np.array([point[name] for point in curve["points"]])
    fit = curve[name]
    place.plot(amounts, values, "o", color=colour)
    place.plot(amounts, fit["factor"] * amounts ** fit["exponent"], color=colour, linewidth=1)
    place.set(xscale="log", yscale="log")
    place.set_xticks(amounts, [f"{amount:g}" for amount in amounts])
    place.set_xticks([], minor=True)
    # at least as many decades as the amounts span, so that growth in proportion looks steep
    # and what hardly grows looks flat
    missing = max(1.0, amounts[-1] / amounts[0] / (values.max() / values.min())) ** 0.5
    place.set_ylim(values.min() / missing / 1.2, values.max() * missing * 1.2)
    place.set_title(f"{curve['work']}: exponent {fit['exponent']:.2f}", fontsize=8)
    place.set_xlabel(curve["of"], fontsize=8)
    place.tick_params(labelsize=7, which="both")
    place.grid(alpha=0.3)
