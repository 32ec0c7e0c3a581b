"""A 3-D image and its place in the patient."""

from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medgan.errors import GeometryError

Modality = Literal["CT", "MR", "LABEL"]
Unit = Literal["HU", "arbitrary", "label"]

UNITS: dict[str, Unit] = {"CT": "HU", "MR": "arbitrary", "LABEL": "label"}
BACKGROUND: dict[str, float] = {"CT": -1000.0, "MR": 0.0, "LABEL": 0.0}
"""What surrounds the patient, by modality, in the modality's unit (air in CT is -1000 HU)."""


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    view = array.view()
    view.flags.writeable = False
    return view


@dataclass(frozen=True, eq=False)
class Volume:
    """An immutable 3-D scalar image on a grid in patient space.

    Attributes:
        array: (X, Y, Z), any real dtype, read-only. Values in ``unit``.
        affine: (4, 4) float64, read-only; voxel index (i, j, k, 1) -> RAS position in mm.
        modality: "CT", "MR" or "LABEL" (masks and label maps).
        frame_of_reference: DICOM frame of reference UID where known.
        synthetic: whether a model, not a scanner, made the values.

    Raises:
        GeometryError: array not 3-D, affine not an invertible 4 x 4 matrix of finite numbers.
    """

    array: NDArray[Any]
    affine: NDArray[np.float64]
    modality: Modality
    frame_of_reference: str | None = None
    synthetic: bool = False
    unit: Unit = field(init=False)

    def __post_init__(self) -> None:
        array = np.asanyarray(self.array)
        affine = np.array(self.affine, dtype=np.float64)
        if array.ndim != 3 or 0 in array.shape:
            raise GeometryError(
                "a volume has three non-empty axes", measured=array.shape, limit="(X, Y, Z)"
            )
        if affine.shape != (4, 4) or not np.isfinite(affine).all():
            raise GeometryError("an affine is a 4 x 4 matrix of finite numbers", measured=affine)
        if not np.array_equal(affine[3], [0, 0, 0, 1]):
            raise GeometryError("the last row of an affine is 0 0 0 1", measured=affine[3])
        if abs(np.linalg.det(affine[:3, :3])) < 1e-9:
            raise GeometryError(
                "the affine is singular: voxel axes are parallel or of zero length",
                measured=affine[:3, :3].tolist(),
            )
        if self.modality not in UNITS:
            raise GeometryError("unknown modality", measured=self.modality, limit=list(UNITS))
        object.__setattr__(self, "array", _frozen(array))
        object.__setattr__(self, "affine", _frozen(affine))
        object.__setattr__(self, "unit", UNITS[self.modality])

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of voxels along (X, Y, Z)."""
        x, y, z = self.array.shape
        return x, y, z

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between voxel centres along each array axis, in mm."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(x), float(y), float(z)

    @property
    def background(self) -> float:
        """The value of what surrounds the patient: -1000 HU in CT, 0 elsewhere."""
        return BACKGROUND[self.modality]

    def with_array(self, array: ArrayLike, **changes: Any) -> Self:
        """The same grid with other values.

        Args:
            array: (X, Y, Z), the shape of this volume.
            **changes: other fields to replace (``modality``, ``synthetic``).

        Raises:
            GeometryError: the shape differs.
        """
        array = np.asanyarray(array)
        if array.shape != self.shape:
            raise GeometryError(
                "new values must lie on the same grid", measured=array.shape, limit=self.shape
            )
        return replace(self, array=array, **changes)
