"""The evidence behind an evaluation: spread over cases, agreement, and the images themselves."""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medgan.errors import ConfigError
from medgan.metrics.aggregates import counted
from medgan.metrics.tissues import AIR_BELOW_HU, BONE_ABOVE_HU
from medgan.report.agreement import (
    BLOCK_MM,
    RegionalMeans,
    by_tissue,
    limits_of_agreement,
    regional_means,
)
from medgan.report.evaluation import (
    FLOOR_NAMES,
    Document,
    case_table,
    case_values,
    heading,
    worst_first,
)
from medgan.report.figures import volume_panel
from medgan.report.html import Figure, Section, cell_text
from medgan.report.images import CaseImages
from medgan.report.niivue import NiiVue, niivue
from medgan.report.plots import agreement_plot, distribution_plot
from medgan.report.viewer import Viewer, ViewerCase, viewer_case

VIEWED_CASES = 3
"""Cases whose images go into a page, the worst ones; each adds up to 9 MB for a head."""

PLOTTED = (
    "mae", "mae_air", "mae_soft", "mae_bone", "psnr", "ssim", "ms_ssim", "correlation", "bone_dice",
    "dice", "hd95",
)  # fmt: skip
"""Measures whose distribution is drawn, where they were taken."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Shown:
    """What becomes of one case's images."""

    label: str
    figure: Figure
    viewed: ViewerCase
    agreement: Sequence[RegionalMeans]


def case_sections(
    document: Document,
    images: Sequence[CaseImages] = (),
    *,
    names: bool = True,
    name: str = "result",
    others: Mapping[str, Document] | None = None,
) -> list[Section]:
    """Sections on the single cases of an evaluation, worst first.

    Args:
        document: the evaluation, as ``medgan evaluate`` writes it.
        images: of some or all of its cases, in any order; the three worst of them are shown.
        names: show the cases' names; without, their numbers in the document.
        name: what the plots call the model that was evaluated.
        others: evaluations of other models on the same cases, by name, for the spread.

    Returns:
        The table of cases, the spread, and with images their agreement, the interactive viewer and
        pictures.
    """
    table = case_table(document, names=names, worst_by="mae")
    figures = [spread_figure({name: document, **(others or {})})]
    labelled = {
        case_label(document, position, names=names): case
        for position, case in _worst(document, images).items()
    }
    choice = ""
    if len(labelled) < (total := len(document["cases"])):
        choice = f"{len(labelled)} of {total} cases, those with the largest mean absolute error."
    return [
        Section("Cases", tables=[table], figures=figures),
        *image_sections({name: labelled}, document["unit"], choice),
    ]


def image_sections(
    images: Mapping[str, Mapping[str, CaseImages]], unit: str, choice: str
) -> list[Section]:
    """Agreement of the values, the interactive viewer and pictures.

    Args:
        images: by model, and by the label under which they are shown, in this order.
        unit: of the results.
        choice: how these cases were chosen; empty where they are all there are.
    """
    shown = {
        model: [_show(case, label) for label, case in cases.items()]
        for model, cases in images.items()
    }
    everything = [each for model in shown.values() for each in model]
    if not everything:
        return []
    return [*_agreement(unit, shown, choice), _images(everything, choice)]


def case_label(document: Document, position: int, *, names: bool) -> str:
    """Name, or number, and mean absolute error of a case.

    Args:
        document: the evaluation.
        position: of the case in it.
        names: show the name.
    """
    name = document["cases"][position]["case"] if names else f"Case {position + 1}"
    error = cell_text(case_values(document, "mae")[position])
    return f"{name}, MAE {error} {document['unit']}"


def spread_figure(documents: Mapping[str, Document]) -> Figure:
    """The spread over cases, measure by measure.

    Args:
        documents: evaluations of one definition by name; where only one of them has floors, these
            are shown as well.
    """
    first = next(iter(documents.values()))
    scored = dict(documents)
    floors = [each["floors"] for each in documents.values() if each.get("floors")]
    if len(floors) == 1:
        scored |= {FLOOR_NAMES.get(name, name): floor for name, floor in floors[0].items()}
    means = "; ".join(
        f"{name}: mean {heading('mae', first)} {cell_text(each['aggregates']['mae']['mean'])}"
        for name, each in scored.items()
    )
    return Figure(
        distribution_plot(scored, first, PLOTTED),
        f"Every case as a point, one plot a measure. {means}.",
        "Each point is a case; boxes, where there are five cases or more: quartiles and median.",
        plot=True,
    )


