"""The layers that networks share, against numpy and written-out rules."""

import numpy as np
import pytest
import torch

from medgan.networks.layers import ReflectionPad, ReLU


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_reflected_borders_keep_the_precision_of_the_image(spatial_dims):
    x = torch.rand(1, 2, *(5, 6, 7)[:spatial_dims], dtype=torch.float32)
    pad = ReflectionPad(spatial_dims, 2)
    expected = torch.from_numpy(np.pad(x, [(0, 0)] * 2 + [(2, 2)] * spatial_dims, "reflect"))
    assert torch.equal(pad(x), expected)
    half = x.bfloat16().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        padded = pad(half)
    assert torch.equal(padded, expected.bfloat16())
    padded.sum().backward()
    # every value counts as often as it was laid down
    flat = torch.arange(x.numel(), dtype=torch.float32).view_as(x)
    times = torch.bincount(pad(flat).flatten().long(), minlength=x.numel()).view_as(x)
    assert torch.equal(half.grad, times.bfloat16())


@pytest.mark.parametrize("slope", [0.0, 0.2])
def test_a_relu_works_in_place_only_where_no_gradient_is_wanted(slope):
    x = torch.randn(2, 3, 4, 4)
    expected = torch.where(x > 0, x, slope * x)
    given = x.clone()
    assert torch.equal(ReLU(slope)(given), expected)
    assert torch.equal(given, x)
    with torch.no_grad():
        assert ReLU(slope)(given) is not None
    assert torch.equal(given, expected)
