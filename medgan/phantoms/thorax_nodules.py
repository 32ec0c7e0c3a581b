"""Nodules and other findings of the lungs: how many, how large, how dense."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from medgan.phantoms.thorax_nodule_shape import NoduleShape

Kind = Literal["solid", "part-solid", "ground-glass", "calcified", "scar"]
Attachment = Literal["none", "pleura", "vessel"]

DIAMETERS_MM = (3.0, 30.0)
"""Range of nodules: LUNA16 has none below 3 mm; above 30 mm it is a mass (Hansell et al.,
Fleischner Society glossary, Radiology 2008;246:697)."""

_SHIFT_MM, _MEDIAN_MM, _SIGMA = 2.9, 3.915, 0.797
"""A log-normal of the diameter less 2.9 mm, fitted to the 1186 diameters of LUNA16's
annotations.csv by maximum likelihood; largest difference of the distribution functions 0.053."""

_COUNT_SHARES = (0.323, 0.349, 0.179, 0.071, 0.027, 0.026, 0.012, 0.005, 0.004, 0.004)
"""Share of LUNA16's 888 scans (seriesuids.csv) with 0, 1, ... 9 rows in annotations.csv."""

_KINDS: tuple[Kind, ...] = ("solid", "part-solid", "ground-glass")
_KIND_SHARES = (0.80, 0.10, 0.10)
"""Of the order of the readers' ratings of texture in LIDC-IDRI (Armato et al., Med Phys
2011;38:915), not measured."""

_ATTACHMENTS: tuple[Attachment, ...] = ("none", "pleura", "vessel")
_ATTACHMENT_SHARES = (0.55, 0.25, 0.20)

_HU: dict[Kind, tuple[float, float]] = {
    "solid": (10, 70),
    "part-solid": (-640, -480),
    "ground-glass": (-690, -500),
    "calcified": (250, 900),
    "scar": (-150, 40),
}
"""CT numbers, of the part-solid their ground glass. Ground glass stays below -400 HU, where a solid
part is taken to begin (Lee et al., PLoS ONE 2018;13:e0205490, who compare -400 and -160 HU); solid
is soft tissue; calcified lies above the 164 HU of Siegelman et al., AJR 1980;135:1."""


@dataclass(frozen=True)
class PhantomNodule:
    """One finding as it is in a scan.

    Attributes:
        centre_mm: centre of gravity of what is in the lung, RAS world mm.
        diameter_mm: of the ball with the volume that is in the lung.
        drawn_mm: of the ball with the volume of the whole shape, what the pleura cuts off included.
        kind: what it is made of.
        attachment: what it touches.
        lobules: number of broad bulges.
        spicules: number of fine spikes.
        hu: CT number of its body; of a part-solid nodule, of its ground glass.
    """

    centre_mm: tuple[float, float, float]
    diameter_mm: float
    drawn_mm: float
    kind: Kind
    attachment: Attachment
    lobules: int
    spicules: int
    hu: float

    @property
    def position_mm(self) -> tuple[float, float, float]:
        """The centre in LPS world mm, as LUNA16 writes it."""
        x, y, z = self.centre_mm
        return -x, -y, z


@dataclass(frozen=True, eq=False)
class Plan:
    """A finding before it has its place.

    Attributes:
        shape: its body.
        kind: what it is made of.
        attachment: what it is to touch.
        lobules: number of broad bulges.
        spicules: number of fine spikes.
        hu: CT number of its body.
        core: solid part of a part-solid nodule: its diameter relative to the body's, and its CT
            number.
    """

    shape: NoduleShape
    kind: Kind
    attachment: Attachment
    lobules: int
    spicules: int
    hu: float
    core: tuple[float, float] | None = None


def draw_count(rng: np.random.Generator) -> int:
    """Number of nodules of a scan, as often as in LUNA16 up to 9."""
    shares = np.array(_COUNT_SHARES)
    return int(rng.choice(len(shares), p=shares / shares.sum()))


def draw_diameters(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Diameters of nodules, (count,) mm, distributed as in LUNA16 within ``DIAMETERS_MM``."""
    found = np.empty(0)
    while len(found) < count:
        drawn = _SHIFT_MM + _MEDIAN_MM * np.exp(_SIGMA * rng.normal(size=2 * count + 8))
        kept = drawn[(drawn >= DIAMETERS_MM[0]) & (drawn <= DIAMETERS_MM[1])]
        found = np.concatenate([found, kept])
    return found[:count]


def plan_nodule(
    rng: np.random.Generator, diameter_mm: float, attachment: Attachment | None = None
) -> Plan:
    """Draw everything about a nodule but its place.

    Args:
        rng: draws it.
        diameter_mm: of the ball of equal volume.
        attachment: what it touches; None: drawn.
    """
    kind = _KINDS[rng.choice(3, p=_KIND_SHARES)]
    touched = _ATTACHMENTS[rng.choice(3, p=_ATTACHMENT_SHARES)]
    lobules = int(rng.integers(2, 7)) if rng.random() < 0.5 else 0
    # Spikes on a nodule of a few voxels would be thinner than anything a scanner can show.
    spiked = diameter_mm > 7 and kind != "ground-glass" and rng.random() < 0.45
    spicules = int(rng.integers(8, 22)) if spiked else 0
    shape = NoduleShape.drawn(
        rng, diameter_mm, lobules=lobules, spicules=spicules, elongation=rng.uniform(1.0, 1.4)
    )
    core = (rng.uniform(0.4, 0.7), rng.uniform(-60, 40)) if kind == "part-solid" else None
    hu = rng.uniform(*_HU[kind])
    return Plan(shape, kind, attachment or touched, lobules, spicules, hu, core)


def plan_excluded(rng: np.random.Generator) -> Plan:
    """Draw something that is no nodule of 3 mm: a speck, a calcified granuloma or a scar."""
    kind: Kind = ("solid", "calcified", "scar")[rng.choice(3, p=(0.6, 0.15, 0.25))]
    limits = {"solid": (1.5, 2.8), "calcified": (2.0, 5.0), "scar": (3.5, 7.0)}[kind]
    elongation = rng.uniform(4, 8) if kind == "scar" else 1.2
    shape = NoduleShape.drawn(rng, rng.uniform(*limits), elongation=elongation)
    attachment: Attachment = "pleura" if kind == "scar" else _ATTACHMENTS[rng.choice(3)]
    return Plan(shape, kind, attachment, 0, 0, rng.uniform(*_HU[kind]))
