"""What a real CT scores against an average CT: the level that no sharp synthetic CT can be held to.

A real head CT is deformed onto the average of many, step by step (rigid, affine, free-form), each
fitted to that very average, and scored against it as a synthetic CT would be. Where the images are
smoothed as well, it shows how far the reference rewards blur.

    python benchmarks/average_reference.py CT REFERENCE
    python benchmarks/average_reference.py \
        $MEDGAN_DATA/invesalius_cranium_ct/cranium_ct_hu.nii.gz \
        $MEDGAN_DATA/mni_template_pair/ct_scct_hu_2mm.nii.gz
"""

import argparse
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from medgan.config import PreparationConfig
from medgan.data.preparation import prepare
from medgan.io import read_volume
from medgan.io.metaimage import as_image
from medgan.metrics.tissues import BONE_ABOVE_HU
from medgan.volumes import Volume
from medgan.volumes.masks import body_mask

SMOOTHING_MM = (0.0, 2.0, 4.0)
OVERLAP_HU = -700.0
"""What is darker on the deformed CT is the air around it or beyond its field of view."""


def registration(sampled: float, level: int) -> sitk.ImageRegistrationMethod:
    """Mean squares of HU at a coarse level; seeded, so that it can be repeated."""
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMeanSquares()
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(sampled, 1)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetShrinkFactorsPerLevel([level])
    method.SetSmoothingSigmasPerLevel([level / 2])
    return method


def descend(transform: sitk.Transform, fixed: sitk.Image, moving: sitk.Image) -> None:
    """Fit a linear transform in place, coarse to fine."""
    for level in (4, 2):
        method = registration(0.3, level)
        method.SetOptimizerAsRegularStepGradientDescent(2.0, 1e-3, 300)
        method.SetOptimizerScalesFromPhysicalShift()
        method.SetInitialTransform(transform, inPlace=True)
        method.Execute(fixed, moving)


def fits(fixed: sitk.Image, moving: sitk.Image) -> dict[str, sitk.Transform]:
    """Ever freer transforms of the moving onto the fixed image."""
    rigid = sitk.Euler3DTransform(
        sitk.CenteredTransformInitializer(
            fixed,
            moving,
            sitk.Euler3DTransform(),
            sitk.CenteredTransformInitializerFilter.MOMENTS,
        )
    )
    descend(rigid, fixed, moving)
    affine = sitk.AffineTransform(3)
    affine.SetMatrix(rigid.GetMatrix())
    affine.SetTranslation(rigid.GetTranslation())
    affine.SetCenter(rigid.GetCenter())
    descend(affine, fixed, moving)
    free = sitk.BSplineTransformInitializer(fixed, [8, 9, 8], 3)
    method = registration(0.2, 2)
    method.SetOptimizerAsLBFGSB(numberOfIterations=60)
    method.SetMovingInitialTransform(affine)
    method.SetInitialTransform(free, inPlace=True)
    method.Execute(fixed, moving)
    return {"rigid": rigid, "affine": affine, "free-form": sitk.CompositeTransform([affine, free])}


def moved(image: sitk.Image, onto: sitk.Image, by: sitk.Transform) -> NDArray[np.float32]:
    """(X, Y, Z) values on the other image's grid, air outside."""
    result = sitk.Resample(image, onto, by, sitk.sitkLinear, -1000.0)
    return sitk.GetArrayFromImage(result).transpose(2, 1, 0)


def row(name: str, values: NDArray[np.float32], truth: Volume, body: NDArray[np.bool_]) -> str:
    """Bone Dice, correlation and MAE where both images have body."""
    counted = body & (values > OVERLAP_HU)
    mine, real = values[counted], truth.array[counted].astype(np.float32)
    bone = (mine > BONE_ABOVE_HU) & (real > BONE_ABOVE_HU)
    dice = 2 * bone.sum() / ((mine > BONE_ABOVE_HU).sum() + (real > BONE_ABOVE_HU).sum())
    correlation = np.corrcoef(mine, real)[0, 1]
    return f"| {name} | {dice:.3f} | {correlation:.3f} | {np.abs(mine - real).mean():.1f} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ct", type=Path)
    parser.add_argument("reference", type=Path)
    arguments = parser.parse_args()
    reference = read_volume(arguments.reference, modality="CT")
    ct = prepare(read_volume(arguments.ct, modality="CT"), PreparationConfig()).volume
    low, high = -1000.0, 1200.0
    fixed, moving = (
        sitk.Cast(as_image(v.with_array(np.clip(v.array, low, high))), sitk.sitkFloat32)
        for v in (reference, ct)
    )
    body = body_mask(reference)
    print("| real CT fitted to the average | bone Dice | correlation | MAE (HU) |")
    print("|---|---:|---:|---:|")
    for name, transform in fits(fixed, moving).items():
        values = moved(moving, fixed, transform)
        for sigma in SMOOTHING_MM:
            smooth = gaussian_filter(values, [sigma / mm for mm in reference.spacing_mm])
            title = f"{name}, smoothed by {sigma:g} mm" if sigma else name
            print(row(title, smooth, reference, body), flush=True)


if __name__ == "__main__":
    main()
