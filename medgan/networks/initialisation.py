"""How weights start, and which of them stay."""

from itertools import pairwise

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


def freeze_dead_biases(network: nn.Module) -> None:
    """Ask for no gradients of biases that the instance norm after them takes out again, in place.

    They have no effect, and gradients that are rounding errors. They stay among the parameters, as
    in the published networks.
    """
    for chain in network.modules():
        if isinstance(chain, nn.Sequential):
            for layer, after in pairwise(chain):
                dead = isinstance(after, nn.InstanceNorm2d | nn.InstanceNorm3d)
                if dead and isinstance(layer, nn.modules.conv._ConvNd) and layer.bias is not None:
                    layer.bias.requires_grad_(False)
