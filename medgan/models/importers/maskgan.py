"""Generators of MaskGAN: AttentionGAN's, with a content head that is larger than what is used."""

from collections.abc import Mapping

from torch import Tensor

from medgan.models.importers.attentiongan import (
    CONTENT,
    count_blocks,
    heads,
    published_names,
    renamed,
)
from medgan.models.importers.published import PublishedGenerator, kernel, network_config


def read_maskgan(state: Mapping[str, Tensor], where: object) -> PublishedGenerator:
    """Import a generator without the channels of its last content, which its code never uses.

    Raises:
        ModelError: tensors that are missing, unknown or of other shapes.
    """
    channels, contents, maps = heads(state, where)
    network = network_config(
        where,
        generator="attention",
        channels=(channels, channels),
        width=kernel(state, "conv1.weight", where)[0],
        blocks=count_blocks(state),
        contents=maps - 1,
    )
    head = {name: tensor for name, tensor in state.items() if name.startswith(f"{CONTENT}.")}
    used = {name: tensor[: contents - channels] for name, tensor in head.items()}
    return PublishedGenerator(
        "MaskGAN",
        "unknown: no licence given by its authors",
        network,
        renamed({**state, **used}, where),
        published_names(state),
        (f"the {maps}th content, which is never used, was left out",),
    )
