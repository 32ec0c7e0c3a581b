"""Contact sheets of fixed cases."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medgan.io.files import writing

COLUMNS = ("source", "result", "background attention", "difference")


@dataclass(frozen=True)
class PreviewRow:
    """One case; arrays (X, Y) float32, images in [-1, 1], attention in [0, 1]."""

    source: NDArray[np.float32]
    result: NDArray[np.float32]
    background: NDArray[np.float32]


def write_preview(path: Path, rows: Sequence[PreviewRow]) -> None:
    """Write a contact sheet, a row a case, patient's anterior up and right side on the left."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2 * len(COLUMNS), 2 * len(rows) + 0.3), layout="constrained")
    axes = figure.subplots(len(rows), len(COLUMNS), squeeze=False)
    for row, (line, case) in enumerate(zip(axes, rows, strict=True)):
        pictures = (
            (case.source, -1, 1, "gray"),
            (case.result, -1, 1, "gray"),
            (case.background, 0, 1, "magma"),
            (case.result - case.source, -1, 1, "RdBu_r"),
        )
        for axis, title, (picture, low, high, colours) in zip(line, COLUMNS, pictures, strict=True):
            # (X, Y) with X to the right: transpose to rows of Y, flip X for radiological order
            axis.imshow(picture[::-1].T, origin="lower", vmin=low, vmax=high, cmap=colours)
            axis.set_axis_off()
            if row == 0:
                axis.set_title(title, fontsize=9)
    with writing(path) as temporary:
        FigureCanvasAgg(figure).print_png(str(temporary))
