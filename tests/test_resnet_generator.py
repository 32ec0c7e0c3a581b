"""The CycleGAN generator; that it is the published one, test_importers shows."""

import pytest
import torch
from torch import nn

from medgan.errors import ConfigError
from medgan.networks import UNKNOWN, Conditioning, Context
from medgan.networks.resnet_generator import ResnetGenerator

PUBLISHED_LAYERS = (0, 4, 8, 12, 16)


def test_the_default_with_three_channels_is_the_published_network_to_the_parameter():
    with torch.device("meta"):
        network = ResnetGenerator(channels=(3, 3))
    assert sum(p.numel() for p in network.parameters()) == 11_378_179


@pytest.mark.parametrize("upsampling", ["transposed", "resize"])
@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_the_image_is_the_only_content_and_nothing_is_copied(spatial_dims, upsampling):
    network = ResnetGenerator(spatial_dims, (2, 3), width=4, blocks=1, upsampling=upsampling)
    x = torch.rand(2, 2, *(8, 12, 16)[:spatial_dims])
    result = network(x)
    assert result.image.shape == (2, 3, *x.shape[2:])
    assert result.image.abs().max() <= 1
    assert torch.equal(result.content, result.image[:, None])
    assert torch.equal(result.attention[:, 0], torch.ones(2, 1, *x.shape[2:]))
    assert torch.equal(result.background, torch.zeros(2, 1, *x.shape[2:]))


def test_features_are_what_each_layer_returns_before_a_relu_works_in_place():
    network = ResnetGenerator(channels=(3, 3), width=4)
    for name, module in network.encoder.named_children():
        if isinstance(module, nn.ReLU):
            network.encoder[int(name)] = nn.ReLU()
    x = torch.rand(2, 3, 16, 20)
    outputs, y = [], x
    for layer in (*network.encoder, *network.blocks):
        y = layer(y)
        outputs.append(y)
    for name, module in network.encoder.named_children():
        if isinstance(module, nn.ReLU):
            network.encoder[int(name)] = nn.ReLU(inplace=True)
    features = network.features(x, UNKNOWN, PUBLISHED_LAYERS)
    for number, found in zip(PUBLISHED_LAYERS, features, strict=True):
        torch.testing.assert_close(found, outputs[number])
    assert (features[2] < 0).any(), "layer 8 is a norm: its negative values must survive"
    assert network.feature_channels(PUBLISHED_LAYERS) == tuple(f.shape[1] for f in features)
    sum(found.square().sum() for found in features).backward()


def test_features_count_the_neighbours_and_the_position_that_the_network_sees():
    told = Conditioning(neighbours=2, position=True)
    network = ResnetGenerator(width=4, blocks=1, conditioning=told)
    context = Context(torch.rand(1, 2, 8, 8), torch.tensor([0.5]))
    (feature,) = network.features(torch.rand(1, 1, 8, 8), context, [0])
    assert network.feature_channels([0]) == (feature.shape[1],) == (4,)
    assert network(torch.rand(1, 1, 8, 8), context).image.shape == (1, 1, 8, 8)


@pytest.mark.parametrize("layers", [[], [4, 0], [0, 0], [-1], [11]])
def test_layers_that_are_not_there_or_not_in_order_are_refused(layers):
    network = ResnetGenerator(width=4, blocks=1)
    with pytest.raises(ConfigError, match="0 to 10"):
        network.features(torch.zeros(1, 1, 8, 8), UNKNOWN, layers)
    with pytest.raises(ConfigError, match="0 to 10"):
        network.feature_channels(layers)
