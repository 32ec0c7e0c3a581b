"""Convolutions of shallow volumes in bf16, whose weight gradients oneDNN leaves unwritten."""

import pytest
import torch
from torch import nn

from medgan.networks.layers import PaddedConv3d
from medgan.networks.patch_discriminator import PatchDiscriminator


def _litter_memory():
    """Leave huge numbers where the next tensors will lie."""
    for size in (64, 1_000, 4_096, 16_384, 65_536, 200_000):
        torch.full((size,), 1e30)


def _gradients(network, image, precision):
    network.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        scores = network(image)
    (scores.float() * torch.linspace(-1, 2, scores.numel()).reshape(scores.shape)).sum().backward()
    return {name: part.grad.clone() for name, part in network.named_parameters()}


@pytest.mark.parametrize(
    ("arguments", "shape"),
    [
        ((64, 1, 4, 1, 1), (3, 3, 3)),
        ((16, 32, 4, 1, 1), (3, 8, 8)),
        ((32, 64, 3, 1, 1), (2, 4, 4)),
        ((32, 64, 3, 2, 1), (1, 1, 1)),
    ],
)
def test_gradients_of_shallow_volumes_in_bf16_are_those_in_fp32(arguments, shape):
    torch.manual_seed(0)
    for _ in range(4):
        network = PaddedConv3d(*arguments)
        image = torch.randn(2, arguments[0], *shape)
        expected = _gradients(network, image, "fp32")
        _litter_memory()
        found = _gradients(network, image, "bf16")
        for name, gradient in expected.items():
            assert (found[name] - gradient).norm() < 0.03 * gradient.norm(), name


@pytest.mark.parametrize("arguments", [(3, 5, 4, 1, 1), (3, 5, 4, 2, 1), (3, 5, 3), (3, 5, 1)])
@pytest.mark.parametrize("shape", [(3, 5, 4), (7, 4, 6)])
def test_it_is_the_convolution_of_torch(arguments, shape):
    torch.manual_seed(1)
    own, theirs = PaddedConv3d(*arguments), nn.Conv3d(*arguments)
    theirs.load_state_dict(own.state_dict())
    image = torch.randn(2, 3, *shape)
    torch.testing.assert_close(own(image), theirs(image))


def test_a_discriminator_of_small_patches_learns_in_bf16():
    torch.manual_seed(2)
    network = PatchDiscriminator(3, 1, 8)
    image = torch.randn(1, 1, 32, 32, 32)
    for _ in range(4):
        _litter_memory()
        for name, gradient in _gradients(network, image, "bf16").items():
            assert gradient.abs().max() < 1e3, name
