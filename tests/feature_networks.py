"""Networks whose features can be told beforehand."""

from pathlib import Path

import torch
from torch import Tensor, nn


class Corners(nn.Module):
    """The four quarters' means of each channel: 12 features that can be told beforehand."""

    def forward(self, x: Tensor) -> Tensor:
        n, channels = x.shape[:2]
        return nn.functional.adaptive_avg_pool2d(x, 2).reshape(n, 4 * channels)


class Standard(nn.Module):
    """In the form of the published Inception file: its forward is not what is to be called."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = Corners()

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x) * 1000


def scripted(module: nn.Module, path: Path) -> Path:
    torch.jit.save(torch.jit.script(module), path)
    return path
