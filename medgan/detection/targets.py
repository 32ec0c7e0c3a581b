"""What the network should say of a patch whose nodules are known."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SIGMA_OF_DIAMETER = 1 / 6
"""Width of a nodule's Gaussian as a share of its diameter: a third of the radius.

Source: Law & Deng, CornerNet, ECCV 2018, section 3.2.
"""

LEAST_SIGMA_CELLS = 0.5
"""Below it the Gaussian would fall between the cells."""

LEARNS_ABOVE = 0.1
"""Cells of a greater heatmap value learn place and diameter: the peak may come to lie on them."""


@dataclass(frozen=True, eq=False)
class Findings:
    """Spheres in an image.

    Attributes:
        centre: (n, 3) float64, voxel index.
        diameter_mm: (n,) float64.
    """

    centre: NDArray[np.float64]
    diameter_mm: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CellTargets:
    """Targets of one patch; (X, Y, Z) are cells.

    Attributes:
        heatmap: (X, Y, Z) float32 in [0, 1]; 1 in the cell that holds a nodule's centre.
        counts: (X, Y, Z) float32, 0 where an excluded finding lies, else 1.
        offset: (3, X, Y, Z) float32, from the cell's centre to its nodule's, in cells.
        log_diameter: (X, Y, Z) float32, of mm.
    """

    heatmap: NDArray[np.float32]
    counts: NDArray[np.float32]
    offset: NDArray[np.float32]
    log_diameter: NDArray[np.float32]


def cell_targets(
    patch: int, stride: int, spacing_mm: float, nodules: Findings, excluded: Findings
) -> CellTargets:
    """Draw the targets of a patch.

    A nodule is a Gaussian about the cell that holds its centre, ``exp(-|c - c0|^2 / 2 s^2)`` with
    ``s = diameter / 6``, at least half a cell; where several overlap, the greatest counts and says
    where to point. What lies inside an excluded finding is neither right nor wrong, except for
    the centres of nodules.

    Args:
        patch: its edge in voxels, a multiple of ``stride``.
        stride: voxels to a cell.
        spacing_mm: edge of a voxel.
        nodules: to be found; of those centred outside, what reaches into the patch.
        excluded: to be ignored.

    Source: Law & Deng, CornerNet, ECCV 2018, section 3.2; Zhou et al., arXiv:1904.07850, section 3.
    """
    shape = (patch // stride,) * 3
    heatmap = np.zeros(shape)
    offset = np.zeros((3, *shape))
    log_diameter = np.zeros(shape)
    for centre, cells_wide, diameter in _in_cells(nodules, stride, spacing_mm):
        sigma = max(cells_wide * SIGMA_OF_DIAMETER, LEAST_SIGMA_CELLS)
        value = np.exp(-_squared_distance(shape, np.round(centre)) / (2 * sigma**2))
        greater = value > heatmap
        heatmap[greater] = value[greater]
        offset[:, greater] = centre[:, None] - np.argwhere(greater).T
        log_diameter[greater] = np.log(diameter)
    counts = np.ones(shape)
    for centre, cells_wide, _ in _in_cells(excluded, stride, spacing_mm):
        inside = _squared_distance(shape, centre) < (cells_wide / 2) ** 2
        # a small finding lies between cell centres: the cell that holds it is always left out
        inside |= _squared_distance(shape, np.round(centre)) == 0
        counts[inside & (heatmap < 1)] = 0
    return CellTargets(
        heatmap.astype(np.float32),
        counts.astype(np.float32),
        offset.astype(np.float32),
        log_diameter.astype(np.float32),
    )


def _in_cells(
    findings: Findings, stride: int, spacing_mm: float
) -> Iterator[tuple[NDArray[np.float64], float, float]]:
    """Centre in cells, diameter in cells and diameter in mm of each."""
    for centre, diameter in zip(findings.centre, findings.diameter_mm, strict=True):
        yield cell_position(centre, stride), diameter / (stride * spacing_mm), float(diameter)


def _squared_distance(
    shape: tuple[int, int, int], point: NDArray[np.float64]
) -> NDArray[np.float64]:
    x, y, z = ((np.arange(size) - p) ** 2 for size, p in zip(shape, point, strict=True))
    return np.asarray(x[:, None, None] + y[:, None] + z)


def cell_position(voxel: NDArray[np.float64], stride: int) -> NDArray[np.float64]:
    """Where a voxel index lies in cells: cell i holds the voxels from i * stride on."""
    return (voxel - (stride - 1) / 2) / stride


def voxel_position(cell: NDArray[np.float64], stride: int) -> NDArray[np.float64]:
    """Undo ``cell_position``."""
    return cell * stride + (stride - 1) / 2
