"""How the planes of a volume lie in the patient, in the terms of DICOM."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.valuerep import format_number_as_ds

from medgan.errors import GeometryError
from medgan.volumes import Volume
from medgan.volumes.geometry import axis_codes, is_sheared, ras_to_lps, reorient

Vector = NDArray[np.float64]

_DISPLAYED = {"S": "LPS", "I": "LPS", "R": "PIR", "L": "PIR", "A": "LIP", "P": "LIP"}
"""Axes of a volume, by where its slices are stacked, that show planes as a radiologist expects
them: row and column directions of axial, sagittal and coronal planes, then their cross product."""

_SAME_SPACING = 0.01
"""Relative difference below which two voxel sizes count as one."""


@dataclass(frozen=True, eq=False)
class Stack:
    """Parallel planes, stacked along axis 2 of a volume. All in LPS and mm.

    Attributes:
        row: (3,) unit vector along a row of pixels (axis 0).
        column: (3,) unit vector down a column of pixels (axis 1).
        normal: (3,) unit vector, row x column.
        pixel_mm: distance between rows, distance between columns.
        step_mm: distance between neighbouring planes.
        positions: (Z, 3) centre of the first pixel of each plane.
    """

    row: Vector
    column: Vector
    normal: Vector
    pixel_mm: tuple[float, float]
    step_mm: float
    positions: NDArray[np.float64]

    def describe(self, plane: int) -> Dataset:
        """The attributes that place one plane.

        Args:
            plane: index along axis 2.

        Source:
            DICOM PS3.3 C.7.6.2 (Image Plane module).
        """
        header = Dataset()
        header.ImagePositionPatient = [as_ds(value) for value in self.positions[plane]]
        header.ImageOrientationPatient = [as_ds(value) for value in (*self.row, *self.column)]
        header.PixelSpacing = [as_ds(value) for value in self.pixel_mm]
        header.SliceLocation = as_ds(float(self.positions[plane] @ self.normal))
        if len(self.positions) > 1:
            header.SpacingBetweenSlices = as_ds(self.step_mm)
        return header


def stack_of(volume: Volume) -> Stack:
    """Where the planes (array[:, :, k]) of a volume lie.

    Raises:
        GeometryError: the voxel axes are not at right angles, or left-handed: DICOM orders
            planes along row x column.
    """
    affine = ras_to_lps(volume.affine)
    spacing = np.array(volume.spacing_mm)
    axes = affine[:3, :3] / spacing
    if is_sheared(affine):
        raise GeometryError(
            "voxel axes are not at right angles, for which a DICOM series has no form",
            measured=f"{_largest_cosine(axes):.4f}",
            limit="cosines up to 0.001",
            remedy="Resample the image onto a grid of right angles",
        )
    normal = np.cross(axes[:, 0], axes[:, 1])
    if normal @ axes[:, 2] < 0:
        raise GeometryError(
            "voxel axes are left-handed",
            measured=axis_codes(volume.affine),
            remedy="Reverse one axis",
        )
    planes = np.arange(volume.shape[2])[:, None]
    return Stack(
        row=axes[:, 0],
        column=axes[:, 1],
        normal=normal / np.linalg.norm(normal),
        pixel_mm=(float(spacing[1]), float(spacing[0])),
        step_mm=float(spacing[2]),
        positions=affine[:3, 3] + planes * affine[:3, 2],
    )


def as_planes(volume: Volume) -> Volume:
    """The same voxels at the same places, as a right-handed stack of planes along axis 2.

    Slices stay slices: where two voxel sizes agree and the third does not, planes are stacked along
    the third, else along the volume's own last axis. Axes are permuted and flipped, never mixed.
    """
    x, y, z = volume.spacing_mm
    slices = 2
    if not _agree(x, y):
        slices = 0 if _agree(y, z) else 1 if _agree(x, z) else 2
    return reorient(volume, _DISPLAYED[axis_codes(volume.affine)[slices]])


def as_ds(value: float) -> str:
    """A number as DICOM writes decimals: at most 16 characters, without a negative zero."""
    return format_number_as_ds(float(value) + 0.0)


def require_at(stack: Stack, plane: int, position: Sequence[float] | None, where: object) -> None:
    """Refuse a plane that does not lie where its source says.

    Args:
        stack: the planes.
        plane: index of one of them.
        position: (3,) Image Position (Patient) in the source, LPS mm; None where it has none.
        where: the source file.

    Raises:
        GeometryError: more than 0.01 mm apart.
    """
    expected = stack.positions[plane]
    distance = math.inf if position is None else float(np.linalg.norm(expected - position))
    if distance > 0.01:
        raise GeometryError(
            "a plane lies elsewhere than the header it came from says",
            where=where,
            measured=f"{distance:.4g} mm apart",
            limit="0.01 mm",
        )


def _agree(a: float, b: float) -> bool:
    return abs(a - b) <= _SAME_SPACING * max(a, b)


def _largest_cosine(axes: NDArray[np.float64]) -> float:
    products = np.abs(axes.T @ axes)
    return float(products[np.triu_indices(3, k=1)].max())
