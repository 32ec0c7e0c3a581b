"""Nodules into a scan and out of it, on its own grid; elsewhere not one CT number changes."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from medgan.data.luna16_scan import Nodule
from medgan.data.nodule_condition import nodule_condition, share_of_mask, solid_share_of
from medgan.data.nodule_patches import cut, nodule_mask, patch_grid
from medgan.data.nodule_phantoms import cubic_patch, largest_mm
from medgan.data.nodule_shapes import NoduleShape
from medgan.data.samples import Image
from medgan.errors import DataError, ModelError
from medgan.io.luna16 import to_world
from medgan.models.model_file import Direction, Model
from medgan.networks import Context
from medgan.volumes import Volume
from medgan.volumes.geometry import Grid, apply_affine
from medgan.volumes.intensity import WindowScale
from medgan.volumes.resampling import resample

MARGIN_MM = 3.0
"""Farther than this from the voxels that a nodule touches nothing changes."""

FADE_MM = 1.5
"""Over this distance from a nodule's surface the network's changes fade."""

MODEL_EDGE_MM = 0.4
"""Blur of the edges that a model makes, as ``edge_sigma_mm`` has it: about that of its phantoms."""

CONDITIONS = 2


@dataclass(frozen=True, eq=False)
class Insertion:
    """A scan with one nodule more.

    Attributes:
        scan: grid and type of the scan that was given; ``synthetic``.
        nodule: as it lies in the lung: centre of gravity, LPS mm, and diameter of the sphere of its
            volume, which the pleura may have cut.
    """

    scan: Volume
    nodule: Nodule


class NoduleInserter:
    """A model of nodules at work on whole scans.

    About the nodule a patch is sampled on the model's grid and translated. What the network adds to
    it or takes from it fades over ``FADE_MM`` from the nodule's surface, is blurred to the edges of
    the scan, goes back onto the scan's grid and is added there. So the scan keeps its own noise,
    finer than the model's voxels; farther away than ``MARGIN_MM`` nothing is touched.

    Args:
        model: trained with ``data.nodules``.
        device: where the network runs.

    Raises:
        ModelError: another kind of model.
    """

    def __init__(self, model: Model, device: str = "cpu") -> None:
        network = model.card.network
        if network.conditions != CONDITIONS or network.spatial_dims != 3:
            raise ModelError(
                "the model knows nothing of nodules",
                measured=f"{network.conditions} conditions, {network.spatial_dims} dimensions",
                limit=f"{CONDITIONS} conditions, 3 dimensions",
                remedy="Train one with configs/luna16_nodules.yaml",
            )
        self.model = model
        self.device = device
        size, self.spacing_mm = cubic_patch(model.card.preparation)
        self.shape = (size, size, size)
        self.largest_mm = largest_mm(model.card.preparation)
        self.scale = WindowScale(*model.card.preparation.window_hu)
        self._networks = {way: model.generator(way).to(device) for way in model.card.directions}

    @classmethod
    def load(cls, place: Path | str) -> Self:
        """From a model file or a run folder, on the GPU where there is one."""
        return cls(Model.load(Path(place)), "cuda" if torch.cuda.is_available() else "cpu")

    def require_fitting(self, diameter_mm: float) -> None:
        """Refuse nodules that the model's patches have no room for.

        Raises:
            DataError: the diameter is larger than ``largest_mm``.
        """
        if diameter_mm > self.largest_mm:
            raise DataError(
                "the nodule is too large for the model's patches",
                measured=f"{diameter_mm:.1f} mm",
                limit=f"{self.largest_mm:.1f} mm",
                remedy="Ask for smaller ones, or train with a larger preparation.patch",
            )

    def insert(
        self,
        scan: Volume,
        shape: NoduleShape,
        position_mm: tuple[float, float, float],
        *,
        lungs: Volume | None = None,
        edge_mm: float = 0.0,
    ) -> Insertion:
        """Put a nodule into healthy lung.

        Args:
            scan: CT in HU, any orientation and voxel size.
            shape: of the nodule, and its density.
            position_mm: of its middle, world coordinates, LPS.
            lungs: LABEL; the nodule ends where they end, as one at the pleura does. None: it lies
                away from the wall.
            edge_mm: blur of the scan's own edges, from ``edge_sigma_mm``; a nodule is made no
                sharper than they are.

        Raises:
            DataError: larger than the model's patches allow, or nothing of it lies in the lungs.
        """
        self.require_fitting(shape.diameter_mm)
        grid = patch_grid(position_mm, self.shape, self.spacing_mm)
        share = shape.share_on(grid, position_mm)
        if lungs is not None:
            share *= share_of_mask(cut(lungs, grid).array != 0)
        if not share.max() >= 0.5:
            raise DataError("nothing of the nodule would lie in the lung")
        part = shape.solid_part
        solid = np.zeros_like(share) if part is None else part.share_on(grid, position_mm)
        condition = nodule_condition(share, np.minimum(solid, share))
        made = self._changed(scan, grid, share, condition, "forward", edge_mm)
        return Insertion(made, _as_it_lies(share, grid))

    def remove(self, scan: Volume, nodule: Nodule) -> Volume:
        """Take an annotated nodule out; what is taken is ``nodule_mask``.

        Args:
            scan: CT in HU, any orientation and voxel size.
            nodule: where, and how large.

        Returns:
            Grid and type of ``scan``; ``synthetic``.

        Raises:
            DataError: larger than the model's patches allow.
        """
        self.require_fitting(nodule.diameter_mm)
        grid = patch_grid(nodule.position_mm, self.shape, self.spacing_mm)
        patch = cut(scan, grid)
        mask = nodule_mask(patch, nodule)
        share = share_of_mask(mask)
        condition = nodule_condition(share, solid_share_of(patch.array, mask, share))
        return self._changed(scan, grid, share, condition, "backward")

    def _changed(
        self,
        scan: Volume,
        grid: Grid,
        share: NDArray[np.float32],
        condition: Image,
        direction: Direction,
        edge_mm: float = 0.0,
    ) -> Volume:
        if scan.modality != "CT":
            raise DataError("nodules are put into CT only", measured=scan.modality)
        given = self.scale.forward(cut(scan, grid).array)
        made = self._translated(given, condition, direction)
        added = self.scale.inverse(made) - self.scale.inverse(given)
        added *= _smooth(1 - self._distance_mm(share < 0.5) / FADE_MM)
        blur = math.sqrt(max(0.0, edge_mm**2 - MODEL_EDGE_MM**2)) / self.spacing_mm
        added = ndimage.gaussian_filter(added, blur)
        near = (1 - self._distance_mm(share <= 0) / MARGIN_MM).clip(0)
        box, place = _box(scan, grid)
        # Modality MR, because what lies beyond the patch is to be 0.
        added = resample(Volume(added, grid.affine, "MR"), place).array
        near = resample(Volume(near, grid.affine, "MR"), place, antialias=False).array
        weight = _smooth(2 * near)
        array = scan.array.copy()
        array[box] = _added(array[box], added * weight, weight > 0)
        return replace(scan, array=array, synthetic=True)

    def _distance_mm(self, outside: NDArray[np.bool_]) -> NDArray[np.float32]:
        """From every voxel of a patch to the nearest that is not outside."""
        away = ndimage.distance_transform_edt(outside, sampling=self.spacing_mm)
        return np.asarray(away, np.float32)

    @torch.inference_mode()
    def _translated(
        self, given: NDArray[np.float32], condition: Image, direction: Direction
    ) -> NDArray[np.float32]:
        network = self._networks.get(direction) or self.model.generator(direction)
        image = torch.from_numpy(given[None, None]).to(self.device)
        context = Context(condition=torch.from_numpy(condition[None]).to(self.device))
        made: NDArray[np.float32] = network(image, context).image[0, 0].float().cpu().numpy()
        if not np.isfinite(made).all():
            raise DataError("the network's result is not finite", remedy="Check the model")
        return made


def _smooth(ramp: NDArray[np.float32]) -> NDArray[np.float32]:
    """From 0 to 1 without a corner, for ramps that may run beyond."""
    inside = ramp.clip(0, 1)
    return inside * inside * (3 - 2 * inside)


def _added(
    old: NDArray[Any], change: NDArray[np.float32], where: NDArray[np.bool_]
) -> NDArray[Any]:
    """Old values and a change, rounded and kept in range for integers; others bit for bit."""
    new = old.astype(np.float32) + change
    if np.issubdtype(old.dtype, np.integer):
        limits = np.iinfo(old.dtype)
        new = np.clip(np.rint(new), limits.min, limits.max)
    return np.where(where, new.astype(old.dtype), old)


def _box(scan: Volume, grid: Grid) -> tuple[tuple[slice, slice, slice], Grid]:
    """The voxels of a scan that a small grid covers, as indices and as a grid of their own."""
    corners = np.indices((2, 2, 2)).reshape(3, -1).T * (np.asarray(grid.shape) - 1)
    index = apply_affine(
        np.linalg.inv(scan.affine).astype(np.float64), apply_affine(grid.affine, corners)
    )
    last = np.asarray(scan.shape) - 1
    low = np.clip(np.floor(index.min(axis=0)), 0, last).astype(int).tolist()
    high = np.clip(np.ceil(index.max(axis=0)), 0, last).astype(int).tolist()
    x, y, z = (slice(a, b + 1) for a, b in zip(low, high, strict=True))
    affine = scan.affine.copy()
    affine[:3, 3] = apply_affine(affine, low)
    shape = (x.stop - x.start, y.stop - y.start, z.stop - z.start)
    return (x, y, z), Grid(shape, affine)


def _as_it_lies(share: NDArray[np.float32], grid: Grid) -> Nodule:
    volume = float(share.sum(dtype=np.float64)) * math.prod(grid.spacing_mm)
    x, y, z = to_world(grid, ndimage.center_of_mass(share)).round(3).tolist()
    return Nodule((x, y, z), round((6 * volume / math.pi) ** (1 / 3), 3))
