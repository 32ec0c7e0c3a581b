"""How published weights start."""

from torch import nn


def initialise(network: nn.Module) -> None:
    """Draw every convolution's weights from N(0, 0.02) and set its bias to 0, in place.

    Source: the published AttentionGAN and CycleGAN training code.
    """
    for module in network.modules():
        # the transposed ones among them
        if isinstance(module, nn.modules.conv._ConvNd):
            nn.init.normal_(module.weight, 0.0, 0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
