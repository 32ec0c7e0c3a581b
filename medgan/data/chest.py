"""Chests on a model's grid: CT numbers, tissues and nodules of every axial slice."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from medgan.config import PreparationConfig
from medgan.data.chest_tissues import IN_LUNG, ChestTissue, TissueMap, chest_tissues
from medgan.data.luna16_scan import Luna16Scan, Nodule
from medgan.data.nodule_patches import SEARCH, cut, nodule_mask, patch_grid
from medgan.data.nodule_shapes import NoduleShape
from medgan.data.preparation import CT_FLOOR_HU, prepare
from medgan.data.samples import Mask
from medgan.data.slices import fit_matrix
from medgan.errors import DataError
from medgan.volumes import Modality, Volume
from medgan.volumes.geometry import Grid, apply_affine, grid_with_spacing, reorient
from medgan.volumes.resampling import resample

MOST_NODULES = 255
"""Numbers of nodules are bytes."""

_MASK_MM = 1.0
"""Voxels in which annotated nodules are segmented."""


@dataclass(frozen=True, eq=False)
class Chest:
    """A chest; its arrays are (Z, X, Y), so that one index gives a slice.

    Attributes:
        hu: int16; air outside the body.
        tissues: uint8, values of ``ChestTissue``.
        body: bool, the patient and a margin.
        numbers: uint8, number of the nodule from 1 on, 0 where there is none.
        affine: (4, 4) voxel index (i, j, k) of (X, Y, Z) -> RAS mm.
    """

    hu: NDArray[np.int16]
    tissues: TissueMap
    body: Mask
    numbers: NDArray[np.uint8]
    affine: NDArray[np.float64]

    @classmethod
    def of(
        cls, ct: Volume, lungs: Volume, nodules: Sequence[Volume], preparation: PreparationConfig
    ) -> Self:
        """Bring a scan onto the model's grid, fit it to the matrix and find its tissues.

        Args:
            ct: HU, any orientation and voxel size.
            lungs: LABEL on any grid; what is not 0 is lung.
            nodules: LABEL on any grid each; what is not 0 is the nodule.
            preparation: voxel size and matrix.

        Raises:
            DataError: no body, or more than 255 nodules.
        """
        if len(nodules) > MOST_NODULES:
            raise DataError("too many nodules", measured=len(nodules), limit=MOST_NODULES)
        prepared = prepare(_coarse(ct, preparation), preparation)
        grid = Grid.of(prepared.volume)
        numbers = np.zeros(grid.shape, np.uint8)
        for number, nodule in enumerate(nodules, 1):
            numbers[resample(nodule, grid).array != 0] = number
        inside = resample(lungs.with_array(lungs.array != 0), grid).array
        tissues = chest_tissues(
            prepared.volume.array, grid.spacing_mm, prepared.mask, inside, numbers
        )
        return cls(
            _fitted(prepared.volume.array, preparation, -1000, np.int16),
            _fitted(tissues, preparation, ChestTissue.AIR, np.uint8),
            _fitted(prepared.mask_with_margin, preparation, 0, np.bool_),
            _fitted(numbers, preparation, 0, np.uint8),
            _affine_of_fitted(grid, preparation),
        )

    @classmethod
    def of_scan(cls, scan: Luna16Scan, preparation: PreparationConfig) -> Self:
        """A scan with the nodules that are annotated in it, in their order.

        Raises:
            FileError: the scan or its mask of the lungs cannot be read.
            GeometryError: the mask lies on another grid.
            DataError: no lungs, no body, or more than 255 nodules.
        """
        ct = scan.read()
        masks = [_segmented(ct, nodule) for nodule in scan.nodules]
        return cls.of(ct, scan.lungs(), masks, preparation)

    @property
    def grid(self) -> Grid:
        """Of (X, Y, Z)."""
        count, x, y = self.hu.shape
        return Grid((x, y, count), self.affine)

    def with_nodule(self, shape: NoduleShape, position_mm: tuple[float, float, float]) -> Self:
        """The map with one nodule more; the CT numbers stay as they are.

        Lung and vessels give way to it; what is not lung cuts it, as the pleura does.

        Args:
            shape: of the nodule, and its density.
            position_mm: of its middle, LPS.

        Raises:
            DataError: nothing of it lies in the lungs, or there are 255 nodules already.
        """
        number = int(self.numbers.max()) + 1
        if number > MOST_NODULES:
            raise DataError("too many nodules", measured=number, limit=MOST_NODULES)
        room = np.isin(self.tissues, IN_LUNG)
        inside = self._mask(shape, position_mm) & room
        if not inside.any():
            raise DataError("nothing of the nodule would lie in the lung")
        part = shape.solid_part
        solid = inside & (part is not None and self._mask(part, position_mm))
        tissues, numbers = self.tissues.copy(), self.numbers.copy()
        tissues[inside] = ChestTissue.GROUND_GLASS
        tissues[solid] = ChestTissue.NODULE
        numbers[inside] = number
        return replace(self, tissues=tissues, numbers=numbers)

    def nodule_slices(self) -> tuple[int, ...]:
        """The slice on which each nodule is largest, in the order of their numbers.

        Nodules of less than half a voxel have none.
        """
        areas = [
            (self.numbers == number).sum(axis=(1, 2))
            for number in range(1, int(self.numbers.max()) + 1)
        ]
        return tuple(int(area.argmax()) for area in areas if area.any())

    def lung_slices(self) -> tuple[int, ...]:
        """Slices with lung on them, ascending."""
        lung = np.isin(self.tissues, IN_LUNG).any(axis=(1, 2))
        return tuple(np.flatnonzero(lung).tolist())

    def volume(
        self, index: int, array: NDArray[Any], modality: Modality, *, synthetic: bool = False
    ) -> Volume:
        """Values (X, Y) of a slice at their place in the patient: a volume (X, Y, 1)."""
        affine = self.affine.copy()
        affine[:3, 3] = apply_affine(affine, [0, 0, index])
        return Volume(array[..., None], affine, modality, synthetic=synthetic)

    def _mask(self, shape: NoduleShape, position_mm: tuple[float, float, float]) -> Mask:
        return np.moveaxis(shape.mask_on(self.grid, position_mm), -1, 0)


def _coarse(ct: Volume, preparation: PreparationConfig) -> Volume:
    """A scan in the model's voxels: the body is found in a tenth of the time."""
    upright = reorient(ct.with_array(np.maximum(ct.array, CT_FLOOR_HU)))
    return resample(upright, grid_with_spacing(Grid.of(upright), preparation.spacing_mm))


