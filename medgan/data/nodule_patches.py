"""Boxes cut from LUNA16 scans: nodules with a mask, and healthy lung."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medgan.data.luna16_scan import Luna16Scan, Nodule
from medgan.data.nodule_sites import SiteFinder
from medgan.data.samples import Image, Mask
from medgan.errors import DataError
from medgan.io.luna16 import to_index
from medgan.volumes import Volume
from medgan.volumes.geometry import Grid, apply_affine, crop, lps_to_ras
from medgan.volumes.resampling import resample

Shape = tuple[int, int, int]

SEARCH = 1.5
"""A nodule is looked for within this many of its annotated radii."""

CORE = 0.5
"""Its own density is taken within this many radii."""

LUNG_HU = (-1000.0, -600.0)
"""What counts as parenchyma about a nodule, vessels and wall left out."""


@dataclass(frozen=True, eq=False)
class NodulePatch:
    """A box of a scan, its axes to the patient's right, front and head.

    Attributes:
        image: (X, Y, Z) float32, HU; -1000 beyond the scan.
        mask: (X, Y, Z) bool, the nodule in the middle; empty in healthy lung.
        lungs: (X, Y, Z) bool.
        affine: (4, 4) voxel index -> RAS mm.
        uid: series UID of the scan.
        position_mm: world coordinates of the middle, LPS.
        diameter_mm: as annotated; 0 in healthy lung.
    """

    image: Image
    mask: Mask
    lungs: Mask
    affine: NDArray[np.float64]
    uid: str
    position_mm: tuple[float, float, float]
    diameter_mm: float


def patch_grid(position_mm: tuple[float, float, float], shape: Shape, spacing_mm: float) -> Grid:
    """A box of cubic voxels about world coordinates (LPS), axes to the right, front and head.

    The position is the centre of voxel ``shape // 2`` where the shape is even, of the middle
    voxel where it is odd.
    """
    affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    centre = apply_affine(lps_to_ras(np.eye(4)), position_mm)
    affine[:3, 3] = centre - spacing_mm * (np.asarray(shape) // 2)
    return Grid(shape, affine)


def cut(volume: Volume, grid: Grid) -> Volume:
    """A volume on a small grid; only what lies near it is touched.

    Returns:
        As ``resample`` of the whole: float32, or the dtype of a LABEL; background beyond.
    """
    corners = np.indices((2, 2, 2)).reshape(3, -1).T * (np.asarray(grid.shape) - 1)
    places = apply_affine(grid.affine, corners)
    index = apply_affine(np.linalg.inv(volume.affine).astype(np.float64), places)
    # Four sigma of the smoothing that comes before coarser sampling, and a voxel.
    margin = 4 * np.max(grid.spacing_mm) / np.asarray(volume.spacing_mm) + 2
    last = np.asarray(volume.shape) - 1
    low = np.clip(np.floor(index.min(axis=0) - margin), 0, last).astype(int).tolist()
    high = np.clip(np.ceil(index.max(axis=0) + margin), 0, last).astype(int).tolist()
    x, y, z = (slice(a, b + 1) for a, b in zip(low, high, strict=True))
    return resample(crop(volume, (x, y, z)), grid)


def nodule_patches(
    scan: Luna16Scan, *, shape: Shape = (32, 32, 32), spacing_mm: float = 1.0
) -> tuple[NodulePatch, ...]:
    """A patch about every nodule of a scan, in the order of the annotations.

    Args:
        scan: whose nodules.
        shape: voxels along (X, Y, Z).
        spacing_mm: size of the cubic voxels.

    Raises:
        FileError: the scan or its mask of the lungs cannot be read.
        GeometryError: the mask lies on another grid.
        DataError: no lungs.
    """
    if not scan.nodules:
        return ()
    ct, lungs = scan.read(), scan.lungs()
    patches = []
    for nodule in scan.nodules:
        grid = patch_grid(nodule.position_mm, shape, spacing_mm)
        image = cut(ct, grid)
        patches.append(
            NodulePatch(
                image.array,
                nodule_mask(image, nodule),
                np.asarray(cut(lungs, grid).array),
                grid.affine,
                scan.uid,
                nodule.position_mm,
                nodule.diameter_mm,
            )
        )
    return tuple(patches)


def healthy_patches(
    scan: Luna16Scan,
    count: int,
    rng: np.random.Generator,
    *,
    radius_mm: float = 5.0,
    margin_mm: float = 3.0,
    on_wall: bool = False,
    shape: Shape = (32, 32, 32),
    spacing_mm: float = 1.0,
) -> tuple[NodulePatch, ...]:
    """Patches of healthy lung, each about a site for a nodule by the rule of ``SiteFinder``.

    The site is free of findings, vessels and wall; the rest of the patch may hold any of them.

    Args:
        scan: where to look.
        count: how many; fewer where the lungs have no more sites.
        rng: determines the sites.
        radius_mm: of the free ball in the middle.
        margin_mm: between it and the wall.
        on_wall: sites at the pleura instead.
        shape: voxels along (X, Y, Z).
        spacing_mm: size of the cubic voxels.

    Raises:
        FileError: the scan or its mask of the lungs cannot be read.
        GeometryError: the mask lies on another grid.
        DataError: no lungs, or not a single site in them.
    """
    ct, lungs = scan.read(), scan.lungs()
    finder = SiteFinder(ct, lungs, (*scan.nodules, *scan.excluded))
    patches: list[NodulePatch] = []
    for _ in range(count):
        try:
            site = finder.find(radius_mm, rng, margin_mm=margin_mm, on_wall=on_wall)
        except DataError:
            if not patches:
                raise
            break
        grid = patch_grid(site.position_mm, shape, spacing_mm)
        patches.append(
            NodulePatch(
                cut(ct, grid).array,
                np.zeros(shape, bool),
                np.asarray(cut(lungs, grid).array),
                grid.affine,
                scan.uid,
                site.position_mm,
                0.0,
            )
        )
    return tuple(patches)


def nodule_mask(patch: Volume, nodule: Nodule) -> Mask:
    """Segment an annotated nodule, since LUNA16 gives a sphere and no contour.

    Within 1.5 annotated radii, what is denser than half way between the parenchyma about it (median
    of the voxels below -600 HU) and its own middle (median within half a radius), and connected to
    the middle; then what an opening by a third of the radius leaves, which severs vessels. Where
    nothing stands out, the annotated sphere.

    Args:
        patch: HU, the nodule in it; cubic voxels.
        nodule: position and diameter.

    Returns:
        (X, Y, Z) bool.
    """
    spacing = float(np.mean(patch.spacing_mm))
    index = np.indices(patch.shape).reshape(3, -1).T
    centre = to_index(patch, nodule.position_mm)
    away = np.linalg.norm(index - centre, axis=1).reshape(patch.shape) * spacing
    sphere = away <= max(nodule.radius_mm, 0.87 * spacing)
    near = away <= SEARCH * nodule.radius_mm
    core = away <= max(CORE * nodule.radius_mm, 0.87 * spacing)
    around = patch.array[(away <= 2 * SEARCH * nodule.radius_mm + 3 * spacing) & ~near]
    around = around[(around > LUNG_HU[0]) & (around < LUNG_HU[1])]
    if not around.size or not core.any():
        return np.asarray(sphere)
    threshold = (float(np.median(around)) + float(np.median(patch.array[core]))) / 2
    dense = near & (patch.array > threshold)
    opened = _opened(dense, nodule.radius_mm / 3, spacing)
    piece = _piece_with(opened, core)
    # A mask much smaller than the annotation has found something else: a vessel, noise.
    return piece if piece.sum() > sphere.sum() / 8 else np.asarray(sphere)


def _opened(mask: Mask, radius_mm: float, spacing_mm: float) -> Mask:
    steps = math.floor(radius_mm / spacing_mm)
    if not steps:
        return mask
    offset = np.linalg.norm(np.indices((2 * steps + 1,) * 3).T - steps, axis=-1)
    return np.asarray(ndimage.binary_opening(mask, offset <= radius_mm / spacing_mm))


def _piece_with(mask: Mask, core: Mask) -> Mask:
    """The connected piece that has most voxels in the core."""
    labels, count = ndimage.label(mask)
    held = np.bincount(labels[core], minlength=count + 1)
    held[0] = 0
    return np.asarray(labels == held.argmax()) if held.any() else np.zeros(mask.shape, bool)
