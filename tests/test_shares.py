"""What a batch costs and teaches is the mean of what its parts do, whatever the objective.

This is why processes with a share each, whose gradients are averaged, train as one with all does.
"""

import math
from dataclasses import fields, replace

import pytest
import torch
from unpaired import BothPasses, both_anchors, gradients, loud, phantom_batch, tiny, unpaired_batch

from medgan.data.batches import WHOLE, Share
from medgan.methods import build_method
from medgan.networks import Context

MEMBERS = {
    "published": {},
    "first scheme": {
        "network": {"generator": "mask"},
        "losses": {"pixel": 1, "total_variation": 1, "ramp": {}},
    },
    "contrastive": {
        "method": "contrastive",
        "network": {"generator": "resnet"},
        "losses": {"contrastive": 1, "cycle": 0, "identity": 0},
    },
    "guided, augmented, with neighbours": {
        "network": {"guided": "beside", "neighbours": 2, "position": True},
        "training": {"differentiable_augmentation": True},
    },
    "anatomy": {"losses": {"background": 1, "tissue": 1, "structure_weight": 1, "phantom": 2}},
    "mind": {"losses": {"structure": "mind", "structure_weight": 1}},
}
COUNT, PARTS = 4, 2


def part(batch, number):
    """A batch's images from ``number`` times ``COUNT / PARTS`` on."""
    size = COUNT // PARTS

    def cut(value):
        if isinstance(value, Context):
            return Context(*(v if v is None else cut(v) for v in vars(value).values()))
        return value[number * size : (number + 1) * size]

    return replace(
        batch, **{field.name: cut(getattr(batch, field.name)) for field in fields(batch)}
    )


def losses_of(method, unpaired, phantoms):
    made = BothPasses(method, unpaired, seed=3)
    return made.losses | both_anchors(method, phantoms), made.judged()


@pytest.mark.parametrize("member", MEMBERS)
def test_losses_and_gradients_of_a_batch_are_the_means_of_its_parts(member):
    config = tiny(**MEMBERS[member])
    torch.manual_seed(0)
    method = loud(build_method(config), 2.0)
    batches = unpaired_batch(config, count=COUNT), phantom_batch(config, count=COUNT)
    # unlike bodies, of which the first is empty
    for bodies in (batches[0].body_A, batches[1].body):
        for number in range(COUNT):
            bodies[number, ..., : 32 - 8 * number, :] = False
    whole = losses_of(method, *batches)
    parts = [losses_of(method, *(part(b, k) for b in batches)) for k in range(PARTS)]
    trained = method.generators, method.discriminators
    for side, network in enumerate(trained):
        assert whole[side].keys() == parts[0][side].keys()
        for name, value in whole[side].items():
            mean = math.fsum(p[side][name].item() for p in parts) / PARTS
            assert value.item() == pytest.approx(mean, rel=1e-5, abs=1e-7), name
        expected = gradients(whole[side], network)
        found = [gradients(p[side], network) for p in parts]
        for one, *several in zip(expected, *found, strict=True):
            mean = torch.stack(several).mean(0)
            torch.testing.assert_close(one, mean, rtol=1e-4, atol=1e-5 * (1 + one.abs().max()))


@pytest.mark.parametrize(("of", "batch"), [(1, 3), (2, 3), (5, 1)])
def test_the_shares_of_a_step_are_its_samples_in_order(of, batch):
    shared = [
        n for step in (1, 2, 3) for rank in range(of) for n in Share(rank, of).numbers(step, batch)
    ]
    assert shared == [n for step in (1, 2, 3) for n in WHOLE.numbers(step, batch * of)]
    assert shared == list(range(3 * of * batch))
