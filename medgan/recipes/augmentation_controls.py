"""Synthesisers whose worth is known: the oracle, which must help, and noise, which must not."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medgan.data.luna16_scan import Luna16Scan, Nodule
from medgan.data.nodule_sites import GAP_MM, SiteFinder
from medgan.errors import DataError
from medgan.io.luna16 import to_index
from medgan.phantoms.thorax_anatomy import ThoraxAnatomy
from medgan.phantoms.thorax_drawing import draw_finding
from medgan.phantoms.thorax_folder import Case
from medgan.phantoms.thorax_lattice import voxel_of
from medgan.phantoms.thorax_nodules import PhantomNodule, draw_diameters, plan_nodule
from medgan.phantoms.thorax_sites import Sites
from medgan.recipes.augmentation_config import AugmentationExperiment
from medgan.recipes.augmentation_synthesis import SyntheticScan
from medgan.volumes import Volume
from medgan.volumes.geometry import Grid, axis_codes, reorient

SMALLEST_MM = 3.0
"""What the pleura cuts to less is no nodule."""

NOISE_HU = 150.0
"""Half the range of the noise about the mean of what it replaces. Noise over all of the window is
brighter than lung on the mean: a ball of it teaches what a nodule is (docs/results.md)."""

_TRIES = 20
_MARGIN_MM = 4.0


class NoiseBalls:
    """Balls of white noise where nodules might be, as large as those of the training scans.

    On the mean they are as bright as the lung that they replace.

    Args:
        diameters_mm: to draw from.
    """

    def __init__(self, diameters_mm: Sequence[float]) -> None:
        if not diameters_mm:
            raise DataError("no nodule in the training scans whose size noise could take")
        self._diameters = np.asarray(diameters_mm, np.float64)

    def __call__(self, scan: Luna16Scan, count: int, rng: np.random.Generator) -> SyntheticScan:
        """Paste balls of noise into a scan; see ``Synthesiser``."""
        ct = scan.read()
        finder = SiteFinder(ct, scan.lungs(), (*scan.nodules, *scan.excluded))
        hu, made = np.array(ct.array, np.float32), []
        for diameter in rng.choice(self._diameters, count):
            site = finder.find(diameter / 2, rng, margin_mm=0.0)
            ball = _ball(ct, site.position_mm, diameter / 2)
            noise = rng.uniform(-NOISE_HU, NOISE_HU, np.count_nonzero(ball))
            hu[ball] = hu[ball].mean() + noise - noise.mean()
            made.append(Nodule(site.position_mm, float(diameter)))
        return SyntheticScan(_stored(ct, hu), tuple(made))


class Oracle:
    """More nodules of the phantom's own kind in the very same phantom: synthesis without a fault.

    They have the sizes, shapes, densities and attachments of the phantoms' nodules, and are drawn
    into the noiseless image, so that the scan is what it would be had it had them from the start.

    Args:
        thoraxes: seed of the thorax by series UID, as ``phantom_thoraxes`` gives it.
    """

    def __init__(self, thoraxes: Mapping[str, int]) -> None:
        self._thoraxes = thoraxes

    def __call__(self, scan: Luna16Scan, count: int, rng: np.random.Generator) -> SyntheticScan:
        """Draw further nodules into a phantom scan; see ``Synthesiser``."""
        stored = scan.read()
        ct = reorient(stored)
        anatomy = _anatomy(self._thoraxes[scan.uid])
        hu = np.array(ct.array, np.float32)
        taken = [*scan.nodules, *scan.excluded]
        sites, made = Sites(anatomy, Grid.of(ct), rng), []
        for diameter in draw_diameters(rng, count):
            found = _drawn(anatomy, sites, hu, Grid.of(ct), float(diameter), taken, rng)
            made.append(Nodule(found.position_mm, found.diameter_mm))
            taken.append(made[-1])
        return SyntheticScan(reorient(_stored(ct, hu), axis_codes(stored.affine)), tuple(made))


def phantom_thoraxes(config: AugmentationExperiment, out: Path) -> dict[str, int]:
    """Seed of the thorax of every training phantom, by series UID."""
    material = config.phantoms
    assert material is not None
    seed, group = material.group_seed("train"), material.train
    spacing = (material.spacing_mm,) * 3
    cases = [Case(out, seed, number, 1, spacing, group.nodules) for number in range(group.scans)]
    # the draw by which write_luna16_phantoms tells its thoraxes apart
    return {
        case.uid: int(np.random.default_rng([seed, case.number, 13]).integers(2**31))
        for case in cases
    }


def _drawn(
    anatomy: ThoraxAnatomy,
    sites: Sites,
    hu: NDArray[np.float32],
    grid: Grid,
    diameter_mm: float,
    taken: Sequence[Nodule],
    rng: np.random.Generator,
) -> PhantomNodule:
    """Draw one nodule into ``hu``, clear of what is there already."""
    for _ in range(_TRIES):
        plan = plan_nodule(rng, diameter_mm)
        site = sites.place(diameter_mm / 2, plan.attachment)
        if site is None:
            break
        x, y, z = site.centre_mm
        if not _is_clear((-x, -y, z), diameter_mm / 2, taken):
            continue
        box = _box(grid, site.centre_mm, plan.shape.reach_mm + _MARGIN_MM)
        part = _part(grid, box)
        image = anatomy.image(part)
        before = image.hu.copy()
        nodule = draw_finding(image, part, plan, site).nodule
        if nodule.diameter_mm >= SMALLEST_MM:
            hu[box] += image.hu - before
            return nodule
    raise DataError("no room in the lungs for another nodule", measured=f"{diameter_mm:.1f} mm")


def _is_clear(
    position_mm: tuple[float, float, float], radius_mm: float, taken: Sequence[Nodule]
) -> bool:
    return all(
        np.linalg.norm(np.subtract(position_mm, other.position_mm))
        >= radius_mm + other.radius_mm + GAP_MM
        for other in taken
    )


def _box(grid: Grid, centre_mm: NDArray[np.float64], reach_mm: float) -> tuple[slice, slice, slice]:
    middle = voxel_of(grid, centre_mm)
    reach = reach_mm / np.asarray(grid.spacing_mm)
    low = np.clip(np.floor(middle - reach), 0, grid.shape).astype(int)
    high = np.clip(np.ceil(middle + reach) + 1, 0, grid.shape).astype(int)
    x, y, z = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return x, y, z


def _part(grid: Grid, box: tuple[slice, slice, slice]) -> Grid:
    affine = grid.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ [side.start for side in box]
    x, y, z = (side.stop - side.start for side in box)
    return Grid((x, y, z), affine)


def _ball(
    ct: Volume, position_mm: tuple[float, float, float], radius_mm: float
) -> NDArray[np.bool_]:
    middle = to_index(ct, position_mm)
    axes = [
        (np.arange(size) - at) * step
        for size, at, step in zip(ct.shape, middle, ct.spacing_mm, strict=True)
    ]
    x, y, z = np.ix_(*axes)
    return np.asarray(x**2 + y**2 + z**2 < radius_mm**2)


def _stored(ct: Volume, hu: NDArray[np.float32]) -> Volume:
    return ct.with_array(np.clip(np.rint(hu), -1024, 3071).astype(np.int16), synthetic=True)


@lru_cache(maxsize=2)
def _anatomy(seed: int) -> ThoraxAnatomy:
    return ThoraxAnatomy([seed, 10])
