"""A training on pictures as one page: distances both ways, and pictures to look at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medgan.report.figures import Tile, panel
from medgan.report.html import Figure, Report, Section
from medgan.report.sets import distance_report


@dataclass(frozen=True, eq=False)
class ShownPicture:
    """A picture and what became of it; float32 from 0 to 1, first row on top.

    Attributes:
        source: (C, rows, columns).
        result: (C', rows, columns).
        attention: (1, rows, columns), share of the source that was copied; None: no attention.
    """

    source: NDArray[np.float32]
    result: NDArray[np.float32]
    attention: NDArray[np.float32] | None


@dataclass(frozen=True, eq=False)
class PictureDirection:
    """One direction of a model of pictures.

    Attributes:
        name: for example "A to B".
        distances: the document of ``compare_sets``.
        shown: pictures to look at.
    """

    name: str
    distances: Mapping[str, Any]
    shown: Sequence[ShownPicture]


def picture_report(
    title: str, directions: Sequence[PictureDirection], provenance: Mapping[str, Any]
) -> Report:
    """The page.

    Args:
        title: of the page, without a user's path in it.
        directions: each a section.
        provenance: how to get these results again.
    """
    pages = [distance_report(direction.distances) for direction in directions]
    sections = [
        Section(
            direction.name,
            page.summary,
            tables=page.sections[0].tables,
            figures=[_pictures(direction), *page.sections[0].figures],
        )
        for direction, page in zip(directions, pages, strict=True)
    ]
    summary = [
        f"{direction.name}: {line}"
        for direction, page in zip(directions, pages, strict=True)
        for line in page.summary
    ]
    return Report(title, summary, sections, {**pages[0].provenance, **provenance})


def _pictures(direction: PictureDirection) -> Figure:
    rows = []
    for picture in direction.shown:
        row = [_tile("source", picture.source), _tile("result", picture.result)]
        if picture.attention is not None:
            row.append(Tile("copied", picture.attention[0], (0.0, 1.0), "magma", bar="share"))
        rows.append(row)
    return Figure(
        panel(rows),
        f"Test pictures translated from {direction.name}.",
        "Test pictures, evenly spread over the folder by name, none picked by hand.",
    )


def _tile(name: str, image: NDArray[np.float32]) -> Tile:
    upright = image[0] if len(image) == 1 else np.moveaxis(image, 0, -1)
    return Tile(name, upright.clip(0, 1), (0.0, 1.0))
