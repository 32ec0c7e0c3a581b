"""How far anatomy has moved: the distance in mm between the same edge of two images.

An error in HU does not say whether a bone has another brightness or lies elsewhere. Here only the
place counts: both images are cut at one value, and the cuts are compared.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes, gaussian_filter
from scipy.spatial import cKDTree

from medgan.errors import DataError
from medgan.metrics.tissues import AIR_BELOW_HU, BONE_ABOVE_HU

Array = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]

PERCENTILE = 95.0

_NORMAL_SIGMA = 1.0
"""Voxels over which normals are smoothed: they steer the distance, the place is not smoothed."""


@dataclass(frozen=True)
class Edge:
    """A kind of edge.

    Attributes:
        level_hu: where it is cut.
        outermost: whether what lies below the level and is enclosed (sinuses, airways) is passed
            over, so that the skin alone is left.
    """

    level_hu: float
    outermost: bool = False


SKIN = Edge(AIR_BELOW_HU, outermost=True)
BONE = Edge(BONE_ABOVE_HU)


@dataclass(frozen=True)
class EdgeDisplacement:
    """How far one kind of edge lies from that of the reference.

    Each crossing counts for the area of edge it stands for; those of the result and those of the
    reference are taken together. All distances are NaN where either image has no such edge.

    Attributes:
        mean_mm: mean surface distance.
        median_mm: likewise the median.
        p95_mm: 95th percentile.
        n_result: crossings of the result's edge that were measured.
        n_reference: crossings of the reference's.
    """

    mean_mm: float
    median_mm: float
    p95_mm: float
    n_result: int
    n_reference: int


def edge_displacement_mm(
    result: Array,
    reference: Array,
    mask: Mask,
    spacing_mm: tuple[float, ...],
    edge: Edge = BONE,
) -> EdgeDisplacement:
    """Symmetric distance of the surfaces where two images cross a level.

    A crossing is found on the line between two neighbouring voxels by linear interpolation. Its
    distance is that to the nearest crossing of the other image, taken as a flat disc across the
    edge there, half a voxel's diagonal in radius: to the bare point it would be too long by the
    gaps between points. The edges of a circle moved by s therefore read 2s/pi, the mean of what
    the shift amounts to across the edge; a sphere grown by r reads r.

    Args:
        result: (X, Y) or (X, Y, Z) HU.
        reference: likewise, on the same grid.
        mask: likewise bool. Crossings with a voxel in it are measured, against all of the other
            image's, so that no edge is cut off where it only just leaves the mask.
        spacing_mm: voxel size, one for each axis.
        edge: the kind of edge.

    Raises:
        DataError: the shapes differ, or a value is not finite.

    Source: symmetric mean surface distance, Heimann et al., IEEE Transactions on Medical Imaging
        28 (2009), doi:10.1109/TMI.2009.2013851, with surfaces as sub-voxel crossings.
    """
    _require_usable(result, reference, mask, spacing_mm)
    ours = _Surface.of(result, mask, spacing_mm, edge)
    truth = _Surface.of(reference, mask, spacing_mm, edge)
    counts = int(ours.measured.sum()), int(truth.measured.sum())
    if not all(counts):
        return EdgeDisplacement(np.nan, np.nan, np.nan, *counts)
    distances = np.concatenate([ours.distances_to(truth), truth.distances_to(ours)])
    areas = np.concatenate([ours.areas[ours.measured], truth.areas[truth.measured]])
    median, high = np.quantile(
        distances, [0.5, PERCENTILE / 100], weights=areas, method="inverted_cdf"
    )
    mean = np.average(distances, weights=areas)
    return EdgeDisplacement(float(mean), float(median), float(high), *counts)


@dataclass(frozen=True, eq=False)
class _Surface:
    """Crossings of one image.

    Attributes:
        points: (n, axes) mm.
        normals: (n, axes), of length 1.
        areas: (n,) of the edge that each stands for; mm in 2-D, mm^2 in 3-D.
        measured: (n,) bool, whether it lies in the mask.
        radius_mm: of the discs.
    """

    points: NDArray[np.float64]
    normals: NDArray[np.float64]
    areas: NDArray[np.float64]
    measured: NDArray[np.bool_]
    radius_mm: float

    @classmethod
    def of(cls, array: Array, mask: Mask, spacing_mm: tuple[float, ...], edge: Edge) -> Self:
        spacing = np.array(spacing_mm, dtype=np.float64)
        heights = np.asarray(array, dtype=np.float64) - edge.level_hu
        gradients = [_gradient(heights, axis, spacing) for axis in range(heights.ndim)]
        if edge.outermost:
            # Solid to the level sets: inner walls vanish, and the skin stays where it is.
            solid = binary_fill_holes(heights >= 0)
            heights = np.where(solid, np.maximum(heights, 0), heights)
        found = [
            _along_axis(heights, mask, gradients, spacing, axis) for axis in range(heights.ndim)
        ]
        return cls(
            points=np.concatenate([each.points for each in found]),
            normals=np.concatenate([each.normals for each in found]),
            areas=np.concatenate([each.areas for each in found]),
            measured=np.concatenate([each.measured for each in found]),
            radius_mm=found[0].radius_mm,
        )

    def distances_to(self, other: "_Surface") -> NDArray[np.float64]:
        """Distance in mm of each measured crossing from the other surface's nearest disc."""
        points = self.points[self.measured]
        _, nearest = cKDTree(other.points).query(points)
        offset = points - other.points[nearest]
        across = np.abs(np.einsum("ij,ij->i", offset, other.normals[nearest]))
        along = np.sqrt(np.maximum(np.einsum("ij,ij->i", offset, offset) - across**2, 0))
        return np.hypot(across, np.maximum(along - other.radius_mm, 0))


