"""Findings drawn into a CT of a thorax."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medgan.phantoms.thorax_anatomy import ThoraxImage
from medgan.phantoms.thorax_nodule_shape import filled
from medgan.phantoms.thorax_nodules import PhantomNodule, Plan
from medgan.phantoms.thorax_sites import Site
from medgan.volumes.geometry import Grid, apply_affine

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class DrawnFinding:
    """A finding as it is in an image.

    Attributes:
        nodule: what it is.
        share: (X, Y, Z) float32 in [0, 1], how much of each voxel it fills.
        solid: (X, Y, Z) float32 in [0, 1], how much of each voxel its solid part fills: all of it,
            the core of a part-solid one, nothing of ground glass.
    """

    nodule: PhantomNodule
    share: Floats
    solid: Floats


def draw_finding(image: ThoraxImage, grid: Grid, plan: Plan, site: Site) -> DrawnFinding:
    """Draw a finding into an image in place.

    What is denser already, such as a vessel in ground glass, stays (Hansell et al., Fleischner
    Society glossary, Radiology 2008;246:697: ground glass does not hide vessels).

    Args:
        image: changed in place.
        grid: where its voxels lie.
        plan: what to draw.
        site: where.
    """
    body = filled(plan.shape, site.centre_mm, grid)
    edge = abs(np.linalg.det(grid.affine[:3, :3])) ** (1 / 3)
    voxels, part, drawn = image.hu[body.box], body.share, body.share
    if site.attachment == "pleura":
        lung = np.clip(np.float32(0.5) - image.lung_mm[body.box] / np.float32(edge), 0, 1)
        # Where lung and wall share a voxel only lung is replaced: no dark seam is left between.
        part, drawn = part * lung, part * (lung > 0)
    voxels += drawn * np.maximum(np.float32(plan.hu) - voxels, 0)
    share = np.zeros(grid.shape, dtype=np.float32)
    share[body.box] = part
    solid = np.zeros_like(share) if plan.kind == "ground-glass" else share
    if plan.core is not None:
        relative, hu = plan.core
        core = filled(plan.shape.sized(plan.shape.diameter_mm * relative), site.centre_mm, grid)
        inner = image.hu[core.box]
        inner += core.share * np.maximum(np.float32(hu) - inner, 0)
        solid = np.zeros_like(share)
        solid[core.box] = np.minimum(core.share, share[core.box])
    return DrawnFinding(_as_drawn(part, body.box, grid, plan, site), share, solid)


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
