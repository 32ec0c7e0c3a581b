"""One scan of a patient moved onto another."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from medgan.errors import DataError
from medgan.io.metaimage import as_image
from medgan.volumes import Volume
from medgan.volumes.geometry import Affine, Grid, lps_to_ras
from medgan.volumes.masks import body_mask, dilate_mm
from medgan.volumes.resampling import resample

_BINS = 50
_SEED = 1
_LEVELS_MM = (8.0, 4.0, 2.0)
_SMOOTHING_MM = (4.0, 2.0, 0.0)
_SAMPLED_SHARES = (1.0, 0.5, 0.2)
"""Few voxels are left at the coarse levels, so that they use more of them."""

_AROUND_MM = 10.0
"""Some air belongs to the comparison: the skin is the clearest landmark of all."""

_CT_RANGE_HU = (-500.0, 1000.0)
_MR_PERCENTILE = 99.5


@dataclass(frozen=True, eq=False)
class Registration:
    """A scan on the grid of another, and how it got there.

    Attributes:
        volume: the moving scan, float32 on the fixed scan's grid, background where it has no data.
        moving_to_fixed: (4, 4) rigid transform of RAS positions in mm.
    """

    volume: Volume
    moving_to_fixed: Affine


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
    bodies = [body_mask(volume) for volume in (fixed, moving)]
    start = sitk.CenteredTransformInitializer(
        as_image(fixed.with_array(bodies[0].astype(np.float32))),
        as_image(moving.with_array(bodies[1].astype(np.float32))),
        sitk.Euler3DTransform(),
        sitk.CenteredTransformInitializerFilter.MOMENTS,
    )
    around = dilate_mm(bodies[0], fixed.spacing_mm, _AROUND_MM)
    method = _method(fixed)
    method.SetInitialTransform(start, inPlace=False)
    method.SetMetricFixedMask(as_image(fixed.with_array(around)))
    try:
        with _one_thread():
            result = method.Execute(_for_matching(fixed), _for_matching(moving))
    except RuntimeError as error:
        raise DataError(
            "the two scans cannot be registered: too little overlap",
            remedy="Check that both are of the same part of the same patient",
        ) from error
    moving_to_fixed = np.asarray(np.linalg.inv(_ras_matrix(result)), dtype=np.float64)
    placed = replace(moving, affine=moving_to_fixed @ moving.affine)
    on_fixed = resample(placed, Grid.of(fixed))
    moved = replace(on_fixed, frame_of_reference=fixed.frame_of_reference)
    return Registration(moved, moving_to_fixed)


def _method(fixed: Volume) -> Any:
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(_BINS)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentagePerLevel(_SAMPLED_SHARES, _SEED)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=2.0,
        minStep=1e-3,
        numberOfIterations=200,
        relaxationFactor=0.7,
        gradientMagnitudeTolerance=1e-8,
    )
    method.SetOptimizerScalesFromPhysicalShift()
    finest = min(fixed.spacing_mm)
    method.SetShrinkFactorsPerLevel([max(1, round(size / finest)) for size in _LEVELS_MM])
    method.SetSmoothingSigmasPerLevel(_SMOOTHING_MM)
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