def _gradient(heights: NDArray[np.float64], axis: int, spacing: NDArray[np.float64]) -> Array:
    order = [int(each == axis) for each in range(heights.ndim)]
    return gaussian_filter(heights, _NORMAL_SIGMA, order) / spacing[axis]


def _along_axis(
    heights: NDArray[np.float64],
    mask: Mask,
    gradients: list[Array],
    spacing: NDArray[np.float64],
    axis: int,
) -> _Surface:
    """The crossings of level 0 on the lines of voxels along one axis."""
    low = np.moveaxis(heights, axis, 0)[:-1]
    high = np.moveaxis(heights, axis, 0)[1:]
    found = np.moveaxis((low >= 0) != (high >= 0), 0, axis)
    first = np.nonzero(found)
    second = tuple(index + (each == axis) for each, index in enumerate(first))
    share = heights[first] / (heights[first] - heights[second])
    points = np.stack(first, axis=1) * spacing
    points[:, axis] += share * spacing[axis]
    slopes = np.stack([(1 - share) * g[first] + share * g[second] for g in gradients], axis=1)
    lengths = np.linalg.norm(slopes, axis=1, keepdims=True)
    along = np.eye(heights.ndim)[axis]
    normals = np.divide(slopes, lengths, out=np.tile(along, (len(share), 1)), where=lengths > 0)
    # Lines along an axis meet a surface in proportion to |n_i|; with another |n_i| as weight the
    # axes add up to n . n = 1, whichever way the surface runs and whatever the voxel's shape.
    areas = np.abs(normals[:, axis]) * (np.prod(spacing) / spacing[axis])
    radius_mm = float(np.linalg.norm(spacing) / 2)
    return _Surface(points, normals, areas, mask[first] | mask[second], radius_mm)


def _require_usable(
    result: Array, reference: Array, mask: Mask, spacing_mm: tuple[float, ...]
) -> None:
    if not (result.shape == reference.shape == mask.shape) or len(spacing_mm) != result.ndim:
        raise DataError(
            "edges are compared on one grid",
            measured=f"result {result.shape}, mask {mask.shape}, {len(spacing_mm)} spacings",
            limit=f"those of the reference, {reference.shape}",
        )
    if not (np.isfinite(result).all() and np.isfinite(reference).all()):
        raise DataError("edges of an image with values that are not finite")
