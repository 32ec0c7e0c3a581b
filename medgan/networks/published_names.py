"""The authors' names of the generator's tensors, and ours."""

import re
from collections.abc import Mapping

from torch import Tensor

from medgan.errors import ModelError

_STEM = {
    "conv1": "encoder.1",
    "conv2": "encoder.4",
    "conv3": "encoder.7",
    "deconv1_content": "content.0",
    "deconv2_content": "content.3",
    "deconv3_content": "content.7",
    "deconv1_attention": "attention.0",
    "deconv2_attention": "attention.3",
    "deconv3_attention": "attention.6",
}
_BLOCK = re.compile(r"resnet_blocks\.(\d+)\.conv([12])")
_BLOCK_LAYER = {"1": 1, "2": 5}


def rename_published(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Map a published generator's state dict to the names of ``AttentionGenerator``.

    Args:
        state: the 54 tensors of the authors' generator (6 + 4 a block + 12).

    Raises:
        ModelError: a name that the published network does not have.
    """
    renamed = {}
    unknown = []
    for name, tensor in state.items():
        stem, _, kind = name.rpartition(".")
        block = _BLOCK.fullmatch(stem)
        if block:
            stem = f"blocks.{block[1]}.layers.{_BLOCK_LAYER[block[2]]}"
        elif stem in _STEM:
            stem = _STEM[stem]
        else:
            unknown.append(name)
        renamed[f"{stem}.{kind}"] = tensor
    if unknown:
        raise ModelError("tensors the published generator does not have", measured=unknown)
    return renamed
