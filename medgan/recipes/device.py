"""What the measurements of networks ask of the device that these run on."""

from typing import Literal

import torch

from medgan.recipes import measuring

Precision = Literal["bf16", "fp32"]
"""Of the forward passes: autocast, or none."""


def device_name() -> str:
    """The GPU where there is one, as a training chooses it."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def synchronise() -> None:
    """Wait for the GPU, which works on while Python goes ahead; nothing to wait for without."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def peak_memory_mb() -> float:
    """Most memory held since the process began, in 2^20 bytes: by tensors on the GPU, else by it.

    Only a process of its own measures one thing.
    """
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    return measuring.peak_memory_mb()
