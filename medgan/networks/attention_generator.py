"""The AttentionGAN generator: several contents blended by attention, the input among them."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

_CONV = {2: nn.Conv2d, 3: nn.Conv3d}
_TRANSPOSED = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
_NORM = {2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}
_PAD = {2: nn.ReflectionPad2d, 3: nn.ReflectionPad3d}

SIZE_MULTIPLE = 4
"""Every spatial size must be a multiple of this: two halvings, undone exactly by the decoders."""


@dataclass(frozen=True)
class Translation:
    """What a generator returns. ``S`` stands for the spatial axes.

    Attributes:
        image: (B, C, *S) float in [-1, 1], the blend.
        content: (B, K, C, *S) float in [-1, 1], the K foreground contents.
        attention: (B, K + 1, 1, *S) float in [0, 1], sums to 1 over axis 1; the last is the
            background attention, which copies the input.
    """

    image: Tensor
    content: Tensor
    attention: Tensor

    @property
    def background(self) -> Tensor:
        """(B, 1, *S) background attention: 1 where the input is copied."""
        return self.attention[:, -1]


class ResidualBlock(nn.Module):
    """Two reflect-padded 3-convolutions with instance norm; nothing after the sum."""

    def __init__(self, spatial_dims: int, width: int) -> None:
        super().__init__()
        conv, norm, pad = _CONV[spatial_dims], _NORM[spatial_dims], _PAD[spatial_dims]
        self.layers = nn.Sequential(
            pad(1), conv(width, width, 3), norm(width), nn.ReLU(inplace=True),
            pad(1), conv(width, width, 3), norm(width),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, *S) -> (B, width, *S)."""
        return x + self.layers(x)


class AttentionGenerator(nn.Module):
    """Encoder, residual blocks and two decoders: contents and attention.

    With the defaults and ``channels=3`` this is the published network ("scheme II") to the
    parameter: 11,822,949 of them.

    Args:
        spatial_dims: 2 for slices, 3 for patches of volumes.
        channels: image channels, the same in and out, because the input is blended in.
        contents: K, number of foreground contents; there are K + 1 attention maps.
        width: feature maps after the first convolution (64 as published).
        blocks: residual blocks (9 as published).

    Source: Tang et al., AttentionGAN, arXiv:1911.11897; anatomy of the authors' network.
    """

    def __init__(
        self,
        spatial_dims: int = 2,
        channels: int = 1,
        contents: int = 9,
        width: int = 64,
        blocks: int = 9,
    ) -> None:
        super().__init__()
        self.channels = channels
        self.contents = contents
        conv, norm, pad = _CONV[spatial_dims], _NORM[spatial_dims], _PAD[spatial_dims]
        self.encoder = nn.Sequential(
            pad(3), conv(channels, width, 7), norm(width), nn.ReLU(inplace=True),
            conv(width, 2 * width, 3, 2, 1), norm(2 * width), nn.ReLU(inplace=True),
            conv(2 * width, 4 * width, 3, 2, 1), norm(4 * width), nn.ReLU(inplace=True),
        )  # fmt: skip
        self.blocks = nn.Sequential(
            *(ResidualBlock(spatial_dims, 4 * width) for _ in range(blocks))
        )
        self.content = nn.Sequential(
            *self._upsampling(spatial_dims, width), pad(3), conv(width, contents * channels, 7)
        )
        self.attention = nn.Sequential(
            *self._upsampling(spatial_dims, width), conv(width, contents + 1, 1)
        )

    @staticmethod
    def _upsampling(spatial_dims: int, width: int) -> list[nn.Module]:
        layers: list[nn.Module] = []
        for before, after in ((4 * width, 2 * width), (2 * width, width)):
            layers += [
                _TRANSPOSED[spatial_dims](before, after, 3, 2, 1, output_padding=1),
                _NORM[spatial_dims](after),
                nn.ReLU(inplace=True),
            ]
        return layers

    def forward(self, x: Tensor) -> Translation:
        """Translate a batch.

        Args:
            x: (B, C, *S) float in [-1, 1]; every size in S a multiple of 4, at least 8.

        Returns:
            The translation, with contents and attention.
        """
        features = self.blocks(self.encoder(x))
        content = torch.tanh(self.content(features)).unflatten(1, (self.contents, self.channels))
        attention = torch.softmax(self.attention(features), dim=1).unsqueeze(2)
        image = (attention[:, :-1] * content).sum(1) + attention[:, -1] * x
        return Translation(image, content, attention)
