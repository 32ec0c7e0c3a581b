"""The generator against a naive implementation of the published specification."""

import pytest
import torch
from torch.nn import functional as F

from medgan.errors import ModelError
from medgan.networks import AttentionGenerator, PatchDiscriminator
from medgan.networks.published_names import rename_published


def published_state(channels, width, contents, blocks, seed=0):
    """Random weights under the authors' names and shapes."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {
        "conv1": (width, channels, 7, 7),
        "conv2": (2 * width, width, 3, 3),
        "conv3": (4 * width, 2 * width, 3, 3),
    }
    for block in range(blocks):
        for conv in (1, 2):
            shapes[f"resnet_blocks.{block}.conv{conv}"] = (4 * width, 4 * width, 3, 3)
    for branch in ("content", "attention"):
        shapes[f"deconv1_{branch}"] = (4 * width, 2 * width, 3, 3)
        shapes[f"deconv2_{branch}"] = (2 * width, width, 3, 3)
    shapes["deconv3_content"] = (contents * channels, width, 7, 7)
    shapes["deconv3_attention"] = (contents + 1, width, 1, 1)
    state = {}
    for name, shape in shapes.items():
        state[f"{name}.weight"] = 0.1 * torch.randn(shape, generator=generator)
        transposed = name.startswith("deconv") and not name.startswith("deconv3")
        size = shape[1] if transposed else shape[0]
        state[f"{name}.bias"] = 0.1 * torch.randn(size, generator=generator)
    return state


def naive_forward(state, x, contents, blocks):
    """The specification, layer by layer and image by image."""

    def norm(y):
        mean = y.mean(dim=(2, 3), keepdim=True)
        variance = ((y - mean) ** 2).mean(dim=(2, 3), keepdim=True)
        return (y - mean) / torch.sqrt(variance + 1e-5)

    def conv(y, name, stride=1, padding=0, reflect=0):
        if reflect:
            y = F.pad(y, (reflect,) * 4, mode="reflect")
        return F.conv2d(y, state[f"{name}.weight"], state[f"{name}.bias"], stride, padding)

    def up(y, name):
        y = F.conv_transpose2d(
            y, state[f"{name}.weight"], state[f"{name}.bias"], 2, 1, output_padding=1
        )
        return torch.relu(norm(y))

    y = torch.relu(norm(conv(x, "conv1", reflect=3)))
    y = torch.relu(norm(conv(y, "conv2", 2, 1)))
    y = torch.relu(norm(conv(y, "conv3", 2, 1)))
    for block in range(blocks):
        z = torch.relu(norm(conv(y, f"resnet_blocks.{block}.conv1", reflect=1)))
        y = y + norm(conv(z, f"resnet_blocks.{block}.conv2", reflect=1))
    content = up(up(y, "deconv1_content"), "deconv2_content")
    content = torch.tanh(conv(content, "deconv3_content", reflect=3))
    attention = up(up(y, "deconv1_attention"), "deconv2_attention")
    attention = conv(attention, "deconv3_attention")
    attention = torch.exp(attention) / torch.exp(attention).sum(1, keepdim=True)
    channels = x.shape[1]
    out = attention[:, -1:] * x
    for k in range(contents):
        out = out + attention[:, k : k + 1] * content[:, k * channels : (k + 1) * channels]
    return out


@pytest.mark.parametrize(("channels", "size"), [(3, (24, 24)), (3, (32, 44)), (1, (40, 28))])
def test_output_equals_the_naive_implementation_with_the_authors_names(channels, size):
    state = published_state(channels, width=8, contents=9, blocks=9)
    assert len(state) == 54
    network = AttentionGenerator(channels=channels, width=8)
    network.load_state_dict(rename_published(state))
    x = torch.rand(2, channels, *size) * 2 - 1
    with torch.no_grad():
        torch.testing.assert_close(
            network(x).image, naive_forward(state, x, 9, 9), atol=1e-5, rtol=0
        )


def test_defaults_with_three_channels_are_the_published_network_to_the_parameter():
    def count(network):
        return sum(p.numel() for p in network.parameters())

    assert count(AttentionGenerator(channels=3)) == 11_822_949
    assert count(PatchDiscriminator(channels=3)) == 2_764_737
    assert count(AttentionGenerator(channels=1)) == 11_760_211
    assert count(PatchDiscriminator(channels=1)) == 2_762_689


def test_a_name_the_published_network_does_not_have_is_refused_by_name():
    with pytest.raises(ModelError, match="conv9"):
        rename_published({"conv9.weight": torch.zeros(1)})


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_attention_sums_to_one_and_the_image_is_the_blend(spatial_dims):
    network = AttentionGenerator(spatial_dims, channels=2, contents=3, width=4, blocks=1)
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
