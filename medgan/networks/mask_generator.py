"""The generator of AttentionGAN's first scheme: one content and one mask that lays it on."""

import torch
from torch import Tensor, nn

from medgan.networks.attention_generator import Translation
from medgan.networks.conditioning import UNKNOWN, Conditioning, Context
from medgan.networks.layers import (
    Norm,
    ReflectionPad,
    ReLU,
    ResidualBlock,
    copied,
    encoder,
    norm_layer,
    one_content,
)


class MaskGenerator(nn.Module):
    """Encoder, residual blocks and one decoder, whose first channel is the mask; for slices.

    With ``channels=(3, 3)`` and batch norm it has the published 7,931,332 parameters.

    Args:
        channels: image channels in and out.
        width: feature maps after the first convolution (64 as published).
        blocks: residual blocks (6 as published).
        norm: "batch" as published; "instance" treats every image of a batch by itself.
        bounded: tanh after the content; the published content is not bounded.
        conditioning: what the first convolution sees beside the image.

    Source: Tang et al., AGGAN, arXiv:1903.12296, and the authors' network.
    """

    contents = 1

    def __init__(
        self,
        channels: tuple[int, int] = (1, 1),
        width: int = 64,
        blocks: int = 6,
        *,
        norm: Norm = "batch",
        bounded: bool = False,
        conditioning: Conditioning = Conditioning(),
    ) -> None:
        super().__init__()
        self.channels = channels
        self.bounded = bounded
        self.conditioning = conditioning
        self.encoder = encoder(2, conditioning.channels(channels[0]), width, norm)
        self.blocks = nn.Sequential(*(ResidualBlock(2, 4 * width, norm) for _ in range(blocks)))
        self.decoder = nn.Sequential(
            *_shuffled(4 * width, norm),
            *_shuffled(2 * width, norm),
            ReflectionPad(2, 3),
            nn.Conv2d(width, 1 + channels[1], 7),
        )

    def forward(self, image: Tensor, context: Context = UNKNOWN) -> Translation:
        """Translate a batch.

        Args:
            image: (B, C_in, H, W) float in [-1, 1]; H and W multiples of 4, at least 8.
            context: of the same batch.

        Returns:
            The translation, with one content; its background attention is 1 - mask.
        """
        features = self.blocks(self.encoder(self.conditioning.stack(image, context)))
        decoded = self.decoder(features)
        mask, content = torch.sigmoid(decoded[:, :1]), decoded[:, 1:]
        if self.bounded:
            content = torch.tanh(content)
        blend = mask * content + (1 - mask) * copied(image, self.channels[1])
        return Translation(blend, *one_content(content, mask))


def _shuffled(width: int, norm: Norm) -> list[nn.Module]:
    """Doubling by pixel shuffle: (B, width, H, W) -> (B, width / 2, 2 H, 2 W)."""
    half = width // 2
    return [
        ReflectionPad(2, 1), nn.Conv2d(width, half, 3), norm_layer(norm, 2, half),
        ReLU(),
        nn.Conv2d(half, 4 * half, 1), nn.PixelShuffle(2), norm_layer(norm, 2, half),
        ReLU(),
    ]  # fmt: skip
