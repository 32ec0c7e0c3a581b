"""The measures of MaskGAN: whole axial slices, background included, then the mean over slices."""

import numpy as np
from scipy.ndimage import find_objects
from skimage.metrics import structural_similarity

from medgan.errors import DataError
from medgan.metrics.intensity import SSIM_WINDOW, Array, Mask, Range

MASKGAN_RANGE_HU: Range = (-800.0, 2000.0)
"""Both images are clipped to it. Source: HieuPhan33/MaskGAN, evaluation.py."""

MASKGAN_PEAK = 2000.0
"""Peak of the PSNR, although the range is 2800 HU wide. Source: as the range."""

EQUAL_SLICES_DB = 100.0
"""PSNR of two equal slices, such as two of nothing but air. Source: as the range."""


def maskgan_measures(prediction: Array, reference: Array, mask: Mask) -> dict[str, float]:
    """``mae`` in HU, ``psnr`` in dB and ``ssim`` as the code of MaskGAN takes them, but in float.

    The images are cut to the box around the mask; there the reference outside the mask becomes
    -800 HU, as in the prepared test images, and nothing is done to the prediction. The published
    code works on 8-bit images, 11 HU a step, scaled to 224 x 224 pixels.

    Args:
        prediction: (X, Y, Z) HU, float64, Z from foot to head or head to foot.
        reference: likewise.
        mask: (X, Y, Z) bool, at least one voxel.

    Raises:
        DataError: the mask is less than 7 voxels wide along X or Y.

    Source: HieuPhan33/MaskGAN, evaluation.py (2024).
    """
    box = find_objects(mask.astype(np.uint8))[0]
    low, high = MASKGAN_RANGE_HU
    first = np.where(mask[box], np.clip(reference[box], low, high), low)
    second = np.clip(prediction[box], low, high)
    if min(first.shape[:2]) < SSIM_WINDOW:
        raise DataError(
            "the mask is too narrow for the SSIM of its slices",
            measured=" x ".join(map(str, first.shape)),
            limit=f"{SSIM_WINDOW} voxels along X and Y",
            remedy="Use a larger mask",
        )
    slices = list(zip(np.moveaxis(first, 2, 0), np.moveaxis(second, 2, 0), strict=True))
    return {
        "mae": float(np.abs(first - second).mean()),
        "psnr": float(np.mean([_psnr(x, y) for x, y in slices])),
        "ssim": float(
            np.mean(
                [structural_similarity(x - low, y - low, data_range=high - low) for x, y in slices]
            )
        ),
    }


def _psnr(first: Array, second: Array) -> float:
    mean_square = float(np.mean((first - second) ** 2))
    return EQUAL_SLICES_DB if mean_square == 0 else 10 * np.log10(MASKGAN_PEAK**2 / mean_square)
