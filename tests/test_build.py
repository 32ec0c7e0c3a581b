"""The networks that a configuration describes: every key reaches the network."""

import pytest
import torch
from torch import nn
from unpaired import TINY

from medgan.config import NetworkConfig
from medgan.networks import AttentionGenerator, PatchDiscriminator
from medgan.networks.build import build_discriminators, build_generators, has_batch_norm
from medgan.networks.image_discriminator import ImageDiscriminator
from medgan.networks.mask_generator import MaskGenerator
from medgan.networks.resnet_generator import ResnetGenerator


def network(**changes):
    return NetworkConfig(**TINY | changes)


def modules(part, kind):
    return [module for module in part.modules() if isinstance(module, kind)]


@pytest.mark.parametrize(
    ("name", "kind"),
    [("attention", AttentionGenerator), ("mask", MaskGenerator), ("resnet", ResnetGenerator)],
)
def test_one_generator_leads_there_and_one_back(name, kind):
    forward, backward = build_generators(
        network(generator=name, channels=(2, 3), width=6, blocks=2)
    )
    assert type(forward) is type(backward) is kind
    assert (forward.channels, backward.channels) == ((2, 3), (3, 2))
    image = torch.zeros(1, 2, 16, 24)
    there = forward(image).image
    assert there.shape == (1, 3, 16, 24)
    assert backward(there).image.shape == image.shape
    for generator in (forward, backward):
        assert len(generator.blocks) == 2
        assert modules(generator.encoder, nn.Conv2d)[0].out_channels == 6


def test_contents_and_copied_input_reach_the_attention_generator():
    for copy_input in (True, False):
        forward, _ = build_generators(network(contents=3, copy_input=copy_input))
        made = forward(torch.rand(1, 1, 16, 16))
        assert made.content.shape[1] == 3
        assert bool(made.background.any()) is copy_input


@pytest.mark.parametrize("name", ["attention", "resnet"])
def test_three_dimensions_and_resize_convolutions_reach_the_generators(name):
    forward, _ = build_generators(network(generator=name, spatial_dims=3))
    assert forward(torch.zeros(1, 1, 16, 16, 16)).image.shape == (1, 1, 16, 16, 16)
    kinds = (nn.ConvTranspose2d, nn.ConvTranspose3d)
    assert modules(forward, kinds)
    resized, _ = build_generators(network(generator=name, upsampling="resize"))
    assert not modules(resized, kinds)


def test_the_content_of_the_mask_generator_is_bounded_where_that_is_asked_for():
    for bounded in (True, False):
        torch.manual_seed(0)
        forward, _ = build_generators(network(generator="mask", bounded=bounded))
        with torch.no_grad():
            for parameter in forward.parameters():
                parameter.mul_(10)
        largest = forward(torch.rand(1, 1, 16, 16) * 2 - 1).content.abs().max().item()
        assert (largest <= 1) is bounded


@pytest.mark.parametrize(
    ("guided", "seen"),
    [("none", {"plain": 2}), ("beside", {"plain": 2, "guided": 3}), ("instead", {"guided": 3})],
)
@pytest.mark.parametrize(
    ("name", "kind"), [("patch", PatchDiscriminator), ("image", ImageDiscriminator)]
)
def test_guided_discriminators_see_one_channel_more(guided, seen, name, kind):
    built = build_discriminators(network(guided=guided, discriminator=name), 2)
    assert {part: modules(judge, nn.Conv2d)[0].in_channels for part, judge in built.items()} == seen
    assert all(isinstance(judge, kind) for judge in built.values())
    assert all(modules(judge, nn.Conv2d)[0].out_channels == 4 for judge in built.values())


@pytest.mark.parametrize("name", ["mask", "resnet"])
@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_batch_norm_is_found_where_it_is(name, norm):
    settings = network(generator=name, norm=norm, discriminator="image")
    forward, _ = build_generators(settings)
    assert has_batch_norm(forward) is (norm == "batch")
    assert has_batch_norm(build_discriminators(settings, 1)) is (norm == "batch")


def test_networks_without_a_choice_of_norm_have_instance_norm():
    settings = network(norm="batch")
    assert not has_batch_norm(build_generators(settings)[0])
    assert not has_batch_norm(build_discriminators(settings, 1))


@pytest.mark.parametrize("kind", [nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d])
def test_batch_norm_of_any_dimension_counts(kind):
    assert has_batch_norm(nn.Sequential(nn.ReLU(), nn.Sequential(kind(2))))
