"""The networks that a configuration describes."""

from torch import nn

from medgan.config import NetworkConfig
from medgan.networks.attention_generator import AttentionGenerator
from medgan.networks.conditioning import Conditioning
from medgan.networks.image_discriminator import ImageDiscriminator
from medgan.networks.mask_generator import MaskGenerator
from medgan.networks.patch_discriminator import PatchDiscriminator
from medgan.networks.resnet_generator import ResnetGenerator

Generator = AttentionGenerator | MaskGenerator | ResnetGenerator
Discriminator = PatchDiscriminator | ImageDiscriminator


def build_generators(network: NetworkConfig) -> tuple[Generator, Generator]:
    """G_A (source to target) and G_B (back), with torch's default weights."""
    source, target = network.channels
    return _build_generator(network, (source, target)), _build_generator(network, (target, source))


def _build_generator(network: NetworkConfig, channels: tuple[int, int]) -> Generator:
    told = Conditioning(network.neighbours, network.position, network.conditions)
    if network.generator == "resnet":
        return ResnetGenerator(
            network.spatial_dims,
            channels,
            network.width,
            network.blocks,
            norm=network.norm,
            upsampling=network.upsampling,
            conditioning=told,
        )
    if network.generator == "mask":
        return MaskGenerator(
            channels,
            network.width,
            network.blocks,
            norm=network.norm,
            bounded=network.bounded,
            conditioning=told,
        )
    return AttentionGenerator(
        network.spatial_dims,
        channels,
        network.contents,
        network.width,
        network.blocks,
        copy_input=network.copy_input,
        upsampling=network.upsampling,
        conditioning=told,
    )


def build_discriminators(network: NetworkConfig, channels: int) -> nn.ModuleDict:
    """Those of one domain: "plain" sees images and conditions, "guided" the attention, too.

    Args:
        network: what to build.
        channels: of the domain's images.
    """
    channels += network.conditions
    judges = {}
    if network.guided != "instead":
        judges["plain"] = _build_discriminator(network, channels)
    if network.guided != "none":
        judges["guided"] = _build_discriminator(network, channels + 1)
    return nn.ModuleDict(judges)


def _build_discriminator(network: NetworkConfig, channels: int) -> Discriminator:
    if network.discriminator == "image":
        return ImageDiscriminator(channels, network.discriminator_width, norm=network.norm)
    return PatchDiscriminator(network.spatial_dims, channels, network.discriminator_width)


def has_batch_norm(network: nn.Module) -> bool:
    """Whether an image's result depends on the others of its batch, in training."""
    return any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in network.modules())
