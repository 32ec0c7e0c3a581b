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
    """One case; float32, images (X, Y), or (X, Y, 3) in colours, in [-1, 1]; attention in [0, 1].

    Attributes:
        source: what was translated.
        result: what became of it.
        background: (X, Y), background attention.
    """

    source: NDArray[np.float32]
    result: NDArray[np.float32]
    background: NDArray[np.float32]

    @property
    def difference(self) -> NDArray[np.float32]:
        """(X, Y): result less source; of colours the mean, where one has them and one has not."""
        return _grey(self.result) - _grey(self.source)


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
            (case.difference, -1, 1, "RdBu_r"),
        )
        for axis, title, (picture, low, high, colours) in zip(line, COLUMNS, pictures, strict=True):
            # X to the right: rows of Y, and X flipped for radiological order
            rows_of_y = picture[::-1].swapaxes(0, 1)
            if picture.ndim == 3:
                # matplotlib takes colours from 0 to 1 only
                rows_of_y = ((rows_of_y + 1) / 2).clip(0, 1)
            axis.imshow(rows_of_y, origin="lower", vmin=low, vmax=high, cmap=colours)
            axis.set_axis_off()
            if row == 0:
                axis.set_title(title, fontsize=9)
    with writing(path) as temporary:
        FigureCanvasAgg(figure).print_png(str(temporary))


def _grey(image: NDArray[np.float32]) -> NDArray[np.float32]:
    return image if image.ndim == 2 else image.mean(axis=2)
