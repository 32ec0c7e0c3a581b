"""Pairs of the same place in a lung, healthy and with a nodule."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from medgan.errors import ConfigError, DataError
from medgan.phantoms.ct import correlated_noise
from medgan.phantoms.thorax_anatomy import ThoraxAnatomy
from medgan.phantoms.thorax_drawing import draw_finding
from medgan.phantoms.thorax_nodules import (
    DIAMETERS_MM,
    Attachment,
    PhantomNodule,
    draw_diameters,
    plan_nodule,
)
from medgan.phantoms.thorax_sites import Sites
from medgan.volumes.geometry import Grid
from medgan.volumes.volume import Volume

_NOISE_MM = 0.75
_LARGEST_SHARE = 0.7


@dataclass(frozen=True, eq=False)
class NodulePatch:
    """One place twice; all on one grid, the nodule in its middle.

    Attributes:
        healthy: int16 HU, without the nodule.
        diseased: int16 HU, with it; the same noise.
        mask: bool, where the nodule fills half a voxel or more.
        share: float32 in 0..1, how much of each voxel the nodule fills.
        solid: float32 in 0..1, how much of each voxel its solid part fills.
        lungs: bool.
        nodule: what was drawn.
    """

    healthy: Volume
    diseased: Volume
    mask: Volume
    share: Volume
    solid: Volume
    lungs: Volume
    nodule: PhantomNodule


def nodule_patch(
    seed: int,
    index: int = 0,
    *,
    size: int = 48,
    spacing_mm: float = 1.0,
    diameter_mm: float | None = None,
    attachment: Attachment | None = None,
    noise_hu: float | None = None,
) -> NodulePatch:
    """Draw a nodule into a place of a phantom's lung, and keep the place as it was.

    The first patch of a seed grows all vessels of a thorax, which takes longer than the patch.

    Args:
        seed: of the thorax.
        index: of the patch in this thorax; draws the place, the nodule and the noise.
        size: voxels along each edge.
        spacing_mm: voxel size.
        diameter_mm: of the nodule as drawn; None: as in LUNA16, as far as it fits.
        attachment: what it touches; None: drawn.
        noise_hu: standard deviation of the noise; None: 20 to 60.

    Raises:
        ConfigError: size or spacing not positive, or a nodule that does not fit into the patch.
        DataError: no place in the lungs for it.
    """
    largest = min(DIAMETERS_MM[1], _LARGEST_SHARE * size * spacing_mm)
    _check(size, spacing_mm, diameter_mm, largest)
    rng = np.random.default_rng([seed, 12, index])
    anatomy = _anatomy(seed)
    if diameter_mm is None:
        drawn = draw_diameters(rng, 200)
        diameter_mm = float(drawn[drawn <= largest][0])
    plan = plan_nodule(rng, diameter_mm, attachment)
    site = Sites(anatomy, None, rng).place(diameter_mm / 2, plan.attachment)
    if site is None:
        raise DataError(
            "no place in the lungs for a nodule",
            measured=f"{diameter_mm:.1f} mm",
            remedy="Ask for a smaller one or for another seed",
        )
    affine = np.diag([spacing_mm] * 3 + [1.0])
    affine[:3, 3] = site.centre_mm - spacing_mm * ((size - 1) / 2 + rng.uniform(-0.5, 0.5, 3))
    grid = Grid((size, size, size), affine)
    image = anatomy.image(grid)
    sigma = rng.uniform(20, 60) if noise_hu is None else noise_hu
    noise = correlated_noise(grid.shape, rng, sigma, _NOISE_MM / spacing_mm)
    healthy = _stored(image.hu + noise, grid)
    found = draw_finding(image, grid, plan, site)
    diseased = _stored(image.hu + noise, grid)
    label = Volume(found.share, grid.affine, "LABEL", synthetic=True)
    return NodulePatch(
        healthy,
        diseased,
        label.with_array(found.share >= 0.5),
        label,
        label.with_array(found.solid),
        label.with_array(image.lung_mm < 0),
        found.nodule,
    )


@lru_cache(maxsize=4)
def _anatomy(seed: int) -> ThoraxAnatomy:
    return ThoraxAnatomy([seed, 10])


def _stored(hu: NDArray[np.float32], grid: Grid) -> Volume:
    stored = np.clip(np.rint(hu), -1024, 3071).astype(np.int16)
    return Volume(stored, grid.affine, "CT", synthetic=True)


def _check(size: int, spacing: float, diameter: float | None, largest: float) -> None:
    if size < 1 or spacing <= 0 or largest < 2 * DIAMETERS_MM[0]:
        raise ConfigError(
            "a patch must be wide enough for nodules of 6 mm",
            measured=f"{size} voxels of {spacing} mm",
        )
    if diameter is not None and not DIAMETERS_MM[0] <= diameter <= largest:
        raise ConfigError(
            "the nodule does not fit into the patch",
            where="diameter_mm",
            measured=diameter,
            limit=f"{DIAMETERS_MM[0]:g} to {largest:g} mm",
        )
