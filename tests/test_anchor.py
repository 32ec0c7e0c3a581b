"""The supervised terms on phantoms against what is written out, and the weight they fade with."""

import numpy as np
import pytest
import torch
from unpaired import loud, phantom_batch, tiny

from medgan.data.batches import WAYS
from medgan.methods.anchor import anchor_weight, phantom_losses
from medgan.methods.tissue import tissue_loss
from medgan.networks.build import build_generators

DIRECTIONS = [("MR", "CT"), ("CT", "MR")]


def make(source, target, *overrides, **network):
    torch.manual_seed(1)
    config = tiny("losses.phantom=3", *overrides, source=source, target=target, network=network)
    generators = [loud(generator, 2) for generator in build_generators(config.network)]
    return config, generators, phantom_batch(config)


def both(config, generators, pairs, step=1):
    found = {}
    for way, generator in zip(WAYS, generators, strict=True):
        found |= phantom_losses(config, generator, way, pairs, step)
    return found


@pytest.mark.parametrize("way", DIRECTIONS)
@pytest.mark.parametrize(
    "network", [{}, {"neighbours": 2, "position": True}, {"generator": "resnet"}]
)
def test_both_generators_are_drawn_to_the_truth_with_all_they_are_told(way, network):
    config, (G_A, G_B), pairs = make(*way, **network)
    to_B = G_A(pairs.source, pairs.source_context).image
    to_A = G_B(pairs.target, pairs.target_context).image
    expected = {
        "phantom_A": 3 * (to_B - pairs.source_truth).abs().mean(),
        "phantom_B": 3 * (to_A - pairs.target_truth).abs().mean(),
    }
    torch.testing.assert_close(both(config, (G_A, G_B), pairs), expected)


@pytest.mark.parametrize("way", DIRECTIONS)
def test_tissues_are_compared_in_the_ct_alone_whichever_way_leads_there(way):
    window = "preparation.window_hu=[-900, 700]"
    config, (G_A, G_B), pairs = make(*way, "losses.tissue=2", window)
    losses = both(config, (G_A, G_B), pairs)
    assert losses.keys() == {"phantom_A", "phantom_B", "phantom_tissue"}
    made, truth = (
        (G_A(pairs.source).image, pairs.source_truth)
        if way[1] == "CT"
        else (G_B(pairs.target).image, pairs.target_truth)
    )
    expected = 2 * tissue_loss(made, truth, (-900, 700), pairs.body)
    assert expected > 0.1
    torch.testing.assert_close(losses["phantom_tissue"], expected)


def test_the_background_is_supervised_by_the_phantoms_head():
    config, (G_A, G_B), pairs = make("MR", "CT", "losses.background=5")
    losses = both(config, (G_A, G_B), pairs)
    outside = (~pairs.body).float()
    for name, way in (("A", G_A(pairs.source)), ("B", G_B(pairs.target))):
        expected = 5 * (way.background - outside).abs().mean()
        torch.testing.assert_close(losses[f"phantom_background_{name}"], expected)


def annealed(warmup_steps, steps, end="null"):
    return tiny(
        f"losses.phantom_end={end}",
        losses={"phantom": 10},
        training={"steps": steps, "warmup_steps": warmup_steps},
    )


@pytest.mark.parametrize("warmup", [0, 30])
@pytest.mark.parametrize("end", [1, 0, 25])
def test_the_weight_stays_through_the_warm_up_and_then_changes_in_a_line(warmup, end):
    config = annealed(warmup, 80, end)
    found = [anchor_weight(config, step) for step in range(1, 81)]
    np.testing.assert_allclose(found, np.interp(np.arange(1, 81), [warmup, 80], [10, end]))


def test_without_an_end_the_weight_stays():
    assert {anchor_weight(annealed(20, 50), step) for step in range(1, 51)} == {10}


def test_a_training_on_phantoms_alone_keeps_its_weight():
    assert {anchor_weight(annealed(50, 50, 1), step) for step in range(1, 51)} == {10}


def test_fading_takes_weight_from_the_difference_alone():
    overrides = ("losses.phantom_end=1", "losses.tissue=2", "losses.background=5")
    config, generators, pairs = make("MR", "CT", *overrides, "training.steps=100")
    first, last = (both(config, generators, pairs, step) for step in (1, 100))
    for name, value in last.items():
        # a hundredth of the way from 3 to 1, and all of it
        factor = 2.98 if name in ("phantom_A", "phantom_B") else 1
        torch.testing.assert_close(first[name], factor * value)
