"""The generator against a naive implementation of the published specification."""

import pytest
import torch
from published import attention_forward, attention_state

from medgan.models.importers.attentiongan import renamed
from medgan.networks import AttentionGenerator, PatchDiscriminator


@pytest.mark.parametrize(("channels", "size"), [(3, (24, 24)), (3, (32, 44)), (1, (40, 28))])
def test_output_equals_the_naive_implementation_with_the_authors_names(channels, size):
    state = attention_state(channels, contents=9, maps=10)
    assert len(state) == 54
    network = AttentionGenerator(channels=(channels, channels), width=8)
    network.load_state_dict(renamed(state, "test"))
    x = torch.rand(2, channels, *size) * 2 - 1
    with torch.no_grad():
        expected = attention_forward(state, x, copies=True)
        torch.testing.assert_close(network(x).image, expected, atol=1e-5, rtol=0)


def test_defaults_with_three_channels_are_the_published_network_to_the_parameter():
    def count(network):
        return sum(p.numel() for p in network.parameters())

    assert count(AttentionGenerator(channels=(3, 3))) == 11_822_949
    geo = AttentionGenerator(channels=(3, 3), contents=10, copy_input=False)
    assert count(geo) == 11_832_360
    assert count(PatchDiscriminator(channels=3)) == 2_764_737
    assert count(AttentionGenerator()) == 11_760_211
    assert count(PatchDiscriminator(channels=1)) == 2_762_689


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_attention_sums_to_one_and_the_image_is_the_blend(spatial_dims):
    network = AttentionGenerator(spatial_dims, channels=(2, 2), contents=3, width=4, blocks=1)
    x = torch.rand(2, 2, *(16,) * spatial_dims) * 2 - 1
    result = network(x)
    assert result.content.shape == (2, 3, 2, *x.shape[2:])
    assert result.attention.shape == (2, 4, 1, *x.shape[2:])
    torch.testing.assert_close(result.attention.sum(1), torch.ones(2, 1, *x.shape[2:]))
    blend = sum(result.attention[:, k] * result.content[:, k] for k in range(3))
    torch.testing.assert_close(result.image, blend + result.background * x)


def test_images_of_a_batch_do_not_see_each_other():
    network = AttentionGenerator(width=4, blocks=2)
    x = torch.rand(3, 1, 32, 32)
    together = network(x).image
    alone = torch.cat([network(image[None]).image for image in x])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("size", "map_size"), [(256, 30), (224, 26), (128, 14), (64, 6)])
def test_the_discriminator_gives_the_published_map_sizes(size, map_size):
    scores = PatchDiscriminator(width=4)(torch.zeros(1, 1, size, size))
    assert scores.shape == (1, 1, map_size, map_size)
