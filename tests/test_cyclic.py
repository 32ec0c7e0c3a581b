"""The objective: equal to its formula written out, one forward pass after another."""

import pytest
import torch
from unpaired import (
    SIZE,
    BothPasses,
    assert_same_step,
    both_anchors,
    loud,
    phantom_batch,
    tiny,
    unpaired_batch,
)

from medgan.methods import Cyclic, build_method
from medgan.methods.structure import structure_loss
from medgan.networks import Context

FIRST_SCHEME = {
    "network": {"generator": "mask", "norm": "batch", "bounded": False},
    "losses": {
        "adversarial": 0.5, "identity": 0, "pixel": 1, "total_variation": 0.3,
        "ramp": {"early": 0.01, "late": 0.4, "steps": 20},
    },
}  # fmt: skip
ALL_TERMS = {
    "losses": {
        "adversarial": 0.3, "cycle": 7, "identity": 2, "pixel": 0.7, "total_variation": 3,
        "background": 1.5, "structure": "gradient", "structure_weight": 2,
    },
}  # fmt: skip
PICTURES = {"source": "IMAGE", "target": "IMAGE", "data": {"images": {"root": "pictures"}}}
MEMBERS = {
    "published": {},
    "all terms": ALL_TERMS,
    "first scheme": FIRST_SCHEME,
    "batch norm and identity": {
        "network": FIRST_SCHEME["network"], "losses": {"identity": 3},
    },
    "guided beside": {"network": {"guided": "beside"}},
    "guided instead": {"network": {"guided": "instead"}},
    "without copy": {"network": {"copy_input": False}},
    "cyclegan": {"network": {"generator": "resnet"}},
    "two channels to one": {"network": {"channels": (2, 1)}, "losses": {"pixel": 1}},
    "grey to colours": {"network": {"channels": (1, 3)}, **PICTURES, **ALL_TERMS},
    "neighbours and position": {"network": {"neighbours": 2, "position": True}},
    "neighbours of two channels": {"network": {"neighbours": 2, "channels": (2, 1)}},
    "three dimensions": {"network": {"spatial_dims": 3}, "losses": {"background": 1}},
}  # fmt: skip


def make(member):
    torch.manual_seed(3)
    config = tiny(**MEMBERS[member])
    size = SIZE if config.network.spatial_dims == 2 else (24, 24, 32)
    return loud(Cyclic(config)), unpaired_batch(config, size=size)


def recopied(image, channels):
    """Channel j, or the last one where there are fewer."""
    return torch.stack([image[:, min(j, image.shape[1] - 1)] for j in range(channels)], dim=1)


def foreign(context, given, read):
    """What is known of an image of ``given`` channels, for a network that reads others."""
    if context.neighbours is None:
        return context
    slices = context.neighbours.split(given, dim=1)
    return Context(torch.cat([recopied(one, read) for one in slices], dim=1), context.depth)


def deceived(judges, made):
    """Every judge of the domain asked for a 1; the guided one sees where the image is new."""
    foreground = (1 - made.background).detach()
    views = {"plain": made.image, "guided": torch.cat((made.image, foreground), dim=1)}
    return sum(((judge(views[name]) - 1) ** 2).mean() for name, judge in judges.judges.items())


def variation(maps):
    return sum(maps.diff(dim=axis).abs().mean() for axis in range(2, maps.ndim))


def published_losses(method, batch, step):
    """The docstring's formula, six passes in the order of the published code."""
    w, G_A, G_B = method.weights, method.G_A, method.G_B
    real_A, real_B, of_A, of_B = batch.real_A, batch.real_B, batch.context_A, batch.context_B
    A, B = real_A.shape[1], real_B.shape[1]
    r, rest = 1.0, 1.0
    if w.ramp:
        r = w.ramp.early if step <= w.ramp.steps else w.ramp.late
        rest = 1 - r
    to_B, to_A = G_A(real_A, of_A), G_B(real_B, of_B)
    rec_A = G_B(to_B.image, Context(None, of_A.depth)).image
    rec_B = G_A(to_A.image, Context(None, of_B.depth)).image
    terms = {
        "adversarial_A": (rest * w.adversarial, deceived(method.D_A, to_B)),
        "adversarial_B": (rest * w.adversarial, deceived(method.D_B, to_A)),
        "total_variation_A": (rest * w.total_variation, variation(to_B.background)),
        "total_variation_B": (rest * w.total_variation, variation(to_A.background)),
        "cycle_A": (r * w.cycle, (rec_A - real_A).abs().mean()),
        "cycle_B": (r * w.cycle, (rec_B - real_B).abs().mean()),
        "pixel_A": (r * w.pixel, (to_B.image - recopied(real_A, B)).abs().mean()),
        "pixel_B": (r * w.pixel, (to_A.image - recopied(real_B, A)).abs().mean()),
        "background_A": (w.background, (to_B.background - ~batch.body_A * 1.0).abs().mean()),
        "background_B": (w.background, (to_A.background - ~batch.body_B * 1.0).abs().mean()),
        "structure_A": (w.structure_weight,
                        structure_loss(w.structure, to_B.image, real_A, batch.body_A)),
        "structure_B": (w.structure_weight,
                        structure_loss(w.structure, to_A.image, real_B, batch.body_B)),
    }  # fmt: skip
    if w.identity:
        idt_B = G_A(recopied(real_B, A), foreign(of_B, B, A)).image
        idt_A = G_B(recopied(real_A, B), foreign(of_A, A, B)).image
        terms["identity_A"] = w.identity, (idt_B - real_B).abs().mean()
        terms["identity_B"] = w.identity, (idt_A - real_A).abs().mean()
    return {name: weight * term for name, (weight, term) in terms.items() if weight}


