"""Maps of what is wanted: generators are told, judges see them, and the cycle keeps them."""

import pytest
import torch
from unpaired import TINY, BothPasses, loud

from medgan.config import parse_config
from medgan.data.batches import UnpairedBatch
from medgan.errors import ConfigError
from medgan.methods import Cyclic
from medgan.methods.judges import Judges
from medgan.networks import UNKNOWN, Conditioning, Context

SIZE = (24, 24, 24)


def config(**network):
    return parse_config(
        {
            "name": "nodules",
            "source": "CT",
            "target": "CT",
            "data": {"nodules": {"roots": ["luna"]}},
            "network": TINY | {"spatial_dims": 3, "conditions": 2} | network,
            "losses": {"identity": 0},
        }
    )


def noise(*shape, seed):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def batch(wanted_A, wanted_B):
    real_A, real_B = noise(1, 1, *SIZE, seed=1), noise(1, 1, *SIZE, seed=2)
    body = torch.ones(1, 1, *SIZE, dtype=torch.bool)
    return UnpairedBatch(
        real_A, real_B, body, body, Context(condition=wanted_A), Context(condition=wanted_B)
    )


def test_the_condition_comes_last_and_is_absent_where_none_is_given():
    image, wanted = noise(2, 1, 8, 8, seed=0), noise(2, 2, 8, 8, seed=1)
    told = Conditioning(position=True, conditions=2)
    context = Context(depth=torch.ones(2), condition=wanted)
    stack = told.stack(image, context)
    assert stack.shape[1] == told.channels(1) == 4
    assert torch.equal(stack[:, 2:], wanted)
    assert torch.equal(told.stack(image)[:, 2:], torch.full_like(wanted, -1.0))


def test_the_cycle_keeps_what_was_wanted():
    torch.manual_seed(0)
    method = loud(Cyclic(config()))
    wanted_A, wanted_B = noise(1, 2, *SIZE, seed=3), noise(1, 2, *SIZE, seed=4)
    given = batch(wanted_A, wanted_B)
    losses = BothPasses(method, given).losses
    there = method.G_A(given.real_A, Context(condition=wanted_A)).image
    back = method.G_B(there, Context(condition=wanted_A)).image
    expected = 10 * (back - given.real_A).abs().mean()
    torch.testing.assert_close(losses["cycle_A"], expected)


@pytest.mark.parametrize("guided", ["none", "beside"])
def test_judges_see_made_images_with_what_was_wanted_of_them(guided):
    torch.manual_seed(0)
    method = Cyclic(config(guided=guided))
    wanted_A, wanted_B = noise(1, 2, *SIZE, seed=3), noise(1, 2, *SIZE, seed=4)
    given = batch(wanted_A, wanted_B)
    made = BothPasses(method, given)
    assert torch.equal(made.seen("A")[:, 1:3], wanted_A)
    assert torch.equal(made.seen("B")[:, 1:3], wanted_B)
    shown = []
    method.D_A.judges["plain"].register_forward_hook(lambda _, seen, __: shown.append(seen[0]))
    made.judged()
    # real images of B first, with the masks of their own nodules
    assert torch.equal(shown[0][:1], torch.cat((given.real_B, wanted_B), 1))
    assert torch.equal(shown[0][1:, 1:], wanted_A)


def test_an_image_without_a_condition_is_judged_as_if_nothing_were_wanted():
    judges = Judges(config().network, 1)
    image = noise(1, 1, *SIZE, seed=0)
    view = judges.view(image, torch.ones_like(image), UNKNOWN)
    assert torch.equal(view[:, 1:], torch.full((1, 2, *SIZE), -1.0))


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        ({"network": {"conditions": 2}}, "network.conditions needs data.nodules"),
        ({"data": {"nodules": {"roots": ["luna"]}}}, "data.nodules needs source: CT"),
    ],
)
def test_conditions_belong_to_nodules(document, fault):
    with pytest.raises(ConfigError, match=fault):
        parse_config({"name": "x"} | document)
