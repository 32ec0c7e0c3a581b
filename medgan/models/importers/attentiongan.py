"""Generators of AttentionGAN's second scheme: with a copied input, and its "geo" variant without.

The authors save 54 tensors: three convolutions, two a block, and two decoders of three each.
"""

import re
from collections.abc import Callable, Mapping

from torch import Tensor

from medgan.errors import ModelError
from medgan.models.importers.published import (
    ATTENTIONGAN_LICENCE,
    PublishedGenerator,
    kernel,
    network_config,
    require_known,
    without_statistics,
)

CONTENT = "deconv3_content"
ATTENTION = "deconv3_attention"

_STEM = {
    "conv1": "encoder.1",
    "conv2": "encoder.4",
    "conv3": "encoder.7",
    "deconv1_content": "content.0",
    "deconv2_content": "content.3",
    CONTENT: "content.7",
    "deconv1_attention": "attention.0",
    "deconv2_attention": "attention.3",
    ATTENTION: "attention.6",
}
_BLOCK = re.compile(r"resnet_blocks\.(\d{1,4})\.conv([12])")
_OLD_BLOCK = re.compile(r"resnet_blocks(\d{1,4})\.conv([12])")
_BLOCK_LAYER = {"1": 1, "2": 5}

_OUR_STEM = {ours: theirs for theirs, ours in _STEM.items()}
_OUR_BLOCK = re.compile(r"blocks\.(\d+)\.layers\.(\d+)")
_OUR_BLOCK_LAYER = {str(ours): theirs for theirs, ours in _BLOCK_LAYER.items()}


def is_attentiongan(state: Mapping[str, Tensor]) -> bool:
    """Whether the tensors are called as in AttentionGAN's second scheme and its descendants."""
    return any(name.startswith((CONTENT, ATTENTION)) for name in state)


def read_attentiongan(state: Mapping[str, Tensor], where: object) -> PublishedGenerator:
    """Import a generator that copies its input, or of the variant that does not.

    Raises:
        ModelError: tensors that are missing, unknown or of other shapes.
    """
    channels, contents, maps = heads(state, where)
    copies = contents == (maps - 1) * channels
    if not copies and contents != maps * channels:
        raise ModelError(
            f"{maps} attentions need {maps - 1} or {maps} contents of {channels} channels",
            where=f"{where}: {CONTENT}.weight",
            measured=f"{contents} channels",
        )
    network = network_config(
        where,
        generator="attention",
        channels=(channels, channels),
        width=kernel(state, "conv1.weight", where)[0],
        blocks=count_blocks(state),
        contents=maps - copies,
        copy_input=copies,
    )
    family = "AttentionGAN" if copies else "AttentionGAN-geo"
    return PublishedGenerator(
        family, ATTENTIONGAN_LICENCE, network, renamed(state, where), published_names(state)
    )


def heads(state: Mapping[str, Tensor], where: object) -> tuple[int, int, int]:
    """Channels of the image, of the content head and of the attention head.

    Raises:
        ModelError: one of the three layers is missing, or no convolution.
    """
    return (
        kernel(state, "conv1.weight", where)[1],
        kernel(state, f"{CONTENT}.weight", where)[0],
        kernel(state, f"{ATTENTION}.weight", where)[0],
    )


def count_blocks(state: Mapping[str, Tensor]) -> int:
    """Number of residual blocks, in either spelling."""
    stems = (name.rpartition(".")[0] for name in state)
    found = (_BLOCK.fullmatch(stem) or _OLD_BLOCK.fullmatch(stem) for stem in stems)
    return len({match[1] for match in found if match})


def published_names(state: Mapping[str, Tensor]) -> Callable[[str], str]:
    """From names of ``AttentionGenerator`` to those of the authors, in the spelling of a file."""
    old = any(_OLD_BLOCK.fullmatch(name.rpartition(".")[0]) for name in state)

    def published(name: str) -> str:
        stem, _, kind = name.rpartition(".")
        block = _OUR_BLOCK.fullmatch(stem)
        if block is None:
            return f"{_OUR_STEM[stem]}.{kind}"
        number = f"{int(block[1]) + 1}" if old else f".{block[1]}"
        return f"resnet_blocks{number}.conv{_OUR_BLOCK_LAYER[block[2]]}.{kind}"

    return published


def renamed(state: Mapping[str, Tensor], where: object) -> dict[str, Tensor]:
    """Map the authors' names to those of ``AttentionGenerator``.

    Args:
        state: under the authors' names, blocks ``resnet_blocks.0`` or, older, ``resnet_blocks1``.
        where: file, for the message.

    Raises:
        ModelError: names that the published network does not have.
    """
    found, unknown = {}, []
    for name, tensor in without_statistics(state).items():
        stem, _, kind = name.rpartition(".")
        if block := _BLOCK.fullmatch(stem):
            stem = f"blocks.{int(block[1])}.layers.{_BLOCK_LAYER[block[2]]}"
        elif block := _OLD_BLOCK.fullmatch(stem):
            stem = f"blocks.{int(block[1]) - 1}.layers.{_BLOCK_LAYER[block[2]]}"
        elif stem in _STEM:
            stem = _STEM[stem]
        else:
            unknown.append(name)
        found[f"{stem}.{kind}"] = tensor
    require_known(unknown, where)
    return found
