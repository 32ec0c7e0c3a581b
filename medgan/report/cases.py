"""The evidence behind an evaluation: spread over cases, agreement, and the images themselves."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medgan.errors import ConfigError
from medgan.report.agreement import RegionalMeans, regional_means
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
    document: Document, images: Sequence[CaseImages] = (), *, names: bool = True
) -> list[Section]:
    """Sections on the single cases of an evaluation, worst first.

    Args:
        document: the evaluation, as ``medgan evaluate`` writes it.
        images: of some or all of its cases, in any order; the three worst of them are shown.
        names: show the cases' names; without, their numbers in the document.

    Returns:
        The table of cases, the spread, and with images their agreement, the interactive viewer and
        pictures.
    """
    table = case_table(document, names=names, worst_by="mae")
    figures = [spread_figure({"result": document})]
    labelled = {
        case_label(document, position, names=names): case
        for position, case in _worst(document, images).items()
    }
    choice = ""
    if len(labelled) < (total := len(document["cases"])):
        choice = f"{len(labelled)} of {total} cases, those with the largest mean absolute error."
    return [
        Section("Cases", tables=[table], figures=figures),
        *image_sections(labelled, document["unit"], choice),
    ]


def image_sections(images: Mapping[str, CaseImages], unit: str, choice: str) -> list[Section]:
    """Agreement of the values, the interactive viewer and pictures.

    Args:
        images: by the label under which they are shown, in this order.
        unit: of the results.
        choice: how these cases were chosen; empty where they are all there are.
    """
    if not images:
        return []
    shown = [_show(case, label) for label, case in images.items()]
    return [*_agreement(unit, shown), _images(shown, choice)]


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
        documents: evaluations of one definition by name; a single one is shown with its floors.
    """
    first = next(iter(documents.values()))
    scored = dict(documents)
    if len(documents) == 1:
        scored |= {FLOOR_NAMES.get(name, name): floor
                   for name, floor in first.get("floors", {}).items()}  # fmt: skip
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


def _agreement(unit: str, shown: Sequence[_Shown]) -> list[Section]:
    means = [each.agreement for each in shown if each.agreement]
    if not means:
        return []
    figure = Figure(
        agreement_plot(means, unit),
        "Bland-Altman plots: result minus truth over the mean of both, one plot a tissue, with "
        "the bias and the 95 % limits of agreement.",
        "Small points: means over one tissue in blocks of 16 mm; diamonds: over the whole case. "
        "Line: bias; dashed: 95 % limits of agreement of the small points, which are not "
        "independent within a case. All of it from the cases whose images follow.",
        plot=True,
    )
    return [Section("Agreement of values (Bland-Altman)", figures=[figure])]


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
