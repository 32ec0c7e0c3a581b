"""Paired metrics: medgan beside scikit-image and MONAI, value and time on one head.

Run as ``OMP_NUM_THREADS=1 python benchmarks/paired.py [--spacing MM]``. The reference is a phantom
head, the prediction the same head blurred, with noise; the mask is the body. Where a library has
no mask its metric sees what the protocol's code shows it: both images clipped to -1024 to 3000 HU
and set to -1024 HU outside the mask; the time of that is not counted. Label maps are thresholds of
the reference and of the blurred image.
"""

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from monai.metrics import (
    MultiScaleSSIMMetric,
    PSNRMetric,
    SSIMMetric,
    compute_dice,
    compute_hausdorff_distance,
)
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from medgan.metrics.intensity import masked_ssim, peak_signal_to_noise
from medgan.metrics.ms_ssim import ms_ssim_synthrad2025, ms_ssim_wang2003
from medgan.metrics.protocols import SYNTHRAD_RANGE_HU
from medgan.metrics.segmentation import compare_labels
from medgan.phantoms.scan import scan_head
from medgan.volumes.masks import body_mask
from medgan.volumes.volume import Volume

LOW, HIGH = SYNTHRAD_RANGE_HU
WIDTH = HIGH - LOW
TISSUE_EDGES_HU = (-300.0, 20.0, 150.0, 700.0)
"""Thresholds that turn a head into a label map of four classes and background."""

Array = NDArray[np.float64]


def timed(measure: Callable[[], float], repeats: int = 3) -> dict[str, Any]:
    """The value, and the seconds of the fastest of a few runs; an error in place of a value."""
    try:
        runs = []
        for _ in range(repeats):
            start = time.perf_counter()
            value = float(measure())
            runs.append(time.perf_counter() - start)
    except (ValueError, RuntimeError) as error:
        return {"error": str(error).splitlines()[0]}
    return {"value": value, "seconds": min(runs)}


def tensor(array: Array) -> torch.Tensor:
    """(1, 1, X, Y, Z) float32, as MONAI takes it."""
    return torch.from_numpy(array.astype(np.float32))[None, None]


def image_metrics(prediction: Array, reference: Array, mask: NDArray[np.bool_]) -> dict[str, Any]:
    """PSNR, SSIM and MS-SSIM by every library."""
    images = [np.where(mask, image.clip(LOW, HIGH), LOW) - LOW for image in (prediction, reference)]
    inside = [image[mask] for image in images]
    pair = [tensor(image) for image in images]
    arguments = (prediction, reference, mask, SYNTHRAD_RANGE_HU)

    def whole_map_in_mask() -> float:
        _, similarity = structural_similarity(*images[::-1], data_range=WIDTH, full=True)
        core = (slice(3, -3),) * 3
        return float(similarity[core][mask[core]].mean())

    uniform = {"spatial_dims": 3, "data_range": WIDTH, "kernel_type": "uniform"}
    return {
        "psnr, medgan": timed(lambda: peak_signal_to_noise(*arguments)),
        "psnr, scikit-image, mask by hand": timed(
            lambda: peak_signal_noise_ratio(*inside[::-1], data_range=WIDTH)
        ),
        "psnr, MONAI, whole image": timed(lambda: PSNRMetric(WIDTH)(*pair)),
        "ssim, medgan": timed(lambda: masked_ssim(*arguments)),
        "ssim, scikit-image, mask by hand": timed(whole_map_in_mask),
        "ssim, scikit-image, whole image": timed(
            lambda: structural_similarity(*images[::-1], data_range=WIDTH)
        ),
        "ssim, MONAI, uniform 7, whole image": timed(
            lambda: SSIMMetric(win_size=7, **uniform)(*pair)
        ),
        "ssim, MONAI, its defaults on HU": timed(lambda: SSIMMetric(3)(*pair)),
        "ms_ssim, medgan, synthrad2025": timed(lambda: ms_ssim_synthrad2025(*arguments)),
        "ms_ssim, medgan, wang2003": timed(lambda: ms_ssim_wang2003(*arguments)),
        "ms_ssim, MONAI, uniform 7, whole image": timed(
            lambda: MultiScaleSSIMMetric(kernel_size=7, **uniform)(*pair)
        ),
        "ms_ssim, MONAI, its kernel": timed(
            lambda: MultiScaleSSIMMetric(spatial_dims=3, data_range=WIDTH)(*pair)
        ),
    }


def label_metrics(prediction: Volume, reference: Volume) -> dict[str, Any]:
    """Mean Dice and HD95 over the classes by medgan and MONAI."""
    classes = np.unique(reference.array)[1:]
    pair = [
        torch.from_numpy(np.stack([volume.array == label for label in classes]))[None]
        for volume in (prediction, reference)
    ]

    def monai() -> tuple[float, float]:
        distances = compute_hausdorff_distance(
            *pair, include_background=True, percentile=95, spacing=reference.spacing_mm
        )
        return float(compute_dice(*pair).mean()), float(distances.mean())

    def medgan(name: str) -> float:
        return compare_labels(prediction, reference).values[name]

    return {
        "dice, medgan, with hd95": timed(lambda: medgan("dice"), 1),
        "dice, MONAI, with hd95": timed(lambda: monai()[0], 1),
        "hd95, medgan, with dice": timed(lambda: medgan("hd95"), 1),
        "hd95, MONAI, with dice": timed(lambda: monai()[1], 1),
    }


def measure(spacing_mm: float) -> dict[str, Any]:
    """Every metric on one head of that voxel size."""
    head = scan_head(1, spacing_mm=(spacing_mm,) * 3, supersample=1).ct
    reference = head.array.astype(np.float64)
    noise = np.random.default_rng(0).normal(0, 40, reference.shape)
    blurred = gaussian_filter(reference, 1.0)
    labels = [
        head.with_array(np.digitize(image, TISSUE_EDGES_HU).astype(np.uint8), modality="LABEL")
        for image in (blurred, reference)
    ]
    return {
        "shape": head.shape,
        "threads": torch.get_num_threads(),
        **image_metrics(blurred + noise, reference, body_mask(head)),
        **label_metrics(*labels),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spacing", type=float, default=1.5, help="Voxel size in mm.")
    print(json.dumps(measure(parser.parse_args().spacing), indent=2))
