"""What is kept of the scans a model was trained on: figures to know an unlike scan by, no image."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from medgan.config import PhantomConfig, PreparationConfig
from medgan.data.agreement import agreement
from medgan.data.companions import companions
from medgan.data.preparation import Prepared, prepare, prepare_channels
from medgan.errors import DataError
from medgan.metrics.tissues import AIR_BELOW_HU, BONE_ABOVE_HU
from medgan.phantoms.scan import scan_head
from medgan.volumes.masks import Mask

PERCENTILES = (1, *range(5, 96, 5), 99)
"""At which the distribution of the values inside the body is kept, in per cent."""

GAIN_PERCENTILE = 90
"""MR has no unit: its values are divided by this percentile before distributions are compared.

The one percentile of 50, 60, ..., 95 that keeps four T1 heads nearest to each other in proportion
to PD, T2 and contrast-enhanced images.
"""

FULL = 0.995
"""What is closer to the upper end of [-1, 1] than this counts as saturated."""

PHANTOM_HEADS = 6
PHANTOM_MM = (6.0, 6.0, 6.0)
"""Voxels at which whole phantoms are scanned: coarse, for distributions of values alone."""


Side = Literal["source", "target"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Range(_Frozen):
    """The smallest and the largest of several values."""

    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Self:
        """The range of values, of which there is at least one."""
        known = list(values)
        return cls(low=min(known), high=max(known))


class DomainStatistics(_Frozen):
    """The scans of one domain of a training, in figures that identify nobody.

    Attributes:
        origin: "phantoms" where the training had no scans of the domain.
        scans: how many there were.
        coarsest_mm: longest edge of their own voxels; None for phantoms, which have neither voxels
            nor a field of view of their own.
        extent_mm: of the body along R, A and S; None for phantoms.
        cut: share of the largest section of the body that the field of view cuts through: left,
            right, posterior, anterior, inferior, superior; None for phantoms.
        distribution: of every contrast, its values inside the body at ``PERCENTILES``, the mean
            over scans; see ``ScanFigures``.
        spread: of every contrast, the largest distance of one scan's distribution from that.
        saturated: share of the body at the upper end of the scale.
        air: share of the body below -300 HU; None in MR.
        bone: share of the body above 150 HU; None in MR.
        agreement: of every further contrast with the first, see ``agreement``; None in files of
            before it was kept.
        companions: what every contrast is known by among the others, the mean over scans, see
            ``companions``; None likewise.
    """

    origin: Literal["scans", "phantoms"]
    scans: int
    coarsest_mm: float | None
    extent_mm: tuple[Range, ...] | None
    cut: tuple[Range, ...] | None
    distribution: tuple[tuple[float, ...], ...]
    spread: tuple[float, ...]
    saturated: Range
    air: Range | None = None
    bone: Range | None = None
    agreement: tuple[Range, ...] | None = None
    companions: tuple[tuple[float, ...], ...] | None = None


@dataclass(frozen=True)
class ScanFigures:
    """What is measured of one scan, each figure as in ``DomainStatistics``.

    Attributes:
        spacing_mm: edges of the scan's own voxels along R, A and S.
        distribution: of every contrast, (21,) float64: 0 is air and 1 the upper end of the window
            in CT, ``GAIN_PERCENTILE`` in MR.
    """

    spacing_mm: tuple[float, float, float]
    extent_mm: tuple[float, float, float]
    cut: tuple[float, ...]
    distribution: tuple[NDArray[np.float64], ...]
    saturated: float
    air: float | None
    bone: float | None
    agreement: tuple[float, ...]
    companions: tuple[NDArray[np.float64], ...]

    @classmethod
    def of(cls, scan: Sequence[Prepared]) -> Self:
        """Measure a scan.

        Args:
            scan: its contrasts, on one grid and with one mask.
        """
        first = scan[0]
        unit = first.volume.array[first.mask] if first.volume.modality == "CT" else None
        scaled = first.scaled()[first.mask]
        return cls(
            spacing_mm=first.native_mm,
            extent_mm=_extent_mm(first.mask, first.volume.spacing_mm),
            cut=_cut(first.mask),
            distribution=tuple(_distribution(contrast) for contrast in scan),
            saturated=float((scaled >= FULL).mean()),
            air=None if unit is None else float((unit < AIR_BELOW_HU).mean()),
            bone=None if unit is None else float((unit > BONE_ABOVE_HU).mean()),
            agreement=tuple(agreement(first, other) for other in scan[1:]),
            companions=companions(scan),
        )


def distance(one: Sequence[float] | NDArray[np.float64], other: Sequence[float]) -> float:
    """How far two distributions lie apart: mean difference of their percentiles.

    Source: the Wasserstein-1 distance in one dimension is the integral of the difference of the
    quantile functions (S. S. Vallender, Theory Probab. Appl. 18 (1974) 784).
    """
    return float(np.abs(np.asarray(one) - np.asarray(other)).mean())


def domain_statistics(
    scans: Sequence[Sequence[Prepared]], origin: Literal["scans", "phantoms"] = "scans"
) -> DomainStatistics:
    """The figures of all scans of a domain.

    Args:
        scans: each with its contrasts.
        origin: whether they are phantoms.

    Raises:
        DataError: there is no scan.
    """
    if not scans:
        raise DataError("statistics need at least one scan")
    return statistics_of([ScanFigures.of(scan) for scan in scans], origin)


def statistics_of(
    figures: Sequence[ScanFigures], origin: Literal["scans", "phantoms"] = "scans"
) -> DomainStatistics:
    """The same of scans that are measured already, of which there is at least one."""
    contrasts = list(zip(*(one.distribution for one in figures), strict=True))
    means = [_mean(several) for several in contrasts]
    spreads = [
        max(distance(one, mean) for one in several)
        for several, mean in zip(contrasts, means, strict=True)
    ]
    air = [one.air for one in figures if one.air is not None]
    bone = [one.bone for one in figures if one.bone is not None]
    extents = zip(*(one.extent_mm for one in figures), strict=True)
    cuts = zip(*(one.cut for one in figures), strict=True)
    agreements = zip(*(one.agreement for one in figures), strict=True)
    scanned = origin == "scans"
    return DomainStatistics(
        origin=origin,
        scans=len(figures),
        coarsest_mm=max(max(one.spacing_mm) for one in figures) if scanned else None,
        extent_mm=tuple(Range.of(values) for values in extents) if scanned else None,
        cut=tuple(Range.of(values) for values in cuts) if scanned else None,
        distribution=tuple(means),
        spread=tuple(spreads),
        saturated=Range.of(one.saturated for one in figures),
        air=Range.of(air) if air else None,
        bone=Range.of(bone) if bone else None,
        agreement=tuple(Range.of(values) for values in agreements),
        companions=tuple(
            _mean(several) for several in zip(*(one.companions for one in figures), strict=True)
        ),
    )


def _mean(several: Sequence[NDArray[np.float64]]) -> tuple[float, ...]:
    """Of arrays of one length."""
    return tuple(np.mean(several, axis=0).tolist())


def phantom_statistics(
    modality: Literal["MR", "CT"], settings: PhantomConfig, preparation: PreparationConfig
) -> DomainStatistics:
    """The figures of whole phantom heads, for a domain that a training has no scans of.

    Args:
        modality: of the domain.
        settings: of the phantoms; one MR channel for each of their contrasts.
        preparation: of the model.
    """
    scans = []
    for seed in range(PHANTOM_HEADS):
        names = settings.contrasts
        heads = [
            scan_head(seed, contrast=name, spacing_mm=PHANTOM_MM, randomised=True, supersample=1)
            for name in (names if modality == "MR" else names[:1])
        ]
        if modality == "MR":
            scans.append(prepare_channels([head.mr for head in heads], preparation))
        else:
            scans.append((prepare(heads[0].ct, preparation),))
    return domain_statistics(scans, "phantoms")


def _distribution(contrast: Prepared) -> NDArray[np.float64]:
    values = (contrast.scaled()[contrast.mask] + 1) / 2
    found = np.percentile(values, PERCENTILES)
    if contrast.volume.modality == "CT":
        return found
    gain = found[PERCENTILES.index(GAIN_PERCENTILE)]
    # an image so dark that most of the body is air has no gain to speak of
    return found / max(gain, 1 - FULL)


def _extent_mm(mask: Mask, spacing_mm: tuple[float, float, float]) -> tuple[float, float, float]:
    found = [np.flatnonzero(mask.any(axis=other)) for other in ((1, 2), (0, 2), (0, 1))]
    x, y, z = (
        float((inside[-1] - inside[0] + 1) * step)
        for inside, step in zip(found, spacing_mm, strict=True)
    )
    return x, y, z


def _cut(mask: Mask) -> tuple[float, ...]:
    """Sections of the body in the outermost planes, as shares of the largest parallel one."""
    shares: list[float] = []
    for other in ((1, 2), (0, 2), (0, 1)):
        sections = mask.sum(axis=other)
        shares += [float(sections[end] / sections.max()) for end in (0, -1)]
    return tuple(shares)
