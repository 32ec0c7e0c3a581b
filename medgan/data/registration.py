"""One scan of a patient moved onto another."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from medgan.errors import DataError
from medgan.io.metaimage import as_image
from medgan.volumes import BACKGROUND, Volume
from medgan.volumes.geometry import Affine, Grid, lps_to_ras
from medgan.volumes.masks import Mask, body_mask, dilate_mm
from medgan.volumes.resampling import resample

_BINS = 50
_SEED = 1
_LEVELS_MM = (8.0, 4.0, 2.0)
_SAMPLED_SHARES = (1.0, 0.5, 0.2)
"""Few voxels are left at the coarse levels, so that they use more of them."""

_AROUND_MM = 10.0
"""Some air belongs to the comparison: the skin is the clearest landmark of all."""

_MESH_MM = 30.0
"""Between control points of the free-form deformation: wider than a sulcus or the skull, so that
shapes of heads are matched and not single structures."""

_FREE_LEVELS_MM = (8.0, 4.0)
_FREE_ITERATIONS = 60
_FREE_SAMPLED_SHARE = 0.3

_CT_RANGE_HU = (-500.0, 1000.0)
_MR_PERCENTILE = 99.5


@dataclass(frozen=True, eq=False)
class Registration:
    """A scan on the grid of another, and how it got there.

    Attributes:
        volume: the moving scan, float32 on the fixed scan's grid, background where it has no data.
        moving_to_fixed: (4, 4) rigid transform of RAS positions in mm; of a deformable one the part
            before the deformation.
        deformation_mm: how far points of the fixed body are moved besides that, on average.
    """

    volume: Volume
    moving_to_fixed: Affine
    deformation_mm: float = 0.0


def register_rigid(moving: Volume, fixed: Volume) -> Registration:
    """Find the rotation and shift that bring a scan onto another of the same patient.

    The bodies are brought centre onto centre, then mutual information is maximised in and around
    the fixed body at voxels of about 8, 4 and 2 mm. The same input gives the same result.

    Args:
        moving: CT or MR.
        fixed: CT or MR, of the same or the other modality.

    Raises:
        DataError: no body in one of them, or no overlap.

    Source:
        D. Mattes et al., PET-CT image registration in the chest using free-form deformations, IEEE
        TMI 22 (2003) 120 (the estimate of mutual information).
    """
    moving_to_fixed = _inverse(_rigid(moving, fixed, body_mask(fixed)))
    placed = replace(moving, affine=moving_to_fixed @ moving.affine)
    on_fixed = resample(placed, Grid.of(fixed))
    moved = replace(on_fixed, frame_of_reference=fixed.frame_of_reference)
    return Registration(moved, moving_to_fixed)


def register_deformable(moving: Volume, fixed: Volume) -> Registration:
    """Bring a scan onto another one rigidly, then deform it smoothly.

    For references that are not of the very same head in the very same pose. Mutual information of
    the two scans alone moves the control points, 30 mm apart, of a cubic B-spline, at voxels of
    about 8 and 4 mm. The same input gives the same result.

    Args:
        moving: CT or MR, axes at right angles.
        fixed: CT or MR, of the same or the other modality; axes at right angles.

    Raises:
        DataError: no body in one of them, or no overlap.
        GeometryError: sheared axes.

    Source:
        D. Rueckert et al., Nonrigid registration using free-form deformations, IEEE TMI 18 (1999)
        712.
    """
    body = body_mask(fixed)
    rigid = _rigid(moving, fixed, body)
    target = as_image(fixed)
    sides = zip(fixed.shape, fixed.spacing_mm, strict=True)
    mesh = [max(1, round(voxels * size / _MESH_MM)) for voxels, size in sides]
    free = sitk.BSplineTransformInitializer(target, mesh, 3)
    method = _method(fixed, body, _FREE_LEVELS_MM, (_FREE_SAMPLED_SHARE,) * 2)
    method.SetOptimizerAsLBFGSB(numberOfIterations=_FREE_ITERATIONS)
    method.SetMovingInitialTransform(rigid)
    method.SetInitialTransform(free, inPlace=True)
    _execute(method, moving, fixed)
    both = sitk.CompositeTransform([rigid, free])
    image = as_image(moving.with_array(moving.array.astype(np.float32)))
    moved = sitk.Resample(image, target, both, sitk.sitkLinear, BACKGROUND[moving.modality])
    place = target.GetSize(), target.GetOrigin(), target.GetSpacing(), target.GetDirection()
    field = sitk.TransformToDisplacementField(free, sitk.sitkVectorFloat64, *place)
    away = np.linalg.norm(sitk.GetArrayFromImage(field), axis=-1).T[body].mean()
    volume = Volume(
        sitk.GetArrayFromImage(moved).T, fixed.affine, moving.modality, fixed.frame_of_reference
    )
    return Registration(volume, _inverse(rigid), float(away))


def _rigid(moving: Volume, fixed: Volume, body: Mask) -> sitk.Transform:
    """Fixed to moving, LPS."""
    start = sitk.CenteredTransformInitializer(
        as_image(fixed.with_array(body.astype(np.float32))),
        as_image(moving.with_array(body_mask(moving).astype(np.float32))),
        sitk.Euler3DTransform(),
        sitk.CenteredTransformInitializerFilter.MOMENTS,
    )
    method = _method(fixed, body, _LEVELS_MM, _SAMPLED_SHARES)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=2.0,
        minStep=1e-3,
        numberOfIterations=200,
        relaxationFactor=0.7,
        gradientMagnitudeTolerance=1e-8,
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInitialTransform(start, inPlace=False)
    return _execute(method, moving, fixed)


def _execute(method: Any, moving: Volume, fixed: Volume) -> sitk.Transform:
    try:
        with _one_thread():
            return method.Execute(_for_matching(fixed), _for_matching(moving))
    except RuntimeError as error:
        raise DataError(
            "the two scans cannot be registered: too little overlap",
            remedy="Check that both are of the same part of the same patient",
        ) from error


def _method(fixed: Volume, body: Mask, levels_mm: Sequence[float], sampled: Sequence[float]) -> Any:
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(_BINS)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentagePerLevel(sampled, _SEED)
    around = dilate_mm(body, fixed.spacing_mm, _AROUND_MM)
    method.SetMetricFixedMask(as_image(fixed.with_array(around)))
    method.SetInterpolator(sitk.sitkLinear)
    finest = min(fixed.spacing_mm)
    method.SetShrinkFactorsPerLevel([max(1, round(size / finest)) for size in levels_mm])
    blur = [size / 2 if size > _LEVELS_MM[-1] else 0.0 for size in levels_mm]
    method.SetSmoothingSigmasPerLevel(blur)
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    return method


@contextmanager
def _one_thread() -> Iterator[None]:
    """Several threads add their sums in varying order, which changes the last digits.

    The setting is global because the metric inside the method does not follow the method's own.
    """
    before = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(before)


def _for_matching(volume: Volume) -> sitk.Image:
    """Values limited to the range in which tissues differ, so that the histogram resolves them."""
    array: NDArray[np.float32] = volume.array.astype(np.float32)
    low, high = _CT_RANGE_HU
    if volume.modality == "MR":
        low, high = 0.0, float(np.percentile(array, _MR_PERCENTILE)) or float(array.max())
    return as_image(volume.with_array(np.clip(array, low, high)))


def _inverse(rigid: sitk.Transform) -> Affine:
    return np.asarray(np.linalg.inv(_ras_matrix(rigid)), dtype=np.float64)


def _ras_matrix(transform: sitk.Transform) -> Affine:
    """(4, 4) fixed -> moving in RAS of a rigid ITK transform in LPS."""
    origin, *axes = (
        np.array(transform.TransformPoint(point))
        for point in ((0.0, 0.0, 0.0), *np.eye(3).tolist())
    )
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack([axis - origin for axis in axes], axis=1)
    matrix[:3, 3] = origin
    to_ras = lps_to_ras(np.eye(4))
    return to_ras @ matrix @ to_ras
