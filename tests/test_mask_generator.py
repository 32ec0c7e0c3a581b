"""The first scheme's generator; that it is the published one, test_importers shows."""

import pytest
import torch

from medgan.networks import Conditioning, Context
from medgan.networks.mask_generator import MaskGenerator


def test_the_default_with_three_channels_is_the_published_network_to_the_parameter():
    with torch.device("meta"):
        network = MaskGenerator(channels=(3, 3))
    assert sum(p.numel() for p in network.parameters()) == 7_931_332


def test_the_mask_lays_the_content_on_the_input():
    network = MaskGenerator((1, 1), width=4, blocks=1)
    x = torch.rand(2, 1, 12, 16) * 2 - 1
    result = network(x)
    assert result.content.shape == (2, 1, 1, 12, 16)
    assert result.attention.shape == (2, 2, 1, 12, 16)
    mask = result.attention[:, 0]
    torch.testing.assert_close(result.image, mask * result.content[:, 0] + (1 - mask) * x)
    torch.testing.assert_close(result.background, 1 - mask)


@pytest.mark.parametrize(("channels", "copied"), [((2, 3), (0, 1, 1)), ((3, 1), (0,))])
def test_where_the_mask_is_zero_an_output_channel_copies_the_last_one_there_is(channels, copied):
    network = MaskGenerator(channels, width=4, blocks=1)
    with torch.no_grad():
        network.decoder[-1].weight.zero_()
        network.decoder[-1].bias[0] = -100
    x = torch.rand(1, channels[0], 8, 8)
    assert torch.equal(network(x).image, x[:, list(copied)])


def test_only_the_bounded_content_stays_within_one():
    x = torch.rand(1, 1, 8, 8)
    for bounded in (False, True):
        network = MaskGenerator(width=4, blocks=1, bounded=bounded)
        with torch.no_grad():
            network.decoder[-1].bias[:] = 50
        content = network(x).content
        assert (content.max() <= 1) == bounded


def test_with_instance_norm_images_of_a_batch_do_not_see_each_other_with_batch_norm_they_do():
    x = torch.rand(3, 1, 16, 16)
    for norm, alike in (("instance", True), ("batch", False)):
        network = MaskGenerator(width=4, blocks=1, norm=norm)
        alone = torch.cat([network(image[None]).image for image in x])
        assert torch.allclose(network(x).image, alone, atol=1e-5) == alike


def test_neighbours_and_position_change_the_result():
    network = MaskGenerator(width=4, blocks=1, conditioning=Conditioning(2, position=True)).eval()
    x = torch.rand(1, 1, 8, 8)
    plain = network(x).image
    assert not torch.allclose(plain, network(x, Context(depth=torch.tensor([1.0]))).image)
    assert not torch.allclose(plain, network(x, Context(torch.zeros(1, 2, 8, 8))).image)
