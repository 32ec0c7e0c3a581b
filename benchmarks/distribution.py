"""FID and KID: medgan beside MONAI, the bias of small sets, and what moves the numbers.

Run as ``OMP_NUM_THREADS=1 python benchmarks/distribution.py [speed|bias|traps ...]``. ``speed``
takes a minute, nearly all of it MONAI's; ``traps``, some minutes, measures the axial slices of
phantom heads with EfficientNet-Lite0.
"""

import argparse
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from monai.metrics import FIDMetric
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from medgan.io import write_volume
from medgan.metrics.distribution import fid, squared_mmd
from medgan.metrics.features import extractor_named
from medgan.metrics.set_evaluation import SetOptions, compare_sets
from medgan.phantoms.scan import scan_head
from medgan.recipes.distribution_speed import Setup, normal
from medgan.volumes import Volume

WIDTH = 2048
HEADS, FAKES = 12, 6
SPACING_MM = (4.0, 4.0, 4.0)


def timed(call: Callable[[], float]) -> dict[str, float]:
    """A value and the seconds it took."""
    start = time.perf_counter()
    value = call()
    return {"value": value, "seconds": time.perf_counter() - start}


def monai_fid(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """MONAI's FID of two sets of features."""
    with warnings.catch_warnings():
        # SciPy's, about an argument that MONAI passes.
        warnings.simplefilter("ignore", DeprecationWarning)
        return float(FIDMetric()(torch.from_numpy(a), torch.from_numpy(b)))


def speed() -> list[dict[str, Any]]:
    """FID of both, with fewer images than features (a singular covariance) and with more."""
    rows = []
    for n, width in ((1000, WIDTH), (2000, 256)):
        a, b = Setup(n, width).sets()
        own, theirs = timed(lambda a=a, b=b: fid(a, b)), timed(lambda a=a, b=b: monai_fid(a, b))
        rows.append(
            {
                "images": n,
                "features": width,
                "medgan": own,
                "monai": theirs,
                "times_faster": theirs["seconds"] / own["seconds"],
                "relative_difference": abs(own["value"] / theirs["value"] - 1),
            }
        )
    return rows


def bias() -> list[dict[str, Any]]:
    """FID and KID of two samples of one distribution, which are at distance 0."""
    return [
        {
            "images": n,
            "fid": timed(lambda n=n: fid(normal(n, WIDTH, 1), normal(n, WIDTH, 2))),
            "kid": timed(lambda n=n: squared_mmd(normal(n, WIDTH, 1), normal(n, WIDTH, 2))),
        }
        for n in (50, 100, 500, 1000, 2000)
    ]


def traps() -> dict[str, dict[str, float]]:
    """Phantom heads against others: unchanged, blurred, noisy, and measured otherwise."""
    rng = np.random.default_rng(0)
    changes: dict[str, Callable[[NDArray[np.float32]], NDArray[np.float32]]] = {
        "unchanged": lambda values: values,
        "blurred by half a voxel": lambda values: gaussian_filter(values, 0.5),
        "20 HU of noise added": lambda v: v + rng.normal(0, 20, v.shape).astype(np.float32),
        "rounded to 8 bits": lambda v: np.round((v + 1000) * 255 / 3000) * 3000 / 255 - 1000,
    }
    found = {}
    with TemporaryDirectory() as folder:
        root = Path(folder)
        for name in ("real", *changes):
            (root / name).mkdir()
        for seed in range(HEADS + FAKES):
            ct = scan_head(seed, spacing_mm=SPACING_MM, supersample=1).ct
            values = ct.array.astype(np.float32)
            for name, change in {"real": changes["unchanged"], **changes}.items():
                if (name == "real") == (seed < HEADS):
                    changed = Volume(change(values), ct.affine, "CT")
                    write_volume(changed, root / name / f"{seed}.nii.gz")
        for name in changes:
            found[name] = numbers(root, name, SetOptions())
        found["blurred, soft window"] = numbers(
            root, "blurred by half a voxel", SetOptions(window_hu=(-100, 100))
        )
        found["the same heads"] = numbers(root, "real", SetOptions())
    return found


def numbers(root: Path, name: str, options: SetOptions) -> dict[str, float]:
    """What a set is apart from the real one, with its floor, and how many were compared."""
    extractor = extractor_named("efficientnet-lite0")
    document = compare_sets(root / "real", root / name, extractor, options)
    measures = ("fid", "kid", "precision", "recall")
    names = [prefix + measure for measure in measures for prefix in ("", "floor_")]
    return {key: document[key] for key in (*names, "kid_std", "n_compared")}


PARTS: dict[str, Callable[[], Any]] = {"speed": speed, "bias": bias, "traps": traps}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="all of them by default")
    chosen = parser.parse_args().parts or list(PARTS)
    print(json.dumps({name: PARTS[name]() for name in chosen}, indent=2))
