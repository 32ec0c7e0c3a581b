"""The objective of CUT, its features by hooks and its patches by loops; its heads learn along."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from unpaired import (
    BothPasses,
    assert_same_step,
    both_anchors,
    loud,
    phantom_batch,
    tiny,
    unpaired_batch,
)

from medgan.data.batches import Batch
from medgan.methods import Contrastive, build_method
from medgan.training.run_folder import RunFolder
from medgan.training.tracking import Tracker
from medgan.training.trainer import Trainer

LOSSES = {"cycle": 0, "identity": 0, "contrastive": 1.5, "adversarial": 0.7}
MEMBERS = {
    "published": {"network": {"generator": "resnet", "blocks": 4}},
    "attention": {"network": {"contents": 3}},
    "two channels": {"network": {"generator": "resnet", "channels": (2, 1)}},
    "told": {"network": {"neighbours": 2, "position": True}},
    "anatomy": {"losses": LOSSES | {"background": 2, "structure_weight": 1}},
}


def configured(member, *overrides):
    sections = {"method": "contrastive", "losses": LOSSES} | MEMBERS[member]
    return tiny(*overrides, **sections)


def make(member):
    torch.manual_seed(3)
    config = configured(member)
    # more than that saturates the softmax of 256 places
    return loud(Contrastive(config), 4), unpaired_batch(config)


def hooked(generator, image, depth, layers):
    """What the chosen modules of encoder and blocks return when the generator runs."""
    kept = {}

    def keep(layer):
        def hook(_, __, out):
            # a copy: the activation after a norm works in place
            kept[layer] = out.clone()

        return hook

    chain = [*generator.encoder, *generator.blocks]
    handles = [chain[layer].register_forward_hook(keep(layer)) for layer in layers]
    told = generator.conditioning
    parts = [image] * (1 + told.neighbours)
    if told.position:
        parts.append(torch.stack([one * far for one, far in zip(image, depth, strict=True)]))
    generator.blocks(generator.encoder(torch.cat(parts, 1)))
    for handle in handles:
        handle.remove()
    return [kept[layer] for layer in layers]


def looped_nce(queries, keys):
    """One image and one place after another; the keys are constants."""
    losses = []
    for image in range(len(queries)):
        for own in range(queries.shape[1]):
            likes = keys[image].detach() @ queries[image, own] / 0.07
            losses.append(torch.logsumexp(likes, 0) - likes[own])
    return torch.stack(losses).mean()


def nce(generator, heads, result, source, depth, rng):
    """Of a result and its source, the mean over layers."""
    channels = generator.channels[0]
    result, source = (
        torch.stack([x[:, min(j, x.shape[1] - 1)] for j in range(channels)], 1)
        for x in (result, source)
    )
    layers = [layer for layer in (0, 4, 8, 12, 16)
              if layer < len(generator.encoder) + len(generator.blocks)]  # fmt: skip
    made, known = (hooked(generator, x, depth, layers) for x in (result, source))
    terms = []
    places = [
        rng.choice(math.prod(f.shape[2:]), min(256, math.prod(f.shape[2:])), replace=False)
        for f in known
    ]
    for head, ours, theirs, chosen in zip(heads.heads, made, known, places, strict=True):
        queries, keys = (
            functional.normalize(head(x.flatten(2).mT[:, torch.from_numpy(chosen)]), dim=-1)
            for x in (ours, theirs)
        )
        terms.append(looped_nce(queries, keys))
    return sum(terms) / len(terms)


def published_losses(method, batch, rng):
    """Each translation and each identity in a pass of its own."""
    (A, B), G_A, G_B = method.config.network.channels, method.G_A, method.G_B
    of_A, of_B = batch.context_A, batch.context_B
    fake_B = G_A(batch.real_A, of_A).image
    fake_A = G_B(batch.real_B, of_B).image
    idt_B = G_A(batch.real_B.expand(-1, A, -1, -1), of_B).image
    idt_A = G_B(batch.real_A[:, :B], of_A).image
    judged = {
        "adversarial_A": ((method.D_A.judges["plain"](fake_B) - 1) ** 2).mean(),
        "adversarial_B": ((method.D_B.judges["plain"](fake_A) - 1) ** 2).mean(),
    }
    to_B, to_A = (G_A, method.F_A), (G_B, method.F_B)
    contrasts = {
        "contrastive_A": nce(*to_B, fake_B, batch.real_A, of_A.depth, rng),
        "contrastive_identity_A": nce(*to_B, idt_B, batch.real_B, of_B.depth, rng),
        "contrastive_B": nce(*to_A, fake_A, batch.real_B, of_B.depth, rng),
        "contrastive_identity_B": nce(*to_A, idt_A, batch.real_A, of_A.depth, rng),
    }
    return {name: 0.7 * term for name, term in judged.items()} | {
        name: 1.5 / 2 * term for name, term in contrasts.items()
    }


@pytest.mark.parametrize("member", ["published", "attention", "two channels", "told"])
def test_losses_and_gradients_equal_loops_over_hooked_features(member):
    method, batch = make(member)
    losses = BothPasses(method, batch, seed=6).losses
    expected = published_losses(method, batch, np.random.default_rng(6))
    assert_same_step(losses, expected, nn.ModuleList((*method.generators, *method.helpers)))


def test_layers_are_those_published_as_far_as_the_network_goes():
    deep = Contrastive(configured("published", "network.blocks=9"))
    assert deep.layers == (0, 4, 8, 12, 16)
    assert [head[0].in_features for head in deep.F_A.heads] == [1, 8, 16, 16, 16]
    assert make("published")[0].layers == (0, 4, 8, 12)


def test_terms_of_the_anatomy_are_added_as_in_the_cyclic_method():
    method, batch = make("anatomy")
    losses = BothPasses(method, batch).losses
    background = method.G_A(batch.real_A).background
    expected = 2 * (background - (~batch.body_A).float()).abs().mean()
    torch.testing.assert_close(losses["background_A"], expected)
    assert {"background_B", "structure_A", "structure_B"} < losses.keys()


def test_the_anchor_is_that_of_the_cyclic_method():
    overrides = ("losses.phantom=3", "losses.tissue=1", "losses.background=1")
    method = loud(build_method(configured("attention", *overrides)))
    cyclic = build_method(
        tiny(*overrides, network=MEMBERS["attention"]["network"], losses={"cycle": 1})
    )
    cyclic.generators.load_state_dict(method.generators.state_dict())
    pairs = phantom_batch(method.config)
    torch.testing.assert_close(both_anchors(method, pairs), both_anchors(cyclic, pairs))


def test_the_heads_learn_with_the_generators_and_go_into_the_checkpoint(tmp_path):
    def make_trainer():
        config = configured("attention", "training.average_decay=0.5", "training.steps=9",
                            "tracking.enabled=false")  # fmt: skip
        run = RunFolder(tmp_path)
        run.last.mkdir(parents=True, exist_ok=True)
        return Trainer(config, run, None, None, Tracker(config, tmp_path), {})

    def step(trainer, seed):
        trainer.step += 1
        trainer.update(Batch(unpaired_batch(trainer.config, seed), None))

    trainer = make_trainer()
    before = [p.detach().clone() for p in trainer.method.helpers.parameters()]
    step(trainer, 0)
    after = list(trainer.method.helpers.parameters())
    assert all(not torch.equal(old, new) for old, new in zip(before, after, strict=True))
    assert len(list(trainer.average.module.parameters())) == len(
        list(trainer.method.generators.parameters())
    )
    trainer.save()
    step(trainer, 1)
    other = make_trainer()
    other.resume()
    step(other, 1)
    # not the weights alone: the optimiser's moments of the heads, too
    for ours, theirs in zip(trainer.method.parameters(), other.method.parameters(), strict=True):
        assert torch.equal(ours, theirs)
