"""The network: a patch of CT to a heatmap of nodule centres, their places and diameters."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from medgan.detection.config import DetectorNetwork

PRIOR = 0.01
"""Probability of a nodule in a cell before anything is learnt.

Source: Lin et al., Focal Loss for Dense Object Detection, ICCV 2017, section 4.1.
"""


@dataclass(frozen=True, eq=False)
class CellMaps:
    """What the network says of every cell; (X, Y, Z) are cells of ``stride`` voxels.

    Attributes:
        logit: (B, X, Y, Z), of the probability that a nodule's centre lies here.
        offset: (B, 3, X, Y, Z), from the cell's centre to the nodule's, in cells.
        log_diameter: (B, X, Y, Z), natural logarithm of the diameter in mm.
    """

    logit: Tensor
    offset: Tensor
    log_diameter: Tensor


class HeatmapNetwork(nn.Module):
    """Three levels down, with features of the lower ones added on the way up.

    The first convolution keeps the resolution: the smallest nodules are two voxels across, and
    look like vessels to one that halves it at once.

    Batch norm, not instance norm: at work it is a constant, so that a tile of a scan gives what
    the whole scan would give.

    Source: the heads are those of Zhou et al., Objects as Points, arXiv:1904.07850, section 4.
    """

    def __init__(self, config: DetectorNetwork) -> None:
        super().__init__()
        width = config.width
        self.stride = config.stride
        self.fine = nn.Sequential(
            _conv(1, width // 2), _conv(width // 2, width, 2), _conv(width, width)
        )
        self.middle = nn.Sequential(_conv(width, 2 * width, 2), _Residual(2 * width))
        self.coarse = nn.Sequential(
            _conv(2 * width, 4 * width, 2), _Residual(4 * width), _Residual(4 * width)
        )
        self.lift_middle = nn.Conv3d(4 * width, 2 * width, 1)
        self.merge_middle = _conv(2 * width, 2 * width)
        last = 2 * width
        if self.stride == 2:
            self.lift_fine = nn.Conv3d(2 * width, width, 1)
            self.merge_fine = _conv(width, width)
            last = width
        self.heads = nn.Conv3d(last, 5, 1)
        assert self.heads.bias is not None
        nn.init.constant_(self.heads.bias[:1], -math.log((1 - PRIOR) / PRIOR))
        # convolutions of few channels take half the time with the channels last (oneDNN)
        nn.utils.convert_conv3d_weight_memory_format(self, torch.channels_last_3d)

    def forward(self, image: Tensor) -> CellMaps:
        """(B, 1, X, Y, Z) float32 in [-1, 1], sizes multiples of 8, to maps of ``stride``."""
        fine = self.fine(image)
        middle = self.middle(fine)
        features = self.merge_middle(middle + _doubled(self.lift_middle(self.coarse(middle))))
        if self.stride == 2:
            features = self.merge_fine(fine + _doubled(self.lift_fine(features)))
        maps = self.heads(features).float()
        return CellMaps(maps[:, 0], maps[:, 1:4], maps[:, 4])


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _conv(width, width), nn.Conv3d(width, width, 3, 1, 1, bias=False), nn.BatchNorm3d(width)
        )

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x + self.layers(x))


def _conv(before: int, after: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(before, after, 3, stride, 1, bias=False),
        nn.BatchNorm3d(after),
        nn.ReLU(inplace=True),
    )


def _doubled(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")
