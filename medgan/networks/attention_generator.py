"""The AttentionGAN generator: several contents blended by attention, the input among them."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from medgan.networks.conditioning import UNKNOWN, Conditioning, Context
from medgan.networks.layers import (
    CONV,
    ReflectionPad,
    ResidualBlock,
    Upsampling,
    copied,
    encoder,
    layer_channels,
    layer_outputs,
    upsampling_layers,
)

SIZE_MULTIPLE = 4
"""Every spatial size must be a multiple of this: two halvings, undone exactly by the decoders."""


@dataclass(frozen=True)
class Translation:
    """What a generator returns. ``S`` stands for the spatial axes.

    Attributes:
        image: (B, C, *S) float in [-1, 1], the blend.
        content: (B, K, C, *S) float in [-1, 1], the K foreground contents.
        attention: (B, K + 1, 1, *S) float in [0, 1], sums to 1 over axis 1; the last is the
            background attention, which copies the input; zero in networks that copy nothing.
    """

    image: Tensor
    content: Tensor
    attention: Tensor

    @property
    def background(self) -> Tensor:
        """(B, 1, *S) background attention: 1 where the input is copied."""
        return self.attention[:, -1]

    def part(self, chosen: slice) -> "Translation":
        """Some images of the batch."""
        return Translation(self.image[chosen], self.content[chosen], self.attention[chosen])


class AttentionGenerator(nn.Module):
    """Encoder, residual blocks and two decoders: contents and attention.

    With three channels and otherwise the defaults this is the published network ("scheme II") to
    the parameter: 11,822,949 of them; with ``contents=10, copy_input=False`` it is the published
    variant that copies nothing: 11,832,360.

    Args:
        spatial_dims: 2 for slices, 3 for patches of volumes.
        channels: image channels in and out. Channel j of the copied input is channel j of the
            image, or its last one where it has fewer.
        contents: K, number of foreground contents.
        width: feature maps after the first convolution (64 as published).
        blocks: residual blocks (9 as published).
        copy_input: add the input to the contents, with an attention map of its own, the last.
        upsampling: "transposed" as published, or "resize": nearest neighbour, then a convolution,
            which cannot draw checkerboards (Odena et al., Distill 2016).
        conditioning: what the network is told besides the image.

    Source: Tang et al., AttentionGAN, arXiv:1911.11897; anatomy of the authors' network.
    """

    def __init__(
        self,
        spatial_dims: int = 2,
        channels: tuple[int, int] = (1, 1),
        contents: int = 9,
        width: int = 64,
        blocks: int = 9,
        *,
        copy_input: bool = True,
        upsampling: Upsampling = "transposed",
        conditioning: Conditioning = Conditioning(),
    ) -> None:
        super().__init__()
        given, made = channels
        self.channels = channels
        self.contents = contents
        self.copy_input = copy_input
        self.conditioning = conditioning
        self.encoder = encoder(spatial_dims, conditioning.channels(given), width)
        self.blocks = nn.Sequential(
            *(ResidualBlock(spatial_dims, 4 * width) for _ in range(blocks))
        )
        self.content = nn.Sequential(
            *upsampling_layers(spatial_dims, width, upsampling),
            ReflectionPad(spatial_dims, 3),
            CONV[spatial_dims](width, contents * made, 7),
        )
        self.attention = nn.Sequential(
            *upsampling_layers(spatial_dims, width, upsampling),
            CONV[spatial_dims](width, contents + copy_input, 1),
        )

    def forward(self, x: Tensor, context: Context = UNKNOWN) -> Translation:
        """Translate a batch.

        Args:
            x: (B, C, *S) float in [-1, 1]; every size in S a multiple of 4, at least 8.
            context: of the same images; what the network is not conditioned on is ignored.

        Returns:
            The translation, with contents and attention.
        """
        features = self.blocks(self.encoder(self.conditioning.stack(x, context)))
        content = torch.tanh(self.content(features)).unflatten(1, (self.contents, self.channels[1]))
        attention = torch.softmax(self.attention(features), dim=1).unsqueeze(2)
        if not self.copy_input:
            nothing = torch.zeros_like(attention[:, :1])
            image = (attention * content).sum(1)
            return Translation(image, content, torch.cat((attention, nothing), dim=1))
        image = (attention[:, :-1] * content).sum(1) + attention[:, -1] * copied(
            x, self.channels[1]
        )
        return Translation(image, content, attention)

    def features(self, image: Tensor, context: Context, layers: Sequence[int]) -> list[Tensor]:
        """As ``ResnetGenerator.features``."""
        stacked = self.conditioning.stack(image, context)
        return layer_outputs((self.encoder, self.blocks), stacked, layers)

    def feature_channels(self, layers: Sequence[int]) -> tuple[int, ...]:
        """Channels of each of ``features``."""
        inputs = self.conditioning.channels(self.channels[0])
        return layer_channels((self.encoder, self.blocks), inputs, layers)
