"""Which nodules go where in a scan."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from medgan.data.luna16_scan import Nodule
from medgan.data.nodule_shapes import DENSITIES, Density, NoduleShape, drawn_shape
from medgan.data.nodule_sites import SiteFinder
from medgan.errors import ConfigError, DataError
from medgan.phantoms.thorax_nodules import draw_diameters
from medgan.volumes import Volume

DENSITY_SHARES = (0.8, 0.1, 0.1)
"""Solid, part-solid, ground-glass, where the density is not asked for."""

SPICULATED_FROM_MM = 7.0
SPICULATED_SHARE = 0.4
"""Of solid nodules that are large enough for a spike to be seen."""

CORES = (0.4, 0.7)
"""Diameter of a part-solid nodule's solid part relative to its own, as phantoms have it."""

_SHAPE_STREAM = 71

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class InsertionPlan:
    """What is wanted in every scan.

    Attributes:
        per_scan: how many nodules; fewer where there is no room.
        diameters_mm: smallest and largest; between them distributed as in LUNA16.
        density: of all of them; None: drawn, most are solid.
        on_wall: share of them at the pleura, which cuts them.
        seed: draws all of it.

    Raises:
        ConfigError: a number out of its range.
    """

    per_scan: int = 2
    diameters_mm: tuple[float, float] = (4.0, 20.0)
    density: Density | None = None
    on_wall: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        low, high = self.diameters_mm
        faults = {
            "per_scan": (self.per_scan < 1, self.per_scan, "1 or more"),
            "diameters_mm": (not 3 <= low <= high <= 30, (low, high), "3 to 30 mm, ascending"),
            "on_wall": (not 0 <= self.on_wall <= 1, self.on_wall, "0 to 1"),
        }
        for where, (wrong, measured, limit) in faults.items():
            if wrong:
                raise ConfigError("out of range", where=where, measured=measured, limit=limit)


@dataclass(frozen=True, eq=False)
class PlannedNodule:
    """One nodule and its place.

    Attributes:
        shape: of the nodule.
        position_mm: of its middle, LPS.
        on_wall: whether the pleura cuts it.
        seed: the shape follows from it, the diameter and the density.
    """

    shape: NoduleShape
    position_mm: tuple[float, float, float]
    on_wall: bool
    seed: int


def planned_shape(diameter_mm: float, density: Density, seed: int) -> NoduleShape:
    """The shape that the table of provenance names."""
    rng = np.random.default_rng([seed, _SHAPE_STREAM])
    large = density == "solid" and diameter_mm >= SPICULATED_FROM_MM
    spiked = large and rng.random() < SPICULATED_SHARE
    shape = drawn_shape(
        diameter_mm,
        rng,
        lobulation=rng.uniform(0.1, 0.25),
        spiculation=rng.uniform(0.3, 0.8) if spiked else 0.0,
        elongation=rng.uniform(0.1, 0.25),
        density=density,
    )
    return replace(shape, core=rng.uniform(*CORES)) if density == "part-solid" else shape


def plan_nodules(
    plan: InsertionPlan,
    ct: Volume,
    lungs: Volume,
    findings: Sequence[Nodule],
    rng: np.random.Generator,
) -> list[PlannedNodule]:
    """Draw nodules and find their sites, the largest first.

    Args:
        plan: what is wanted.
        ct: HU.
        lungs: LABEL on the same grid.
        findings: to keep away from, see ``SiteFinder``.
        rng: draws everything.

    Raises:
        DataError: no lungs, or room for none of the nodules.
    """
    finder = SiteFinder(ct, lungs, findings)
    planned: list[PlannedNodule] = []
    refused: list[DataError] = []
    for diameter in sorted(_diameters(plan, rng), reverse=True):
        density = plan.density or DENSITIES[rng.choice(len(DENSITIES), p=DENSITY_SHARES)]
        on_wall = bool(rng.random() < plan.on_wall)
        seed = int(rng.integers(2**31))
        shape = planned_shape(diameter, density, seed)
        try:
            site = finder.find(diameter / 2, rng, on_wall=on_wall)
        except DataError as error:
            refused.append(error)
            continue
        planned.append(PlannedNodule(shape, site.position_mm, on_wall, seed))
    if not planned:
        raise refused[0]
    if refused:
        _log.warning("%d of %d nodules found no site", len(refused), plan.per_scan)
    return planned


def _diameters(plan: InsertionPlan, rng: np.random.Generator) -> list[float]:
    low, high = plan.diameters_mm
    found: list[float] = []
    for _ in range(plan.per_scan):
        drawn = draw_diameters(rng, 500)
        fitting = drawn[(drawn >= low) & (drawn <= high)]
        # LUNA16 has next to none in some ranges, such as 29 to 30 mm.
        found.append(float(fitting[0] if len(fitting) else rng.uniform(low, high)))
    return [round(diameter, 2) for diameter in found]
