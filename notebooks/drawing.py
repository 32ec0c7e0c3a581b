"""Slices as radiologists look at them: the patient's right on the left, and letters that say so."""

from dataclasses import dataclass
from typing import Literal

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from medgan.volumes import Volume
from medgan.volumes.geometry import reorient

Plane = Literal["axial", "coronal", "sagittal"]

_AXES = {"axial": (0, 1, 2), "coronal": (0, 2, 1), "sagittal": (1, 2, 0)}
"""Index of the RAS axis to the right, of that up, and of that through the slice."""
_LETTERS = {"axial": "RLAP", "coronal": "RLSI", "sagittal": "APSI"}
"""What lies left, right, up and down."""


@dataclass(frozen=True)
class Panel:
    """One picture.

    Attributes:
        volume: any orientation.
        title: above the picture.
        window: values shown as black and as white.
        unit: beside the colour bar; None: no colour bar.
        colours: a colour map of matplotlib.
        plane: of the slice.
        at_mm: where the slice lies along the axis through it, RAS; None: in the middle.
    """

    volume: Volume
    title: str
    window: tuple[float, float]
    unit: str | None = None
    colours: str = "gray"
    plane: Plane = "axial"
    at_mm: float | None = None


def draw(axes: Axes, panel: Panel) -> None:
    """Draw one slice; the ticks are RAS mm."""
    volume = reorient(panel.volume, "RAS")
    across, up, through = _AXES[panel.plane]
    origin, spacing = volume.affine[:3, 3], volume.spacing_mm
    if panel.at_mm is None:
        index = volume.shape[through] // 2
    else:
        index = round((panel.at_mm - origin[through]) / spacing[through])
    index = int(np.clip(index, 0, volume.shape[through] - 1))
    picture = np.take(volume.array, index, through).T  # rows run up, columns across
    edges = []
    for axis in (across, up):
        first = origin[axis] - spacing[axis] / 2
        edges += [first, first + spacing[axis] * volume.shape[axis]]
    image = axes.imshow(
        picture, origin="lower", extent=tuple(edges), cmap=panel.colours,
        vmin=panel.window[0], vmax=panel.window[1], interpolation="nearest",
    )  # fmt: skip
    # The patient's right, and in a sagittal slice the face, on the left.
    axes.invert_xaxis()
    places = ((0.02, 0.5), (0.98, 0.5), (0.5, 0.98), (0.5, 0.02))
    aligned = (("left", "center"), ("right", "center"), ("center", "top"), ("center", "bottom"))
    for letter, place, (across_as, up_as) in zip(
        _LETTERS[panel.plane], places, aligned, strict=True
    ):
        axes.text(
            *place, letter, transform=axes.transAxes, ha=across_as, va=up_as, color="gold",
            fontsize=9, fontweight="bold",
        )  # fmt: skip
    axes.set_title(panel.title, fontsize=9)
    axes.tick_params(labelsize=7)
    axes.set_xlabel("mm", fontsize=7)
    if panel.unit is not None:
        bar = axes.figure.colorbar(image, ax=axes, fraction=0.046, pad=0.03)
        bar.set_label(panel.unit, fontsize=8)
        bar.ax.tick_params(labelsize=7)


def draw_row(*panels: Panel, inches: float = 3.0) -> Figure:
    """Draw slices beside one another."""
    figure, axes = plt.subplots(
        1, len(panels), figsize=(inches * len(panels), inches * 1.15), squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for place, panel in zip(axes[0], panels, strict=True):
        draw(place, panel)
    return figure
