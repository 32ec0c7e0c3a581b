"""Generators of AttentionGAN's first scheme (AGGAN)."""

from collections.abc import Mapping

from torch import Tensor

from medgan.models.importers.published import (
    ATTENTIONGAN_LICENCE,
    PublishedGenerator,
    network_config,
)
from medgan.models.importers.sequential import SequentialGenerator, read_sequential

_SHUFFLED = "decoder.4.weight"
"""The 1-convolution before the first pixel shuffle; CycleGAN's generator has none."""


def is_aggan(generator: SequentialGenerator) -> bool:
    """Whether a generator of numbered layers doubles by pixel shuffle."""
    weights = generator.state.get(_SHUFFLED)
    return weights is not None and weights.ndim == 4


def read_aggan(state: Mapping[str, Tensor], where: object) -> PublishedGenerator:
    """Import a generator of one content and one mask.

    Raises:
        ModelError: tensors that are missing, unknown or of other shapes.
    """
    generator = read_sequential(state, where)
    read, written = generator.channels
    fields = generator.architecture | {"channels": (read, written - 1)}
    network = network_config(where, generator="mask", bounded=False, **fields)
    return PublishedGenerator(
        "AttentionGAN-v1", ATTENTIONGAN_LICENCE, network, generator.state, generator.published_name
    )