def _worst(document: Document, images: Sequence[CaseImages]) -> dict[int, CaseImages]:
    """The worst cases of which there are images, by position in the document."""
    by_name = {case.name: case for case in images}
    found = {
        position: by_name[name]
        for position in worst_first(document)
        if (name := document["cases"][position]["case"]) in by_name
    }
    return dict(list(found.items())[:VIEWED_CASES])


def _show(images: CaseImages, label: str) -> _Shown:
    body = images.body()
    agreement: Sequence[RegionalMeans] = ()
    if images.reference is not None:
        agreement = regional_means(images.result, images.reference, body)
    part = images.cropped(body)
    figure = Figure(
        volume_panel(part.source, part.result, part.reference, part.attention),
        f"{label}: {', '.join(_kinds(part))} in axial, sagittal and coronal slices.",
        f"{label}. The patient's right is on the left.",
    )
    return _Shown(label, figure, viewer_case(part, label), agreement)


def _kinds(images: CaseImages) -> list[str]:
    kinds = ["result"] if images.source is None else ["source", "result"]
    if images.reference is not None:
        kinds += ["reference", "error"]
    return kinds if images.attention is None else [*kinds, "attention"]


def _agreement(unit: str, shown: Mapping[str, Sequence[_Shown]], choice: str) -> list[Section]:
    figures = []
    for model, cases in shown.items():
        means = [each.agreement for each in cases if each.agreement]
        if means:
            title = f"{model}. " if len(shown) > 1 else ""
            figures.append(_agreement_figure(title, means, unit))
    if not figures:
        return []
    return [
        Section("Agreement of values (Bland-Altman)", [choice] if choice else [], figures=figures)
    ]


def _agreement_figure(title: str, means: Sequence[Sequence[RegionalMeans]], unit: str) -> Figure:
    tissues = by_tissue(means)
    blocks = ", ".join(
        f"{sum(len(each.result) for each in found)} of {tissue} in {counted(len(found), 'case')}"
        for tissue, found in tissues.items()
    )
    chosen = (
        ""
        if "body" in tissues
        else f" The reference decides the tissue of a voxel: air below {AIR_BELOW_HU:g} HU, bone "
        f"above {BONE_ABOVE_HU:g} HU, soft between."
    )
    return Figure(
        agreement_plot(means, unit),
        f"{title}Bland-Altman plots: result minus truth over the mean of both, one plot a tissue. "
        + "; ".join(_limits_text(tissue, found, unit) for tissue, found in tissues.items())
        + ".",
        f"{title}Small points: means over one tissue in blocks of {BLOCK_MM:g} mm ({blocks}); "
        "diamonds: over the whole case. Line: bias; dashed: 95 % limits of agreement of the small "
        f"points, which are not independent within a case.{chosen} All of it from the cases whose "
        "images follow.",
        plot=True,
    )


def _limits_text(tissue: str, means: Sequence[RegionalMeans], unit: str) -> str:
    limits = limits_of_agreement(means)
    text = f"{tissue}: bias {cell_text(limits.bias)} {unit}"
    if math.isnan(limits.low):
        return f"{text}, no limits from a single block"
    return f"{text}, limits {cell_text(limits.low)} to {cell_text(limits.high)} {unit}"


def _images(shown: Sequence[_Shown], choice: str) -> Section:
    paragraphs = [choice] if choice else []
    program = _program()
    if program is None:
        paragraphs.append("Without the package ipyniivue there is no interactive viewer.")
    return Section(
        "Images, worst case first",
        paragraphs,
        figures=[each.figure for each in shown],
        viewer=None if program is None else Viewer([each.viewed for each in shown], program),
    )


def _program() -> NiiVue | None:
    """The viewer; without it a report is poorer, but a training that took days has one."""
    try:
        return niivue()
    except ConfigError as error:
        _log.warning("the report has no interactive viewer: %s", error)
        return None