def _segmented(ct: Volume, nodule: Nodule) -> Volume:
    """An annotated nodule as a mask in a box of its own."""
    size = 2 * math.ceil((2 * SEARCH * nodule.radius_mm + 4) / _MASK_MM) + 1
    image = cut(ct, patch_grid(nodule.position_mm, (size, size, size), _MASK_MM))
    return image.with_array(nodule_mask(image, nodule), modality="LABEL")


def _fitted(
    array: NDArray[Any], preparation: PreparationConfig, fill: float, dtype: type
) -> NDArray[Any]:
    """Slices (X, Y, Z) fitted to the matrix, (Z, X', Y')."""
    slices = np.moveaxis(array, -1, 0).astype(np.float32)
    return np.rint(fit_matrix(slices, preparation.matrix, fill)).astype(dtype)


def _affine_of_fitted(grid: Grid, preparation: PreparationConfig) -> NDArray[np.float64]:
    """Where the first voxel of fitted slices lies; see ``fit_matrix``."""
    starts = [
        (have - min(have, want)) // 2 - (want - min(have, want)) // 2
        for have, want in zip(grid.shape[:2], preparation.matrix, strict=True)
    ]
    affine = grid.affine.copy()
    affine[:3, 3] = apply_affine(affine, [*starts, 0])
    return affine
