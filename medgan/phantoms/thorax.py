"""Whole CT scans of a phantom thorax, with lungs and nodules exactly known."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medgan.errors import ConfigError, DataError, GeometryError
from medgan.phantoms.ct import correlated_noise
from medgan.phantoms.thorax_anatomy import ThoraxAnatomy, ThoraxImage
from medgan.phantoms.thorax_drawing import DrawnFinding, draw_finding
from medgan.phantoms.thorax_nodules import (
    DIAMETERS_MM,
    PhantomNodule,
    Plan,
    draw_count,
    draw_diameters,
    plan_excluded,
    plan_nodule,
)
from medgan.phantoms.thorax_sites import Sites
from medgan.volumes.geometry import Grid
from medgan.volumes.volume import Volume

FIELD_OF_VIEW_MM = (315.0, 226.0, 236.0)
_CENTRE_MM = np.array([0.0, -8.0, -24.0])
_NOISE_MM = 0.75
_MOST = 40


@dataclass(frozen=True)
class ThoraxScan:
    """CT of one thorax with its truth, all on one grid.

    Attributes:
        ct: int16 HU.
        lungs: bool, both lungs with the vessels, airways and nodules in them.
        nodules: 3 to 30 mm across.
        excluded: findings that are no nodules of 3 mm: specks, calcified granulomas, scars.
        nodule_labels: uint8; i + 1 where the i-th nodule fills half a voxel or more.
    """

    ct: Volume
    lungs: Volume
    nodules: tuple[PhantomNodule, ...]
    excluded: tuple[PhantomNodule, ...]
    nodule_labels: Volume


def scan_thorax(
    seed: int,
    *,
    spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0),
    shape: tuple[int, int, int] | None = None,
    nodules: int | None = None,
    diameters_mm: tuple[float, ...] | None = None,
    excluded: int | None = None,
    noise_hu: float | None = None,
) -> ThoraxScan:
    """Scan a phantom thorax.

    Args:
        seed: of the anatomy, pose, findings and noise.
        spacing_mm: voxel size along (X, Y, Z).
        shape: number of voxels; by default enough for the whole chest.
        nodules: how many; None: as in LUNA16, 0 to 9.
        diameters_mm: of the nodules, in place of ``nodules``; a shape that the pleura cuts becomes
            smaller than that.
        excluded: number of other findings; None: 2 to 8.
        noise_hu: standard deviation of the noise; None: 20 to 60.

    Raises:
        ConfigError: a number or diameter out of range, or both ``nodules`` and ``diameters_mm``.
        GeometryError: spacing or shape is not positive.
        DataError: there is no room in the lungs for what was asked.
    """
    _check(spacing_mm, shape, nodules, diameters_mm, excluded)
    rng = np.random.default_rng([seed, 11])
    anatomy = ThoraxAnatomy([seed, 10])
    grid = _grid(anatomy, spacing_mm, shape)
    if diameters_mm is None:
        diameters_mm = tuple(draw_diameters(rng, draw_count(rng) if nodules is None else nodules))
    plans = [plan_nodule(rng, diameter) for diameter in sorted(diameters_mm, reverse=True)]
    count = int(rng.integers(2, 9)) if excluded is None else excluded
    others = [plan_excluded(rng) for _ in range(count)]
    thick = _thickness(spacing_mm)
    fine = _finer(grid, thick)
    image = anatomy.image(fine)
    sites = Sites(anatomy, fine, rng)
    labels = np.zeros(grid.shape, dtype=np.uint8)
    found = []
    for number, plan in enumerate(plans, 1):
        drawn = _placed(image, fine, sites, plan)
        labels[_thinned(drawn.share, thick) >= 0.5] = number
        found.append(drawn.nodule)
    rest = [_placed(image, fine, sites, plan).nodule for plan in others]
    hu = _thinned(image.hu, thick)
    sigma = rng.uniform(20, 60) if noise_hu is None else noise_hu
    if sigma:
        width = _NOISE_MM * rng.uniform(0.7, 1.3) / float(np.mean(spacing_mm[:2]))
        hu += correlated_noise(grid.shape, rng, sigma, width)
    ct = np.clip(np.rint(hu), -1024, 3071).astype(np.int16)
    return ThoraxScan(
        Volume(ct, grid.affine, "CT", synthetic=True),
        Volume(_thinned(image.lung_mm, thick) < 0, grid.affine, "LABEL", synthetic=True),
        tuple(found),
        tuple(rest),
        Volume(labels, grid.affine, "LABEL", synthetic=True),
    )


def _check(
    spacing: tuple[float, float, float],
    shape: tuple[int, int, int] | None,
    nodules: int | None,
    diameters: tuple[float, ...] | None,
    excluded: int | None,
) -> None:
    if min(spacing) <= 0 or (shape is not None and min(shape) < 1):
        raise GeometryError("spacing and shape must be positive", measured=(spacing, shape))
    if nodules is not None and diameters is not None:
        raise ConfigError("give the number of nodules or their diameters, not both")
    for name, count in (("nodules", nodules), ("excluded", excluded)):
        if count is not None and not 0 <= count <= _MOST:
            raise ConfigError(
                "number of findings out of range", where=name, measured=count, limit=f"0 to {_MOST}"
            )
    wrong = [size for size in diameters or () if not DIAMETERS_MM[0] <= size <= DIAMETERS_MM[1]]
    if wrong or len(diameters or ()) > _MOST:
        raise ConfigError(
            "diameter or number of nodules out of range",
            where="diameters_mm",
            measured=wrong or len(diameters or ()),
            limit=f"{DIAMETERS_MM[0]:g} to {DIAMETERS_MM[1]:g} mm, {_MOST} at most",
        )


def _placed(image: ThoraxImage, grid: Grid, sites: Sites, plan: Plan) -> DrawnFinding:
    site = sites.place(plan.shape.diameter_mm / 2, plan.attachment)
    if site is None:
        site = sites.place(plan.shape.diameter_mm / 2, "vessel")
    if site is None:
        raise DataError(
            "no room in the lungs for a finding",
            measured=f"{plan.shape.diameter_mm:.1f} mm, grid of {grid.shape} voxels",
            remedy="Ask for fewer or smaller ones, or for a larger field of view",
        )
    return draw_finding(image, grid, plan, site)


def _grid(
    anatomy: ThoraxAnatomy,
    spacing: tuple[float, float, float],
    shape: tuple[int, int, int] | None,
) -> Grid:
    if shape is None:
        x, y, z = (round(size / step) for size, step in zip(FIELD_OF_VIEW_MM, spacing, strict=True))
        shape = x, y, z
    affine = np.diag([*spacing, 1.0])
    middle = anatomy.frame.centre_mm + _CENTRE_MM
    affine[:3, 3] = np.round(middle - np.array(spacing) * (np.array(shape) - 1) / 2, 4)
    return Grid(shape, affine)


def _thickness(spacing: tuple[float, float, float]) -> int:
    """Number of thin slices that are averaged to one thick one."""
    return max(1, round(spacing[2] / max(1.0, spacing[0], spacing[1])))


def _finer(grid: Grid, thick: int) -> Grid:
    if thick == 1:
        return grid
    affine = grid.affine.copy()
    affine[:3, 2] /= thick
    affine[:3, 3] -= affine[:3, 2] * (thick - 1) / 2
    return Grid((grid.shape[0], grid.shape[1], grid.shape[2] * thick), affine)


def _thinned(values: NDArray[np.float32], thick: int) -> NDArray[np.float32]:
    if thick == 1:
        return values
    x, y, z = values.shape
    mean: NDArray[np.float32] = values.reshape(x, y, z // thick, thick).mean(axis=3)
    return mean
