"""Tensors to tensors."""

from medgan.networks.attention_generator import SIZE_MULTIPLE, AttentionGenerator, Translation
from medgan.networks.conditioning import UNKNOWN, Conditioning, Context
from medgan.networks.patch_discriminator import PatchDiscriminator

__all__ = [
    "SIZE_MULTIPLE",
    "UNKNOWN",
    "AttentionGenerator",
    "Conditioning",
    "Context",
    "PatchDiscriminator",
    "Translation",
]
