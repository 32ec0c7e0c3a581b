"""The CycleGAN generator: encoder, residual blocks, decoder; nothing of the input is copied."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from medgan.networks.attention_generator import Translation
from medgan.networks.conditioning import UNKNOWN, Conditioning, Context
from medgan.networks.layers import (
    CONV,
    Norm,
    ReflectionPad,
    ResidualBlock,
    Upsampling,
    encoder,
    layer_channels,
    layer_outputs,
    one_content,
    upsampling_layers,
)


class ResnetGenerator(nn.Module):
    """The network that CycleGAN, pix2pix and CUT call ``resnet_9blocks``.

    With ``channels=(3, 3)`` it has the published 11,378,179 parameters.

    Args:
        spatial_dims: 2 for slices, 3 for patches of volumes.
        channels: image channels in and out.
        width: feature maps after the first convolution (64 as published).
        blocks: residual blocks (9 as published).
        norm: "instance" as published with CycleGAN, "batch" with pix2pix.
        upsampling: as in ``upsampling_layers``.
        conditioning: what the first convolution sees beside the image.

    Source: Zhu et al., CycleGAN, arXiv:1703.10593, appendix 7.2; Johnson et al., arXiv:1603.08155.
    """

    contents = 1

    def __init__(
        self,
        spatial_dims: int = 2,
        channels: tuple[int, int] = (1, 1),
        width: int = 64,
        blocks: int = 9,
        *,
        norm: Norm = "instance",
        upsampling: Upsampling = "transposed",
        conditioning: Conditioning = Conditioning(),
    ) -> None:
        super().__init__()
        self.channels = channels
        self.conditioning = conditioning
        inputs, outputs = conditioning.channels(channels[0]), channels[1]
        self.encoder = encoder(spatial_dims, inputs, width, norm)
        self.blocks = nn.Sequential(
            *(ResidualBlock(spatial_dims, 4 * width, norm) for _ in range(blocks))
        )
        self.decoder = nn.Sequential(
            *upsampling_layers(spatial_dims, width, upsampling, norm),
            ReflectionPad(spatial_dims, 3),
            CONV[spatial_dims](width, outputs, 7),
        )

    def forward(self, image: Tensor, context: Context = UNKNOWN) -> Translation:
        """Translate a batch.

        Args:
            image: (B, C_in, *S) float in [-1, 1]; every size in S a multiple of 4, at least 8.
            context: of the same batch.

        Returns:
            The translation; its one content is the image, and no attention goes to the input.
        """
        features = self.blocks(self.encoder(self.conditioning.stack(image, context)))
        result = torch.tanh(self.decoder(features))
        return Translation(result, *one_content(result))

    def features(self, image: Tensor, context: Context, layers: Sequence[int]) -> list[Tensor]:
        """Outputs of modules of encoder and blocks, counted through as in one list.

        Args:
            image: as in ``forward``.
            context: of the same batch.
            layers: ascending; 0, 4, 8, 12, 16 in the published CUT.

        Returns:
            (B, C', *S') each.

        Raises:
            ConfigError: layers that are not there, or not in ascending order.
        """
        stacked = self.conditioning.stack(image, context)
        return layer_outputs((self.encoder, self.blocks), stacked, layers)

    def feature_channels(self, layers: Sequence[int]) -> tuple[int, ...]:
        """Channels of each of ``features``."""
        inputs = self.conditioning.channels(self.channels[0])
        return layer_channels((self.encoder, self.blocks), inputs, layers)
