"""What a real CT scores against an average CT: the level that no sharp synthetic CT can be held to.

A real head CT is deformed onto the average of many, step by step (rigid, affine, free-form), each
fitted to that very average, and scored against it as a synthetic CT would be. Where the images are
smoothed as well, it shows how far the reference rewards blur.

Then the other way round: an average is made of smoothly displaced copies of the real CT, which
so is the head in its very middle, and scored against it. The spread at which this average has as
much bone as the reference tells what a perfect CT of the middle head would score.

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
from scipy.ndimage import gaussian_filter, map_coordinates

from medgan.config import PreparationConfig
from medgan.data.preparation import prepare
from medgan.io import read_volume
from medgan.io.metaimage import as_image
from medgan.metrics.tissues import BONE_ABOVE_HU
from medgan.volumes import Volume
from medgan.volumes.masks import body_mask

SMOOTHING_MM = (0.0, 2.0, 4.0)
SPREADS_MM = (3.0, 5.0, 7.0, 7.5)
COPIES = 30
WAVE_MM = 24.0
"""Smoothing of the displacements: heads differ by shape, not voxel by voxel."""

STRETCH_FROM_HU, STRETCH_TO_HU, STRETCH = -100.0, 100.0, 11.0
"""The scale that the reference is stored in: soft tissue takes 11 times the room of other HU."""

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


def stretched(hu: NDArray[np.float32]) -> NDArray[np.float32]:
    """HU in the scale of the reference's file (Rorden et al., NeuroImage 61 (2012) 957)."""
    soft = np.clip(hu, STRETCH_FROM_HU, STRETCH_TO_HU) - STRETCH_FROM_HU
    return (hu + (STRETCH - 1) * soft).astype(np.float32)


def unstretched(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The inverse of `stretched`."""
    known = np.array([-2000.0, STRETCH_FROM_HU, STRETCH_TO_HU, 6000.0], np.float32)
    return np.interp(values, stretched(known), known).astype(np.float32)


def average_of_copies(
    hu: NDArray[np.float32], spacing_mm: tuple[float, float, float], spread_mm: float
) -> dict[str, NDArray[np.float32]]:
    """The mean of smoothly displaced copies, in HU and in the stretched scale, both as HU.

    Args:
        hu: (X, Y, Z).
        spacing_mm: of it.
        spread_mm: root mean square length of the displacements.
    """
    rng = np.random.default_rng(0)
    steps = np.array(spacing_mm)
    places = np.indices(hu.shape, dtype=np.float32)
    plain, soft = np.zeros_like(hu), np.zeros_like(hu)
    for _ in range(COPIES):
        moves = [gaussian_filter(rng.standard_normal(hu.shape), WAVE_MM / steps) for _ in steps]
        lengths = [
            spread_mm / np.sqrt(3) / step * move / move.std()
            for move, step in zip(moves, steps, strict=True)
        ]
        copy = map_coordinates(hu, places + lengths, order=1, mode="nearest")
        plain += copy / COPIES
        soft += stretched(copy) / COPIES
    return {"HU": plain, "stretched scale": unstretched(soft)}


def amount_of_bone(hu: NDArray[np.float32], body: NDArray[np.bool_]) -> str:
    """Its share of the body, and its mean."""
    bone = body & (hu > BONE_ABOVE_HU)
    return f"{bone.sum() / body.sum():.3f} | {hu[bone].mean():.0f}"


def print_copies(ct: Volume, reference: Volume, body: NDArray[np.bool_]) -> None:
    """The second table."""
    print()
    print("| average of | share of bone | mean of bone (HU) | bone Dice | correlation | MAE (HU) |")
    print("|---|---:|---:|---:|---:|---:|")
    hu, own = ct.array.astype(np.float32), body_mask(ct)
    print(f"| the reference | {amount_of_bone(reference.array, body)} | | | |")
    print(f"| one: the real CT | {amount_of_bone(hu, own)} | | | |")
    for spread in SPREADS_MM:
        for scale, average in average_of_copies(hu, ct.spacing_mm, spread).items():
            name = f"copies {spread:g} mm apart, in {scale} | {amount_of_bone(average, own)}"
            print(row(name, hu, ct.with_array(average), own), flush=True)


def main() -> None:
    """Print the tables."""
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
    print_copies(ct, reference, body)


if __name__ == "__main__":
    main()
