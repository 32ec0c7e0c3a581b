"""What generators are told besides the image: channels in their order, and what is not known."""

import pytest
import torch
from unpaired import tiny

from medgan.networks import UNKNOWN, Conditioning, Context
from medgan.networks.build import build_generators
from medgan.networks.layers import copied


def noise(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("sizes", [(8, 12), (4, 8, 12)])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("neighbours", [0, 2, 4])
@pytest.mark.parametrize("position", [False, True])
def test_image_neighbours_and_depth_are_stacked_in_this_order(
    sizes, channels, neighbours, position
):
    image = noise(3, channels, *sizes)
    beside = noise(3, neighbours * channels, *sizes, seed=1) if neighbours else None
    told = Conditioning(neighbours, position)
    stack = told.stack(image, Context(beside, torch.tensor([0.1, 0.7, 1.9])))
    assert stack.shape == (3, told.channels(channels), *sizes)
    assert torch.equal(stack[:, :channels], image)
    if neighbours:
        assert torch.equal(stack[:, channels : channels * (1 + neighbours)], beside)
    if position:
        for given, one, depth in zip(stack[:, -channels:], image, (0.1, 0.7, 1.9), strict=True):
            assert torch.equal(given, one * depth)


def test_nothing_but_the_image_is_the_image_itself():
    image = noise(2, 1, 8, 8)
    context = Context(noise(2, 2, 8, 8), torch.ones(2))
    assert Conditioning().stack(image, context) is image


def test_unknown_neighbours_are_copies_and_an_unknown_depth_lies_above_every_head():
    image = noise(2, 2, 8, 8)
    stack = Conditioning(4, position=True).stack(image)
    for slice_ in stack[:, :-2].split(2, dim=1):
        assert torch.equal(slice_, image)
    assert torch.equal(stack[:, -2:], -image)


def test_depth_takes_the_precision_of_the_image():
    stack = Conditioning(position=True).stack(
        noise(1, 1, 8, 8).bfloat16(), Context(depth=torch.tensor([0.5], dtype=torch.float64))
    )
    assert stack.dtype == torch.bfloat16


def test_contexts_of_two_batches_are_those_of_both_in_turn():
    first = Context(noise(2, 4, 8, 8), torch.tensor([1.0, 2.0]))
    second = Context(noise(1, 4, 8, 8, seed=1), torch.tensor([3.0]))
    both = Context.of((first, second))
    assert torch.equal(both.neighbours[2:], second.neighbours)
    assert both.depth.tolist() == [1, 2, 3]
    assert Context.of((UNKNOWN, UNKNOWN)) == UNKNOWN


def test_a_made_image_keeps_its_depth_and_loses_its_neighbours():
    context = Context(noise(2, 4, 8, 8), torch.tensor([1.0, 2.0]))
    assert context.without_neighbours() == Context(None, context.depth)
    assert UNKNOWN.without_neighbours() == UNKNOWN


@pytest.mark.parametrize(("channels", "wanted"), [(1, 1), (1, 3), (2, 1), (2, 3)])
def test_neighbours_are_copied_into_other_channels_as_their_image_is(channels, wanted):
    slices = [noise(2, channels, 8, 8, seed=k) for k in range(4)]
    context = Context(torch.cat(slices, dim=1), torch.tensor([1.0, 2.0]))
    made = context.with_channels(channels, wanted)
    expected = torch.cat([copied(slice_, wanted) for slice_ in slices], dim=1)
    assert torch.equal(made.neighbours, expected)
    assert made.depth is context.depth
    assert UNKNOWN.with_channels(channels, wanted) == UNKNOWN


def test_a_context_moves_with_all_that_it_holds():
    context = Context(noise(1, 2, 8, 8), torch.ones(1))
    moved = context.to(torch.device("meta"))
    assert moved.neighbours.is_meta and moved.depth.is_meta
    assert UNKNOWN.to(torch.device("meta")) == UNKNOWN


@pytest.mark.parametrize("generator", ["attention", "mask", "resnet"])
def test_a_generator_listens_to_all_that_it_is_told_and_to_nothing_else(generator):
    network = {"generator": generator, "contents": 2}
    image = noise(1, 1, 16, 16)
    other = Context(noise(1, 2, 16, 16, seed=3), torch.ones(1))
    torch.manual_seed(0)
    deaf, _ = build_generators(tiny(network=network).network)
    assert torch.equal(deaf(image, other).image, deaf(image).image)
    told, _ = build_generators(tiny(network=network | {"neighbours": 2, "position": True}).network)
    plain = told(image).image
    # a norm over the image takes constants out: what comes through has to be no rounding error
    for context in (Context(other.neighbours), Context(depth=other.depth)):
        assert (told(image, context).image - plain).abs().mean() > 1e-3
