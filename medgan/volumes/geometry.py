"""Voxel grids in patient space: orientation, spacing, equality.

World coordinates are RAS (right, anterior, superior) in mm throughout; a voxel's index is that of
its centre, so a volume reaches from index -0.5 to n - 0.5 along an axis of n voxels.
"""

from dataclasses import dataclass, replace
from itertools import combinations, product
from typing import Any, Self

import numpy as np
from nibabel import orientations
from numpy.typing import ArrayLike, NDArray

from medgan.errors import GeometryError
from medgan.volumes.volume import Volume

Affine = NDArray[np.float64]

_LPS_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_LETTERS = ("RL", "AP", "SI")


@dataclass(frozen=True, eq=False)
class Grid:
    """Where the voxels of a volume lie.

    Attributes:
        shape: number of voxels along (X, Y, Z).
        affine: (4, 4) float64, read-only; voxel index (i, j, k, 1) -> RAS position in mm.

    Raises:
        GeometryError: an axis without voxels, or an affine that is not invertible.
    """

    shape: tuple[int, int, int]
    affine: Affine

    def __post_init__(self) -> None:
        affine = np.array(self.affine, dtype=np.float64)
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise GeometryError(
                "a grid has three non-empty axes", measured=self.shape, limit="(X, Y, Z)"
            )
        if affine.shape != (4, 4) or not abs(np.linalg.det(affine[:3, :3])) >= 1e-9:
            raise GeometryError("an affine is an invertible 4 x 4 matrix", measured=affine.tolist())
        affine.flags.writeable = False
        object.__setattr__(self, "affine", affine)

    @classmethod
    def of(cls, volume: Volume) -> Self:
        """The grid that a volume's voxels lie on."""
        return cls(volume.shape, volume.affine)

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between voxel centres along each array axis, in mm."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(x), float(y), float(z)


def apply_affine(affine: Affine, points: ArrayLike) -> NDArray[np.float64]:
    """Map points by an affine, ``A @ (p, 1)`` for every point p.

    Args:
        affine: (4, 4).
        points: (..., 3).

    Returns:
        (..., 3) float64.
    """
    return np.asarray(points, dtype=np.float64) @ affine[:3, :3].T + affine[:3, 3]


def lps_to_ras(affine: Affine) -> Affine:
    """Turn an affine to LPS world coordinates (DICOM, ITK) into one to RAS (NIfTI), both in mm."""
    return _LPS_RAS @ affine


def ras_to_lps(affine: Affine) -> Affine:
    """Turn an affine to RAS world coordinates (NIfTI) into one to LPS (DICOM, ITK), both in mm."""
    return _LPS_RAS @ affine


def axis_codes(affine: Affine) -> str:
    """Name the patient direction nearest to each array axis, such as "RAS" or "LPI".

    Args:
        affine: (4, 4) voxel index -> RAS mm; may be oblique or sheared.
    """
    return "".join(orientations.aff2axcodes(affine))


def is_sheared(affine: Affine, tolerance: float = 1e-3) -> bool:
    """Whether the voxel axes are not at right angles, as after a tilted CT gantry.

    Args:
        affine: (4, 4).
        tolerance: the largest |cosine| between two axes that still counts as a right angle.
    """
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return any(abs(axes[:, a] @ axes[:, b]) > tolerance for a, b in combinations(range(3), 2))


def reorient(volume: Volume, codes: str = "RAS") -> Volume:
    """Permute and flip array axes towards given patient directions; no value is interpolated.

    Args:
        volume: any orientation; an oblique one stays as oblique as it is.
        codes: one letter for each array axis, of R or L, A or P, S or I in any order.

    Returns:
        The same voxels at the same places, axes in the closest orientation to ``codes``.

    Raises:
        GeometryError: ``codes`` does not name the three patient axes once each.
    """
    named = sorted(i for code in codes for i, pair in enumerate(_LETTERS) if code in pair)
    if len(codes) != 3 or named != [0, 1, 2]:
        raise GeometryError(
            "unknown orientation", measured=codes, limit="one each of R/L, A/P and S/I"
        )
    if axis_codes(volume.affine) == codes:
        return volume
    change = orientations.ornt_transform(
        orientations.io_orientation(volume.affine), orientations.axcodes2ornt(codes)
    )
    array = orientations.apply_orientation(volume.array, change)
    affine = volume.affine @ orientations.inv_ornt_aff(change, volume.shape)
    # Contiguous because torch cannot wrap an array of negative strides.
    return replace(volume, array=np.ascontiguousarray(array), affine=affine)


def crop(volume: Volume, box: tuple[slice, slice, slice]) -> Volume:
    """The part of a volume inside a box of voxel indices, at its place in the patient."""
    affine = volume.affine.copy()
    affine[:3, 3] = apply_affine(affine, [side.start or 0 for side in box])
    return replace(volume, array=volume.array[box], affine=affine)


def grid_with_spacing(grid: Grid, spacing_mm: tuple[float, float, float]) -> Grid:
    """The grid of another voxel size over the same part of the patient.

    Args:
        grid: where to look.
        spacing_mm: voxel size along each of the grid's own axes.

    Returns:
        Same axis directions and same centre; it covers the whole of ``grid`` and exceeds it by less
        than one voxel along each axis.

    Raises:
        GeometryError: a spacing that is not positive.
    """
    if not min(spacing_mm) > 0:
        raise GeometryError("a voxel size must be positive", measured=spacing_mm)
    extents = np.multiply(grid.shape, grid.spacing_mm)
    # A thousandth of a voxel is forgiven, so that rounding in a header adds no slice.
    counts = np.maximum(1, np.ceil(extents / spacing_mm - 1e-3)).astype(int)
    centre = apply_affine(grid.affine, (np.asarray(grid.shape) - 1) / 2)
    affine = grid.affine.copy()
    affine[:3, :3] *= np.divide(spacing_mm, grid.spacing_mm)
    affine[:3, 3] = centre - affine[:3, :3] @ ((counts - 1) / 2)
    x, y, z = (int(count) for count in counts)
    return Grid((x, y, z), affine)


def _corners(grid: Grid | Volume) -> NDArray[np.float64]:
    indices = list(product(*((-0.5, size - 0.5) for size in grid.shape)))
    return apply_affine(grid.affine, indices)


def _disagreement(a: Grid | Volume, b: Grid | Volume) -> float:
    """The largest distance between corresponding outer corners, in mm."""
    return float(np.linalg.norm(_corners(a) - _corners(b), axis=1).max())


def same_grid(a: Grid | Volume, b: Grid | Volume, tolerance_mm: float = 0.01) -> bool:
    """Whether two grids have the same shape and their corners within a tolerance of each other."""
    return a.shape == b.shape and _disagreement(a, b) <= tolerance_mm


def require_same_grid(a: Grid | Volume, b: Grid | Volume, tolerance_mm: float = 0.01) -> None:
    """Refuse two volumes whose voxels do not lie at the same places.

    Raises:
        GeometryError: the shapes differ, or a corner lies farther away than the tolerance.
    """
    remedy = "Resample one of them onto the grid of the other"
    facts: dict[str, Any] | None = None
    if a.shape != b.shape:
        facts = {"measured": b.shape, "limit": a.shape}
    elif (distance := _disagreement(a, b)) > tolerance_mm:
        facts = {"measured": f"{distance:.4g} mm apart", "limit": f"{tolerance_mm:g} mm"}
    if facts:
        raise GeometryError("the two volumes lie on different grids", remedy=remedy, **facts)
