"""ResNet generators of CycleGAN and pix2pix."""

from collections.abc import Mapping

import torch
from torch import Tensor

from medgan.models.importers.published import PublishedGenerator, network_config
from medgan.models.importers.sequential import read_sequential

_TRANSPOSED = ("decoder.0.weight", "decoder.3.weight")


def read_cyclegan(state: Mapping[str, Tensor], where: object) -> PublishedGenerator:
    """Import a generator; with batch norm it has no biases, which become zero.

    Raises:
        ModelError: tensors that are missing, unknown or of other shapes.
    """
    generator = read_sequential(state, where)
    network = network_config(where, generator="resnet", **generator.architecture)
    tensors = generator.state
    if generator.batch_norm:
        tensors = _zero_biases(tensors) | tensors
    notes = ("trained with dropout, which a translation leaves out",) * generator.dropout
    return PublishedGenerator(
        "CycleGAN",
        "BSD-2-Clause (CycleGAN and pix2pix)",
        network,
        tensors,
        generator.published_name,
        notes,
    )


def _zero_biases(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A bias of 0 for every convolution."""
    return {
        name.replace(".weight", ".bias"): torch.zeros(tensor.shape[1 if name in _TRANSPOSED else 0])
        for name, tensor in state.items()
        if name.endswith(".weight") and tensor.ndim == 4
    }
