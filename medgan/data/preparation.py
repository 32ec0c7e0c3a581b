"""What is done to a volume before a network sees it, in training and in use alike."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from medgan.config import PreparationConfig
from medgan.errors import DataError, GeometryError
from medgan.io.metaimage import as_image
from medgan.volumes import Volume
from medgan.volumes.geometry import Grid, crop, grid_with_spacing, reorient
from medgan.volumes.intensity import PercentileScale, Scale, WindowScale
from medgan.volumes.masks import Mask, body_mask, dilate_mm
from medgan.volumes.resampling import resample

CT_FLOOR_HU = -1024.0
"""Scanners pad outside their field of view with less, down to -3024, which is no density."""

MIN_COMMON_SHARE = 0.5
"""Share of the patient that a further contrast must show; scans of the neck end at other levels."""

_N4_SHRINK = 4
_N4_SMALLEST = 8
"""Voxels an axis must keep after shrinking for the bias field to be fitted along it."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """One scan as training and inference use it.

    Attributes:
        volume: (X, Y, Z) float32 in the modality's unit, axes nearest to RAS, voxels of the model's
            size, cropped to the box of ``mask_with_margin``; background outside that. The field
            of view must not matter, because instance norm counts the air in it.
        mask: (X, Y, Z) bool, the patient.
        mask_with_margin: (X, Y, Z) bool, the patient and a margin.
        scale: from the unit to [-1, 1].
        native_mm: edges of the scan's own voxels, along the axes of ``volume``.
        remarks: what is odd about its values, of scans that are trained on.
    """

    volume: Volume
    mask: Mask
    mask_with_margin: Mask
    scale: Scale
    native_mm: tuple[float, float, float]
    remarks: tuple[str, ...] = ()

    def scaled(self) -> NDArray[np.float32]:
        """The volume's values, (X, Y, Z) float32 in [-1, 1], background at -1."""
        return self.scale.forward(self.volume.array)


def prepare(volume: Volume, settings: PreparationConfig) -> Prepared:
    """Bring a scan onto the model's grid and find patient and intensity scale.

    Args:
        volume: CT in HU or MR in arbitrary units, any orientation and spacing.
        settings: as stored in the model file.

    Raises:
        DataError: no body is found, a LABEL is given, or MR values are not positive inside it.
    """
    if volume.modality == "LABEL":
        raise DataError("a label map is not a scan", remedy="Give the CT or MR itself")
    volume = _floored(reorient(volume, "RAS"))
    native_mm = volume.spacing_mm
    body = body_mask(volume)
    if settings.n4 and volume.modality == "MR":
        volume = correct_bias(volume, body)

    grid = grid_with_spacing(Grid.of(volume), settings.spacing_mm)
    mask = resample(volume.with_array(body, modality="LABEL"), grid).array
    if not mask.any():
        raise DataError(
            "the body is smaller than a voxel of the model",
            limit=f"{grid.spacing_mm} mm",
            remedy="Check the voxel size in the file",
        )
    with_margin = dilate_mm(mask, grid.spacing_mm, settings.mask_margin_mm)
    volume = resample(volume, grid)
    box = ndimage.find_objects(with_margin.astype(np.uint8))[0]
    volume, mask, with_margin = crop(volume, box), mask[box], with_margin[box]
    return _within(volume, mask, with_margin, settings, native_mm)


def prepare_channels(
    volumes: Sequence[Volume], settings: PreparationConfig
) -> tuple[Prepared, ...]:
    """Bring the contrasts of one scan, which are in register, onto one grid.

    Args:
        volumes: of one modality; the first says where the patient is and where the grid lies.
        settings: as stored in the model file.

    Returns:
        The contrasts in their order: one grid, one mask, each with an intensity scale of its own.

    Raises:
        DataError: as ``prepare``; a contrast of another modality, or one that does not show the
            same part of the patient.
        GeometryError: two contrasts name different frames of reference.
    """
    first = prepare(volumes[0], settings)
    return first, *(_prepare_onto(first, volume, settings) for volume in volumes[1:])


def _prepare_onto(first: Prepared, volume: Volume, settings: PreparationConfig) -> Prepared:
    """A further contrast on the grid of the first one."""
    _require_register(first.volume, volume)
    volume = _floored(volume)
    native_mm = reorient(volume, "RAS").spacing_mm
    if settings.n4 and volume.modality == "MR":
        inside = first.volume.with_array(first.mask, modality="LABEL")
        volume = correct_bias(volume, resample(inside, Grid.of(volume)).array)
    grid = Grid.of(first.volume)
    field = volume.with_array(np.ones(volume.shape, bool), modality="LABEL")
    share = float(resample(field, grid).array[first.mask].mean())
    if share < MIN_COMMON_SHARE:
        raise DataError(
            "a further contrast does not show the same part of the patient",
            measured=f"{share:.0%} of the body of the first",
            limit=f"{MIN_COMMON_SHARE:.0%}",
            remedy="Give contrasts of one examination, registered to each other",
        )
    volume = resample(volume, grid)
    return _within(volume, first.mask, first.mask_with_margin, settings, native_mm)


def _require_register(first: Volume, volume: Volume) -> None:
    if volume.modality != first.modality:
        raise DataError(
            "the contrasts of a scan have one modality",
            measured=volume.modality,
            limit=first.modality,
        )
    frames = {first.frame_of_reference, volume.frame_of_reference} - {None}
    if len(frames) > 1:
        raise GeometryError(
            "two contrasts lie in different frames of reference",
            remedy="Register one to the other, and give the result as a file without a frame",
        )


def _floored(volume: Volume) -> Volume:
    """CT without the values that scanners pad with."""
    if volume.modality != "CT":
        return volume
    return volume.with_array(np.maximum(volume.array, CT_FLOOR_HU))


def _within(
    volume: Volume,
    mask: Mask,
    with_margin: Mask,
    settings: PreparationConfig,
    native_mm: tuple[float, float, float],
) -> Prepared:
    """A volume on the model's grid, air outside the margin, and its intensity scale."""
    values = np.where(with_margin, volume.array, np.float32(volume.background))
    scale: Scale
    if volume.modality == "CT":
        scale = WindowScale(*settings.window_hu)
    else:
        scale = PercentileScale.fit(values, mask, settings.mr_percentile)
    return Prepared(volume.with_array(values), mask, with_margin, scale, native_mm)


def correct_bias(volume: Volume, mask: Mask) -> Volume:
    """Remove the smooth shading that coils leave in an MR image.

    The field is fitted on every fourth voxel, which loses nothing as it is smooth, and applied to
    all of them.

    Args:
        volume: (X, Y, Z) MR.
        mask: (X, Y, Z) bool, the patient; the field is fitted where the signal is positive too.

    Returns:
        float32 on the same grid; the overall level of the values may change.

    Source:
        N. J. Tustison et al., N4ITK: Improved N3 Bias Correction, IEEE TMI 29 (2010) 1310.
    """
    values = volume.array.astype(np.float32)
    image = as_image(volume.with_array(values))
    inside = as_image(volume.with_array((mask & (values > 0)).astype(np.uint8)))
    factors = [min(_N4_SHRINK, max(1, size // _N4_SMALLEST)) for size in volume.shape]
    correction = sitk.N4BiasFieldCorrectionImageFilter()
    correction.Execute(sitk.Shrink(image, factors), sitk.Shrink(inside, factors))
    field = sitk.GetArrayFromImage(correction.GetLogBiasFieldAsImage(image)).T
    return volume.with_array(values / np.exp(field, dtype=np.float32))