@pytest.mark.parametrize("member", MEMBERS)
def test_losses_and_gradients_equal_the_formula(member):
    method, batch = make(member)
    made = BothPasses(method, batch, 7)
    assert_same_step(made.losses, published_losses(method, batch, 7), method.generators)


@pytest.mark.parametrize("step", [1, 20, 21, 500])
def test_the_ramp_moves_weight_from_the_adversarial_side_to_the_reconstruction(step):
    method, batch = make("first scheme")
    losses = BothPasses(method, batch, step).losses
    torch.testing.assert_close(losses, published_losses(method, batch, step))
    method.weights = method.weights.model_copy(update={"ramp": None})
    plain = BothPasses(method, batch, step).losses
    share = 0.01 if step <= 20 else 0.4
    expected = {"adversarial": 1 - share, "total_variation": 1 - share, "cycle": share,
                "pixel": share}  # fmt: skip
    for name, value in losses.items():
        factor = expected[name.rpartition("_")[0]]
        torch.testing.assert_close(value, factor * plain[name])


@pytest.mark.parametrize("member", ["published", "first scheme", "neighbours and position"])
def test_what_is_made_is_that_of_the_translation(member):
    method, batch = make(member)
    made = BothPasses(method, batch).of
    forward = method.G_A(batch.real_A, batch.context_A)
    back = method.G_B(batch.real_B, batch.context_B)
    torch.testing.assert_close(made["A"].fake, forward.image)
    torch.testing.assert_close(made["A"].foreground, 1 - forward.background)
    torch.testing.assert_close(made["B"].fake, back.image)
    torch.testing.assert_close(made["B"].foreground, 1 - back.background)


def test_the_cycle_is_told_the_depth_but_no_neighbours():
    method, batch = make("neighbours and position")
    told = []
    for generator in (method.G_A, method.G_B):
        generator.register_forward_hook(lambda _, inputs, __: told.append(inputs[1]))
    method.weights = method.weights.model_copy(update={"identity": 0.0})
    BothPasses(method, batch)
    first, cycles = told[::2], told[1::2]
    assert all(context.neighbours is not None for context in first)
    assert [context.neighbours for context in cycles] == [None, None]
    assert torch.equal(cycles[0].depth, batch.context_A.depth)
    assert torch.equal(cycles[1].depth, batch.context_B.depth)


def test_a_weight_scales_its_own_terms_and_no_other():
    method, batch = make("all terms")
    before = BothPasses(method, batch).losses
    weights = method.weights
    keys = {"structure": "structure_weight"}
    for name in {key.rpartition("_")[0] for key in before}:
        key = keys.get(name, name)
        method.weights = weights.model_copy(update={key: 3 * getattr(weights, key)})
        after = BothPasses(method, batch).losses
        assert after.keys() == before.keys()
        for term, value in before.items():
            factor = 3 if term in (f"{name}_A", f"{name}_B") else 1
            torch.testing.assert_close(after[term], factor * value)


def test_without_a_weight_terms_are_left_out_and_the_others_stay():
    method, batch = make("all terms")
    whole = BothPasses(method, batch)
    method.weights = method.weights.model_copy(
        update={"identity": 0.0, "pixel": 0.0, "structure_weight": 0.0}
    )
    lean = BothPasses(method, batch)
    gone = {f"{name}_{way}" for name in ("identity", "pixel", "structure") for way in "AB"}
    assert whole.losses.keys() - lean.losses.keys() == gone
    for name, value in lean.losses.items():
        torch.testing.assert_close(value, whole.losses[name])
    torch.testing.assert_close(lean.of["A"].fake, whole.of["A"].fake)


@pytest.mark.parametrize(
    ("member", "batches"), [("published", [4, 2]), ("batch norm and identity", [2, 2, 2])]
)
def test_identity_shares_a_pass_only_where_images_do_not_meet_in_a_norm(member, batches):
    method, batch = make(member)
    seen = []
    method.G_A.register_forward_hook(lambda _, inputs, __: seen.append(len(inputs[0])))
    BothPasses(method, batch)
    # translation and identity, joined or not, and the way back of the other cycle
    assert seen == batches


def test_phantoms_are_supervised_in_both_directions():
    config = tiny("losses.phantom=7", network={"position": True})
    torch.manual_seed(3)
    method, pairs = loud(Cyclic(config)), phantom_batch(config)
    losses = both_anchors(method, pairs)
    to_B = method.G_A(pairs.source, pairs.source_context).image
    to_A = method.G_B(pairs.target, pairs.target_context).image
    expected = {
        "phantom_A": 7 * (to_B - pairs.source_truth).abs().mean(),
        "phantom_B": 7 * (to_A - pairs.target_truth).abs().mean(),
    }
    torch.testing.assert_close(losses, expected)


def test_training_starts_from_the_published_distribution_of_weights():
    torch.manual_seed(0)
    fresh = build_method(tiny(network={"width": 16, "discriminator_width": 64}))
    weights = torch.cat([p.flatten() for n, p in fresh.named_parameters() if "weight" in n])
    biases = torch.cat([p.flatten() for n, p in fresh.named_parameters() if "bias" in n])
    assert weights.std().item() == pytest.approx(0.02, rel=0.01)
    assert abs(weights.mean().item()) < 1e-4
    assert not biases.any()
