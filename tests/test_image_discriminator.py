import pytest
import torch
from torch.nn import functional as F

from medgan.errors import DataError
from medgan.networks.image_discriminator import SMALLEST, ImageDiscriminator


def test_the_default_with_three_channels_is_the_published_network_to_the_parameter():
    with torch.device("meta"):
        network = ImageDiscriminator(channels=3)
    assert sum(p.numel() for p in network.parameters()) == 6_953_793


def test_scores_equal_the_specification_layer_by_layer():
    network = ImageDiscriminator(channels=2, width=4)
    x = torch.rand(2, 2, 96, 101)
    state = network.state_dict()
    y = x
    for conv in (0, 3, 6, 9):
        y = F.conv2d(y, state[f"layers.{conv}.weight"], state[f"layers.{conv}.bias"], stride=2)
        mean = y.mean(dim=(0, 2, 3), keepdim=True)
        variance = ((y - mean) ** 2).mean(dim=(0, 2, 3), keepdim=True)
        y = (y - mean) / torch.sqrt(variance + 1e-5)
        y = torch.where(y > 0, y, 0.01 * y)
    y = F.conv2d(y, state["layers.12.weight"], state["layers.12.bias"])
    y = torch.where(y > 0, y, 0.01 * y).mean(dim=(2, 3))
    expected = y @ state["layers.15.weight"][:, :, 0, 0].T + state["layers.15.bias"]
    scores = network(x)
    assert scores.shape == (2, 1, 1, 1)
    torch.testing.assert_close(scores[:, :, 0, 0], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_the_smallest_size_has_a_score_and_a_smaller_one_an_error(norm):
    network = ImageDiscriminator(width=4, norm=norm)
    assert network(torch.rand(2, 1, SMALLEST, SMALLEST)).isfinite().all()
    with pytest.raises(DataError, match=r"94 x 93.*at least 94 x 94"):
        network(torch.rand(2, 1, SMALLEST, SMALLEST - 1))
    with pytest.raises(RuntimeError):
        network.layers(torch.rand(2, 1, SMALLEST, SMALLEST - 1))
