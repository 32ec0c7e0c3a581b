"""The PatchGAN discriminator with a receptive field of 70 pixels."""

from torch import Tensor, nn

from medgan.networks.layers import CONV, ReLU, norm_layer


class PatchDiscriminator(nn.Module):
    """Judges overlapping patches: a map of scores, real towards 1 and fake towards 0.

    With width 64 and three channels it has the published 2,764,737 parameters.

    Args:
        spatial_dims: 2 or 3.
        channels: image channels.
        width: feature maps of the first layer (64 as published).

    Source: Isola et al., CVPR 2017, arXiv:1611.07004, appendix 6.1.2.
    """

    def __init__(self, spatial_dims: int = 2, channels: int = 1, width: int = 64) -> None:
        super().__init__()
        conv = CONV[spatial_dims]
        layers: list[nn.Module] = [conv(channels, width, 4, 2, 1), ReLU(0.2)]
        for before, stride in ((width, 2), (2 * width, 2), (4 * width, 1)):
            after = 2 * before
            layers += [
                conv(before, after, 4, stride, 1),
                norm_layer("instance", spatial_dims, after),
                ReLU(0.2),
            ]
        self.layers = nn.Sequential(*layers, conv(8 * width, 1, 4, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *S) -> (B, 1, *S') scores; 256 px give a map of 30, 128 px one of 14."""
        scores: Tensor = self.layers(x)
        return scores
