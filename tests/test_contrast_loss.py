"""PatchNCE against a loop, and what is drawn for it."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from medgan.methods.contrast import draw_positions, patch_nce, patches_at


def patches(seed, images=2, places=7, width=5):
    generator = torch.Generator().manual_seed(seed)
    return functional.normalize(torch.randn(images, places, width, generator=generator), dim=-1)


@pytest.mark.parametrize("temperature", [0.07, 1.0])
def test_a_loop_over_patches_gives_the_same(temperature):
    queries, keys = patches(0), patches(1)
    losses = []
    for image in range(2):
        for own in range(7):
            likes = [
                math.exp((queries[image, own] @ keys[image, other]).item() / temperature)
                for other in range(7)
            ]
            losses.append(-math.log(likes[own] / sum(likes)))
    loss = patch_nce(queries, keys, temperature).item()
    assert loss == pytest.approx(np.mean(losses), rel=1e-5)


def test_patches_of_other_images_are_no_negatives():
    queries, keys = patches(0), patches(1)
    apart = [patch_nce(queries[i : i + 1], keys[i : i + 1]).item() for i in range(2)]
    assert patch_nce(queries, keys).item() == pytest.approx(np.mean(apart), rel=1e-5)


def test_queries_that_tell_nothing_cost_the_logarithm_of_their_number():
    same = torch.zeros(1, 7, 5)
    same[..., 0] = 1.0
    assert patch_nce(same, same).item() == pytest.approx(math.log(7), rel=1e-6)
    orthogonal = torch.eye(7)[None]
    assert patch_nce(orthogonal, orthogonal).item() < 1e-4


def test_gradients_reach_the_queries_alone():
    queries, keys = patches(0).requires_grad_(), patches(1).requires_grad_()
    patch_nce(queries, keys).backward()
    assert torch.isfinite(queries.grad).all()
    assert queries.grad.abs().sum() > 0
    assert keys.grad is None


def test_autocast_does_not_coarsen_the_similarities():
    queries, keys = patches(0), patches(1)
    with torch.autocast("cpu", torch.bfloat16):
        assert patch_nce(queries, keys) == patch_nce(queries, keys).float()
        inside = patch_nce(queries, keys).item()
    assert inside == patch_nce(queries, keys).item()


def test_every_layer_has_its_own_places_each_at_most_once():
    sizes = [(8, 6), (3, 2), (4, 4, 4)]
    drawn = draw_positions(sizes, 10, np.random.default_rng(3))
    assert [len(places) for places in drawn] == [10, 6, 10]
    for places, size in zip(drawn, sizes, strict=True):
        assert len(set(places.tolist())) == len(places)
        assert places.min() >= 0 and places.max() < math.prod(size)
    again = draw_positions(sizes, 10, np.random.default_rng(3))
    assert all(torch.equal(a, b) for a, b in zip(drawn, again, strict=True))
    other = draw_positions(sizes, 10, np.random.default_rng(4))
    assert not torch.equal(drawn[0], other[0])


def test_all_places_are_drawn_in_the_long_run():
    rng = np.random.default_rng(0)
    seen = {int(p) for _ in range(50) for p in draw_positions([(5, 4)], 3, rng)[0]}
    assert seen == set(range(20))


@pytest.mark.parametrize("sizes", [(4, 6), (2, 3, 4)])
def test_features_are_taken_at_the_drawn_places(sizes):
    features = torch.randn(2, 3, *sizes, generator=torch.Generator().manual_seed(0))
    (places,) = draw_positions([sizes], 5, np.random.default_rng(0))
    taken = patches_at(features, places)
    assert taken.shape == (2, 5, 3)
    for row, place in enumerate(places.tolist()):
        index = np.unravel_index(place, sizes)
        assert torch.equal(taken[:, row], features[(slice(None), slice(None), *index)])
