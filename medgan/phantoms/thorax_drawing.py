"""Findings drawn into a CT of a thorax."""

import numpy as np
from numpy.typing import NDArray

from medgan.phantoms.thorax_anatomy import ThoraxImage
from medgan.phantoms.thorax_nodule_shape import filled
from medgan.phantoms.thorax_nodules import PhantomNodule, Plan
from medgan.phantoms.thorax_sites import Site
from medgan.volumes.geometry import Grid, apply_affine

Floats = NDArray[np.float32]


def draw_finding(
    image: ThoraxImage, grid: Grid, plan: Plan, site: Site
) -> tuple[PhantomNodule, Floats]:
    """Draw a finding into an image in place.

    What is denser already, such as a vessel in ground glass, stays (Hansell et al., Fleischner
    Society glossary, Radiology 2008;246:697: ground glass does not hide vessels).

    Args:
        image: changed in place.
        grid: where its voxels lie.
        plan: what to draw.
        site: where.

    Returns:
        The finding as it is in the image, and the share of every voxel that it fills, (X, Y, Z).
    """
    body = filled(plan.shape, site.centre_mm, grid)
    edge = abs(np.linalg.det(grid.affine[:3, :3])) ** (1 / 3)
    voxels, part, drawn = image.hu[body.box], body.share, body.share
    if site.attachment == "pleura":
        lung = np.clip(np.float32(0.5) - image.lung_mm[body.box] / np.float32(edge), 0, 1)
        # Where lung and wall share a voxel only lung is replaced: no dark seam is left between.
        part, drawn = part * lung, part * (lung > 0)
    voxels += drawn * np.maximum(np.float32(plan.hu) - voxels, 0)
    if plan.core is not None:
        relative, hu = plan.core
        core = filled(plan.shape.sized(plan.shape.diameter_mm * relative), site.centre_mm, grid)
        inner = image.hu[core.box]
        inner += core.share * np.maximum(np.float32(hu) - inner, 0)
    share = np.zeros(grid.shape, dtype=np.float32)
    share[body.box] = part
    return _as_drawn(part, body.box, grid, plan, site), share


def _as_drawn(
    part: Floats, box: tuple[slice, slice, slice], grid: Grid, plan: Plan, site: Site
) -> PhantomNodule:
    volume = float(part.sum(dtype=np.float64)) * abs(np.linalg.det(grid.affine[:3, :3]))
    index = np.argwhere(part > 0)
    weight = part[part > 0].astype(np.float64)
    start = np.array([side.start for side in box])
    middle = apply_affine(grid.affine, (index * weight[:, None]).sum(0) / weight.sum() + start)
    x, y, z = (round(float(value), 4) for value in middle)
    return PhantomNodule(
        centre_mm=(x, y, z),
        diameter_mm=float((6 * volume / np.pi) ** (1 / 3)),
        drawn_mm=plan.shape.diameter_mm,
        kind=plan.kind,
        attachment=site.attachment,
        lobules=plan.lobules,
        spicules=plan.spicules,
        hu=plan.hu,
    )
