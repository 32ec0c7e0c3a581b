"""Pictures for a report, as PNG bytes."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from medgan.report.windows import BONE_HU, SOFT_TISSUE_HU, error_limit, mr_window
from medgan.volumes.geometry import reorient, require_same_grid
from medgan.volumes.volume import Volume

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

TILE_INCHES = 1.9
DOTS_PER_INCH = 110


@dataclass(frozen=True)
class Tile:
    """One picture of a panel.

    Attributes:
        name: heading.
        image: (rows, columns), first row on top.
        window: values shown darkest and brightest.
        cmap: name of a matplotlib colour map.
        aspect: height of a pixel over its width.
        bar: label of a colour bar; None for no bar.
    """

    name: str
    image: NDArray[Any]
    window: tuple[float, float]
    cmap: str = "gray"
    aspect: float = 1.0
    bar: str | None = None


def panel(rows: Sequence[Sequence[Tile]]) -> bytes:
    """Pictures in a grid.

    Args:
        rows: tiles from the top left; every row as long as the first.

    Returns:
        Bytes of a PNG file.
    """
    heights = [
        max(tile.image.shape[0] * tile.aspect / tile.image.shape[1] for tile in row) for row in rows
    ]
    columns = len(rows[0])
    canvas = empty_figure(TILE_INCHES * columns, TILE_INCHES * sum(heights) + 0.35 * len(rows))
    axes = canvas.subplots(
        len(rows), columns, squeeze=False, gridspec_kw={"height_ratios": heights}
    )
    for row, places in zip(rows, axes, strict=True):
        for tile, place in zip(row, places, strict=True):
            low, high = tile.window
            shown = place.imshow(
                tile.image, cmap=tile.cmap, vmin=low, vmax=high, aspect=tile.aspect
            )
            place.set_title(tile.name, fontsize=7)
            # Ticks that are only hidden would be measured all the same, half of the time spent.
            place.set(xticks=[], yticks=[])
            place.set_axis_off()
            if tile.bar is not None:
                bar = canvas.colorbar(shown, ax=place, fraction=0.046, pad=0.02)
                bar.set_label(tile.bar, fontsize=6)
                bar.ax.tick_params(labelsize=6)
    return png_bytes(canvas)


def volume_panel(
    source: Volume | None,
    result: Volume,
    reference: Volume | None = None,
    attention: Volume | NDArray[Any] | None = None,
    *,
    n_slices: int = 3,
) -> bytes:
    """Slices of a translated volume beside its source and, where known, the truth.

    One row a slice: ``n_slices`` axial ones, evenly spaced, the middle sagittal and the middle
    coronal one, in radiological order (the patient's right on the viewer's left, anterior on top
    or, in sagittal slices, on the left). CT is shown in a soft tissue and in a bone window; with a
    reference, an error map follows.

    Args:
        source: the image that was translated.
        result: what became of it, on the same grid.
        reference: the truth, on the same grid.
        attention: (X, Y, Z) in [0, 1], share of the input that was copied, on the same grid.
        n_slices: number of axial slices.

    Returns:
        Bytes of a PNG file.

    Raises:
        GeometryError: the grids differ.
    """
    columns = _columns(source, result, reference, attention)
    volumes = [column.volume for column in columns]
    shape, spacing = volumes[0].shape, volumes[0].spacing_mm
    levels = [round(shape[2] * (i + 1) / (n_slices + 1)) for i in reversed(range(n_slices))]
    cuts = [("axial", 2, min(k, shape[2] - 1)) for k in levels]
    cuts += [("sagittal", 0, shape[0] // 2), ("coronal", 1, shape[1] // 2)]
    rows = []
    for plane, axis, index in cuts:
        across, up = (size for i, size in enumerate(spacing) if i != axis)
        rows.append(
            [
                Tile(
                    f"{plane} {index + 1}: {column.name}",
                    display_slice(column.volume, axis, index),
                    column.window,
                    column.cmap,
                    up / across,
                    column.bar,
                )
                for column in columns
            ]
        )
    return panel(rows)


def display_slice(volume: Volume, axis: int, index: int) -> NDArray[Any]:
    """A slice as it is looked at: first row superior or anterior, first column right or anterior.

    Args:
        volume: axes along RAS.
        axis: 0 sagittal, 1 coronal, 2 axial.
        index: position along that axis.

    Returns:
        (rows, columns).
    """
    # Columns run towards -R or -A and rows towards -S or -A: both axes of the slice are reversed.
    shown: NDArray[Any] = np.take(volume.array, index, axis).T[::-1, ::-1]
    return shown


@dataclass(frozen=True)
class _Column:
    name: str
    volume: Volume
    window: tuple[float, float]
    cmap: str = "gray"
    bar: str | None = None


def _columns(
    source: Volume | None,
    result: Volume,
    reference: Volume | None,
    attention: Volume | NDArray[Any] | None,
) -> list[_Column]:
    for other in (source, reference):
        if other is not None:
            require_same_grid(other, result)
    columns = [] if source is None else _windowed("source", source, source)
    columns += _windowed("result", result, reference or result)
    if reference is not None:
        columns += _windowed("reference", reference, reference)
        columns.append(_error(result, reference))
    if attention is not None:
        values = attention.array if isinstance(attention, Volume) else attention
        columns.append(
            _Column(
                "attention",
                result.with_array(values),
                (0, 1),
                "viridis",
                "share of the input copied",
            )
        )
    return [_Column(c.name, reorient(c.volume, "RAS"), c.window, c.cmap, c.bar) for c in columns]


def _windowed(name: str, volume: Volume, scale: Volume) -> list[_Column]:
    """CT in its two windows; MR in one, that of ``scale`` so that result and truth compare."""
    if volume.modality == "CT":
        return [
            _Column(f"{name}, soft", volume, SOFT_TISSUE_HU),
            _Column(f"{name}, bone", volume, BONE_HU),
        ]
    return [_Column(name, volume, mr_window(scale))]


def _error(result: Volume, reference: Volume) -> _Column:
    difference = result.array.astype(np.float64) - reference.array
    limit = error_limit(reference)
    return _Column(
        "error", result.with_array(difference), (-limit, limit), "RdBu_r",
        f"result - reference, {result.unit}",
    )  # fmt: skip


def empty_figure(width: float, height: float) -> "Canvas":
    """An empty matplotlib figure.

    Args:
        width: in inches.
        height: in inches.
    """
    # Without pyplot: no global state, and no display is ever asked for.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=(width, height), dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(canvas)
    return canvas


def png_bytes(canvas: "Canvas") -> bytes:
    """A figure as bytes of a PNG file; the same figure is the same bytes."""
    buffer = io.BytesIO()
    # Matplotlib would write its own version into the file.
    canvas.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
