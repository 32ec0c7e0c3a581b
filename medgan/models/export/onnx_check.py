"""ONNX Runtime beside torch: by how much an exported network differs from the original."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from medgan.errors import ModelError
from medgan.models.export.extra import required
from medgan.models.export.probe import Inputs
from medgan.networks.tensor_generator import TensorGenerator

LIMIT = 3e-4
"""Largest difference allowed, on the network's scale of -1 to 1: half an HU of a window of 3000.

ONNX Runtime sums in another order than torch, which air around the body makes worse: instance norm
divides by what little it varies. The published network with random weights differs by 2.1e-5 on
slices of 128 x 128 and 136 x 144.
"""


@dataclass(frozen=True)
class Comparison:
    """What two runtimes made of the same images.

    Attributes:
        sizes: spatial sizes of the images compared.
        max_difference: largest absolute difference of any output, on the network's scale.
        limit: that was allowed.
    """

    sizes: tuple[tuple[int, ...], ...]
    max_difference: float
    limit: float


def compare(
    path: Path, network: TensorGenerator, probes: Iterable[Inputs], limit: float = LIMIT
) -> Comparison:
    """Run an ONNX file and the network it was made of on the same images.

    Args:
        path: the file.
        network: that it was made of.
        probes: what both are given.
        limit: largest difference allowed.

    Raises:
        ModelError: they differ by more, or the file's result is not finite.
        ConfigError: ONNX Runtime is not installed.
    """
    runtime = required("onnxruntime")
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    sizes, largest = [], 0.0
    for inputs in probes:
        sizes.append(inputs["image"].shape[2:])
        with torch.inference_mode():
            expected = network(**{name: torch.from_numpy(a) for name, a in inputs.items()})
        expected = (expected,) if isinstance(expected, torch.Tensor) else expected
        made = session.run(None, dict(inputs))
        differences = [np.abs(m - e.numpy()).max() for m, e in zip(made, expected, strict=True)]
        # not max(): it may lose a NaN
        largest = float(np.max([largest, *differences]))
    if not largest <= limit:
        raise ModelError(
            "ONNX Runtime does not give what the network gives",
            measured=f"a difference of {largest:.3g}",
            limit=f"{limit:g}",
            remedy="Nothing was written; try other versions of torch and onnxscript",
        )
    return Comparison(tuple(sizes), largest, limit)
