"""Generators whose layers are numbered through: ``model.1``, ..., ``model.10.conv_block.1``, ...

Ten layers of encoder come first in all of them, then the blocks, then the decoder, each in the
order in which medgan's own networks hold them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from medgan.errors import ModelError
from medgan.models.importers.published import kernel, require_known, without_statistics

_ENCODER = 10
_LAYER = re.compile(r"model\.(\d{1,4})\.(\w+)")
_BLOCK = re.compile(r"model\.(\d{1,4})\.conv_block\.(\d{1,4})\.(\w+)")
_DROPOUT = 4


@dataclass(frozen=True)
class SequentialGenerator:
    """A generator of numbered layers under medgan's names.

    Attributes:
        state: tensors by the names of medgan's generator.
        channels: of the image that it reads, and of what its last convolution gives.
        width: feature maps of the first convolution.
        blocks: residual blocks.
        batch_norm: whether it has batch norm; instance norm otherwise.
        dropout: whether its blocks were trained with dropout, which has no tensors.
    """

    state: dict[str, Tensor]
    channels: tuple[int, int]
    width: int
    blocks: int
    batch_norm: bool
    dropout: bool

    @property
    def architecture(self) -> dict[str, Any]:
        """Its fields of a ``NetworkConfig``."""
        return {
            "channels": self.channels,
            "width": self.width,
            "blocks": self.blocks,
            "norm": "batch" if self.batch_norm else "instance",
        }

    def published_name(self, name: str) -> str:
        """What a tensor of medgan's generator is called in the file."""
        part, number, rest = name.split(".", 2)
        if part != "blocks":
            first = 0 if part == "encoder" else _ENCODER + self.blocks
            return f"model.{first + int(number)}.{rest}"
        _, layer, kind = rest.split(".")
        shifted = int(layer) + (self.dropout and int(layer) >= _DROPOUT)
        return f"model.{_ENCODER + int(number)}.conv_block.{shifted}.{kind}"


def is_sequential(state: Mapping[str, Tensor]) -> bool:
    """Whether layers are numbered through, with residual blocks among them."""
    return any(_BLOCK.fullmatch(name) for name in state)


def read_sequential(state: Mapping[str, Tensor], where: object) -> SequentialGenerator:
    """Give the layers medgan's names.

    Raises:
        ModelError: tensors that are missing or unknown, another number of halvings, or a last layer
            that is no 2-D convolution.
    """
    width, channels = kernel(state, "model.1.weight", where)[:2]
    matches = [match for match in map(_BLOCK.fullmatch, state) if match]
    numbers = {int(match[1]) for match in matches}
    if numbers != set(range(_ENCODER, _ENCODER + len(numbers))):
        raise ModelError(
            "the residual blocks do not follow an encoder that halves twice",
            where=where,
            measured=f"blocks model.{min(numbers)} to model.{max(numbers)}",
            limit=f"from model.{_ENCODER} without a gap",
        )
    batch_norm = "model.2.weight" in state
    dropout = all(int(match[2]) != _DROPOUT + 1 for match in matches)
    named = _renamed(
        state if batch_norm else without_statistics(state), len(numbers), dropout, where
    )
    if batch_norm:
        named |= _counters(named)
    layers = [int(name.split(".")[1]) for name in named if name.startswith("decoder.")]
    last = _ENCODER + len(numbers) + max(layers, default=0)
    written = kernel(state, f"model.{last}.weight", where)[0]
    return SequentialGenerator(named, (channels, written), width, len(numbers), batch_norm, dropout)


def _renamed(
    state: Mapping[str, Tensor], blocks: int, dropout: bool, where: object
) -> dict[str, Tensor]:
    found, unknown = {}, []
    for name, tensor in state.items():
        if block := _BLOCK.fullmatch(name):
            number, layer = int(block[1]) - _ENCODER, int(block[2])
            layer -= dropout and layer > _DROPOUT
            found[f"blocks.{number}.layers.{layer}.{block[3]}"] = tensor
        elif match := _LAYER.fullmatch(name):
            number = int(match[1])
            part, first = ("encoder", 0) if number < _ENCODER else ("decoder", _ENCODER + blocks)
            found[f"{part}.{number - first}.{match[2]}"] = tensor
        else:
            unknown.append(name)
    require_known(unknown, where)
    return found


def _counters(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Batch norm's counters, which no result depends on."""
    stems = [name.removesuffix(".running_mean") for name in state if name.endswith("running_mean")]
    return {f"{stem}.num_batches_tracked": torch.tensor(0) for stem in stems}
