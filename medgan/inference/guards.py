"""What warns that a source is unlike the training data, or that a result cannot be right."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from medgan.data.contrasts import least_agreement, likely_order
from medgan.data.preparation import Prepared
from medgan.data.statistics import DomainStatistics, Range, ScanFigures, distance
from medgan.errors import DataError
from medgan.inference.figures import ResultFigures
from medgan.volumes import Modality

Severity = Literal["warning", "error"]

SPACING_FACTOR = 2.01
"""Voxels this many times coarser than all in training, and than the model's own, are unlike them;
a hair more, because files round their spacing."""

EXTENT_SHARES = (0.85, 1.25)
"""Seven heads are 160 to 182 mm wide and 186 to 226 mm long; a brain without its skull is 172 mm
long, and slabs of a head are 120 to 130 mm high where whole ones reach 168 mm and more."""

CUT_TOLERANCE = 0.25
"""Ears and noses end at the field of view in some scans: up to 0.35 of the largest section."""

DISTANCE_LIMITS = {"MR": 0.09, "CT": 0.06}
"""Of distributions. Of four T1 heads, each left out, the farthest lies at 0.089, and the nearest
image of another contrast at 0.091: the limit separates them, but only just. Of three CT heads the
farthest lies at 0.046, a chest at 0.085; abdomens lie between and are told by their extent."""

SPREAD_FACTOR = 1.25
"""Where the scans of a training differ more than that, a source may differ this much more."""

CONSTANT = 0.01
"""Standard deviation inside the body, of a scale of 2, below which a result shows nothing."""

SATURATED_MORE = 0.05
"""Share of the body at the upper end of the scale, beyond twice the largest one in training."""

RARER, MORE = 0.25, 2.0
"""A share of air or bone may be this many times the smallest and the largest one in training."""

SHARE_MORE = 0.03
"""Beyond that: air makes up from 2 % to 7 % of the head in three CT, as far as sinuses go."""

COPY_CORRELATION = 0.98
"""Between a result and its source, inside the body; a CT and the T1 of its head lie from -0.4 to
0.0, results of trained models from -0.6 to 0.1."""

OUTSIDE_WINDOW = 0.001
"""Of the width of the scale: what interpolation and rounding may add."""

NAMES = (
    *("modality", "spacing", "extent", "field_of_view", "distribution", "order", "register"),
    *("constant", "range", "copy", "saturated", "air", "bone"),
)
"""Of all findings."""

FACES = ("left", "right", "posterior", "anterior", "inferior", "superior")


@dataclass(frozen=True)
class Finding:
    """Something that a user should know before a result is used.

    Attributes:
        name: for programs; the same in every version.
        severity: a result with an error is not written.
        what: in one clause.
        measured: figure and unit.
        limit: what is allowed.
        advice: what to do about it.
    """

    name: str
    severity: Severity
    what: str
    measured: str
    limit: str
    advice: str

    def __str__(self) -> str:
        facts = f"measured {self.measured}, allowed {self.limit}"
        return f"{self.name}: {self.what} ({facts}). {self.advice}."


def require_sound(findings: Sequence[Finding], *, where: str, strict: bool = False) -> None:
    """Refuse a result with an error among its findings, or, where strict, with any finding.

    Args:
        findings: made of a source and its result.
        where: the source.
        strict: refuse warnings, too.

    Raises:
        DataError: so there is.
    """
    refused = [one for one in findings if strict or one.severity == "error"]
    if refused:
        raise DataError(" ".join(map(str, refused)).removesuffix("."), where=where)


def finding_names(remarks: Iterable[str]) -> tuple[str, ...]:
    """The names of the findings among remarks: what stands before their first colon."""
    names = (remark.partition(":")[0] for remark in remarks)
    return tuple(name for name in names if name in NAMES)


def check_modality(found: Modality, wanted: Modality) -> list[Finding]:
    """Whether values that are to be of a modality look like it.

    Values cannot prove a modality: a CT without air has none below -500.

    Args:
        found: what a file's values look like.
        wanted: what the model reads.
    """
    if found == wanted:
        return []
    return [
        _warning(
            "modality",
            f"by its values this looks like {found}, "
            f"and is translated as the {wanted} that the model reads",
            found,
            wanted,
            "Make sure that the file is what the model reads",
        )
    ]


def check_input(scan: Sequence[Prepared], statistics: DomainStatistics | None) -> list[Finding]:
    """Whether a scan is like those that the model was trained on.

    Args:
        scan: its contrasts.
        statistics: of the training scans of the domain that is read; None where they are not
            known: then only whether its contrasts are of one head is checked.
    """
    figures = ScanFigures.of(scan)
    if statistics is None:
        return _check_register(figures, statistics)
    modality, grid_mm = scan[0].volume.modality, scan[0].volume.spacing_mm
    return [
        *_check_spacing(figures, statistics, max(grid_mm)),
        *_check_extent(figures, statistics),
        *_check_field_of_view(figures, statistics),
        *_check_distribution(figures, statistics, DISTANCE_LIMITS[modality]),
        *_check_order(figures, statistics),
        *_check_register(figures, statistics),
    ]


def check_result(result: ResultFigures, statistics: DomainStatistics | None) -> list[Finding]:
    """Whether a result can be right.

    Args:
        result: what was measured of it.
        statistics: of the training scans of the domain that is written; None where they are not
            known: then only what needs no comparison is checked.
    """
    found = [*_check_constant(result), *_check_window(result), *_check_copy(result)]
    if statistics is None:
        return found
    allowed = MORE * statistics.saturated.high + SATURATED_MORE
    if result.saturated > allowed:
        found.append(
            _warning(
                "saturated",
                "too much of the result lies at the upper end of the scale",
                f"{result.saturated:.1%} of the body",
                f"{allowed:.1%}",
                "Look at the result: there may be metal in it, or the model may have failed",
            )
        )
    for name, share, known in (
        ("air", result.air, statistics.air),
        ("bone", result.bone, statistics.bone),
    ):
        if share is not None and known is not None:
            found += _check_share(name, share, known)
    return found


def _warning(name: str, what: str, measured: str, limit: str, advice: str) -> Finding:
    return Finding(name, "warning", what, measured, limit, advice)


def _check_spacing(
    figures: ScanFigures, statistics: DomainStatistics, grid_mm: float
) -> list[Finding]:
    # what is finer than the model's own grid is smoothed to it before the network sees it
    limit = SPACING_FACTOR * max(statistics.coarsest_mm or 0.0, grid_mm)
    if max(figures.spacing_mm) <= limit:
        return []
    return [
        _warning(
            "spacing",
            "the voxels are coarser than those in training",
            _by_axis(f"{edge:.2f}" for edge in figures.spacing_mm) + " mm",
            f"{limit:.2f} mm",
            "Prefer a series with thinner slices, and expect errors between thick ones",
        )
    ]


def _check_extent(figures: ScanFigures, statistics: DomainStatistics) -> list[Finding]:
    if statistics.extent_mm is None:
        return []
    less, more = EXTENT_SHARES
    limits = [(less * known.low, more * known.high) for known in statistics.extent_mm]
    pairs = list(zip(figures.extent_mm, limits, strict=True))
    if all(low <= extent <= high for extent, (low, high) in pairs):
        return []
    return [
        _warning(
            "extent",
            "the body is larger or smaller than those in training",
            _by_axis(f"{extent:.0f}" for extent in figures.extent_mm) + " mm",
            _by_axis(f"{low:.0f} to {high:.0f}" for low, high in limits) + " mm",
            "Check that it is the same part of the body, all of it, and not skull-stripped",
        )
    ]


def _check_field_of_view(figures: ScanFigures, statistics: DomainStatistics) -> list[Finding]:
    if statistics.cut is None:
        return []
    limits = [known.high + CUT_TOLERANCE for known in statistics.cut]
    beyond = [
        (face, share, limit)
        for face, share, limit in zip(FACES, figures.cut, limits, strict=True)
        if share > limit
    ]
    if not beyond:
        return []
    return [
        _warning(
            "field_of_view",
            "the field of view cuts through the body where those in training did not",
            ", ".join(f"{face} {share:.0%}" for face, share, _ in beyond),
            ", ".join(f"{face} {limit:.0%}" for face, _, limit in beyond) + " of a section",
            "Use a series that shows all of the body part",
        )
    ]


def _check_distribution(
    figures: ScanFigures, statistics: DomainStatistics, least: float
) -> list[Finding]:
    found = []
    known = zip(figures.distribution, statistics.distribution, statistics.spread, strict=True)
    for index, (mine, theirs, spread) in enumerate(known):
        apart, limit = distance(mine, theirs), max(least, SPREAD_FACTOR * spread)
        if apart > limit:
            which = f" of contrast {index + 1}" if len(figures.distribution) > 1 else ""
            found.append(
                _warning(
                    "distribution",
                    f"the intensities{which} are distributed unlike those in training",
                    f"distance {apart:.3f}",
                    f"{limit:.3f}",
                    "Check the contrast: another sequence, contrast agent, or strong shading",
                )
            )
    return found


def _check_order(figures: ScanFigures, statistics: DomainStatistics) -> list[Finding]:
    order = likely_order(figures, statistics)
    if order == tuple(range(len(order))):
        return []
    return [
        _warning(
            "order",
            "the contrasts look like those of the training in another order",
            ", ".join(str(place + 1) for place in order),
            ", ".join(str(place + 1) for place in range(len(order))),
            "Give the contrasts in the order of the training",
        )
    ]


def _check_register(figures: ScanFigures, statistics: DomainStatistics | None) -> list[Finding]:
    limit = least_agreement(statistics)
    return [
        _warning(
            "register",
            f"contrast {number} is not of the head of the first, or not in register with it",
            f"agreement of edges {agreed:.2f}",
            f"at least {limit:.2f}",
            "Give contrasts of one examination, registered to each other",
        )
        for number, agreed in enumerate(figures.agreement, 2)
        if agreed < limit
    ]


def _check_constant(result: ResultFigures) -> list[Finding]:
    if result.deviation >= CONSTANT:
        return []
    return [
        Finding(
            "constant",
            "error",
            "the result is the same nearly everywhere in the body",
            f"standard deviation {result.deviation:.4f} of a scale of 2",
            f"at least {CONSTANT}",
            "The model has failed: try another checkpoint",
        )
    ]


def _check_window(result: ResultFigures) -> list[Finding]:
    low, high = result.window
    spare = OUTSIDE_WINDOW * (high - low)
    if low - spare <= result.lowest and result.highest <= high + spare:
        return []
    return [
        _warning(
            "range",
            "values lie outside the model's scale",
            f"{result.lowest:.0f} to {result.highest:.0f}{result.suffix}",
            f"{low:.0f} to {high:.0f}{result.suffix}",
            "Do not use the values outside it",
        )
    ]


def _check_copy(result: ResultFigures) -> list[Finding]:
    if result.correlation < COPY_CORRELATION:
        return []
    return [
        _warning(
            "copy",
            "the result is a copy of its source",
            f"correlation {result.correlation:.3f}",
            f"below {COPY_CORRELATION}",
            "The model has failed: train on, or with more weight on the phantoms",
        )
    ]


def _check_share(name: str, share: float, known: Range) -> list[Finding]:
    low, high = RARER * known.low, MORE * known.high + SHARE_MORE
    if low <= share <= high:
        return []
    return [
        _warning(
            name,
            f"the share of {name} in the body is unlike that in training",
            f"{share:.1%}",
            f"{low:.1%} to {high:.1%}",
            "Look at the result beside its source",
        )
    ]


def _by_axis(texts: Iterable[str]) -> str:
    return " x ".join(texts)
