"""The discriminator of AttentionGAN's first scheme: one score for the whole image."""

from itertools import pairwise

from torch import Tensor, nn

from medgan.errors import DataError
from medgan.networks.layers import Norm, ReLU, norm_layer

SMALLEST = 94
"""Smallest height and width: four unpadded halvings must leave the last 4-convolution 4 pixels."""


class ImageDiscriminator(nn.Module):
    """Judges whole images: real towards 1 and fake towards 0.

    With width 64, three channels and batch norm it has the published 6,953,793 parameters.

    Args:
        channels: image channels.
        width: feature maps of the first layer (64 as published).
        norm: "batch" as published; "instance" treats every image of a batch by itself.

    Source: the authors' network of Tang et al., AGGAN, arXiv:1903.12296.
    """

    def __init__(self, channels: int = 1, width: int = 64, norm: Norm = "batch") -> None:
        super().__init__()
        layers: list[nn.Module] = []
        widths = (channels, width, 2 * width, 4 * width, 8 * width)
        for before, after in pairwise(widths):
            layers += [
                nn.Conv2d(before, after, 4, 2),
                norm_layer(norm, 2, after),
                ReLU(0.01),
            ]
        self.layers = nn.Sequential(
            *layers,
            nn.Conv2d(8 * width, 8 * width, 4),
            ReLU(0.01),
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(8 * width, 1, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, 1, 1, 1) scores.

        Raises:
            DataError: images smaller than ``SMALLEST``.
        """
        if min(x.shape[2:]) < SMALLEST:
            raise DataError(
                "images are too small for a discriminator of whole images",
                measured=" x ".join(map(str, x.shape[2:])),
                limit=f"at least {SMALLEST} x {SMALLEST}",
                remedy="Set network.discriminator to patch, or preparation.matrix to larger sizes",
            )
        scores: Tensor = self.layers(x)
        return scores
