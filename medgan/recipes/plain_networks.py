"""The published networks in plain torch, which medgan's speed is measured against.

Nothing here is shared with ``medgan.networks``, so that what is gained there shows. The names of
the weights are the same, so that both can start alike.
"""

import torch
from torch import Tensor, nn


class PlainGenerator(nn.Module):
    """The attention generator, each attention map repeated over the channels of its content.

    Args:
        channels: of the images, in and out.
        width: feature maps after the first convolution (64 as published).
        contents: foreground contents.
        blocks: residual blocks.

    Source: Tang et al., AttentionGAN, arXiv:1911.11897.
    """

    def __init__(
        self, channels: int = 3, width: int = 64, contents: int = 9, blocks: int = 9
    ) -> None:
        super().__init__()
        self.channels, self.contents = channels, contents
        self.encoder = nn.Sequential(
            nn.ReflectionPad2d(3), nn.Conv2d(channels, width, 7), *_normalised(width),
            nn.Conv2d(width, 2 * width, 3, 2, 1), *_normalised(2 * width),
            nn.Conv2d(2 * width, 4 * width, 3, 2, 1), *_normalised(4 * width),
        )  # fmt: skip
        self.blocks = nn.Sequential(*(_Block(4 * width) for _ in range(blocks)))
        self.content = nn.Sequential(
            *_doubled(4 * width), *_doubled(2 * width), nn.ReflectionPad2d(3),
            nn.Conv2d(width, contents * channels, 7),
        )  # fmt: skip
        self.attention = nn.Sequential(
            *_doubled(4 * width), *_doubled(2 * width), nn.Conv2d(width, contents + 1, 1)
        )

    def forward(self, image: Tensor) -> Tensor:
        """(B, C, H, W) in [-1, 1] -> the same."""
        features = self.blocks(self.encoder(image))
        contents = torch.tanh(self.content(features)).split(self.channels, dim=1)
        maps = torch.softmax(self.attention(features), dim=1).split(1, dim=1)
        result = torch.zeros_like(image)
        for part, attention in zip((*contents, image), maps, strict=True):
            result = result + part * attention.repeat(1, self.channels, 1, 1)
        return result


class PlainDiscriminator(nn.Module):
    """The discriminator of overlapping patches.

    Args:
        channels: of the images.
        width: feature maps after the first convolution (64 as published).

    Source: Isola et al., CVPR 2017, arXiv:1611.07004, appendix 6.1.2.
    """

    def __init__(self, channels: int = 3, width: int = 64) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(0.2)]
        for before, stride in ((width, 2), (2 * width, 2), (4 * width, 1)):
            layers += [
                nn.Conv2d(before, 2 * before, 4, stride, 1),
                nn.InstanceNorm2d(2 * before),
                nn.LeakyReLU(0.2),
            ]
        self.layers = nn.Sequential(*layers, nn.Conv2d(8 * width, 1, 4, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, 1, H', W') scores."""
        scores: Tensor = self.layers(image)
        return scores


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3), *_normalised(width),
            nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3), nn.InstanceNorm2d(width),
        )  # fmt: skip

    def forward(self, features: Tensor) -> Tensor:
        return features + self.layers(features)


def _normalised(width: int) -> tuple[nn.Module, nn.Module]:
    return nn.InstanceNorm2d(width), nn.ReLU()


def _doubled(width: int) -> tuple[nn.Module, ...]:
    half = width // 2
    return nn.ConvTranspose2d(width, half, 3, 2, 1, output_padding=1), *_normalised(half)
