"""The objective: equal to the published step written out, one forward pass after another."""

import pytest
import torch

from medgan.config import LossConfig, NetworkConfig
from medgan.data.batches import PhantomBatch, UnpairedBatch
from medgan.methods.attentiongan import AttentionGAN
from medgan.methods.losses import l1, least_squares_gan

SIZE = (32, 40)


@pytest.fixture
def method():
    torch.manual_seed(3)
    network = NetworkConfig(width=4, blocks=1, contents=2, discriminator_width=4)
    method = AttentionGAN(network, LossConfig())
    with torch.no_grad():
        # far enough from zero that every term counts
        for parameter in method.parameters():
            parameter.mul_(8)
    return method


@pytest.fixture
def batch():
    torch.manual_seed(4)
    real_A, real_B = torch.rand(2, 2, 1, *SIZE) * 2 - 1
    return UnpairedBatch(real_A, real_B, torch.ones(2, 1, *SIZE, dtype=torch.bool))


def published_generator_losses(method, batch):
    """Six passes in the order of the published code, with its weights 1, 10 and 5."""
    G_A, G_B, D_A, D_B = method.G_A, method.G_B, method.D_A, method.D_B
    fake_B = G_A(batch.real_A).image
    rec_A = G_B(fake_B).image
    fake_A = G_B(batch.real_B).image
    rec_B = G_A(fake_A).image
    idt_B = G_A(batch.real_B).image
    idt_A = G_B(batch.real_A).image
    return {
        "adversarial_A": ((D_A(fake_B) - 1) ** 2).mean(),
        "adversarial_B": ((D_B(fake_A) - 1) ** 2).mean(),
        "cycle_A": 10 * (rec_A - batch.real_A).abs().mean(),
        "cycle_B": 10 * (rec_B - batch.real_B).abs().mean(),
        "identity_A": 5 * (idt_A - batch.real_A).abs().mean(),
        "identity_B": 5 * (idt_B - batch.real_B).abs().mean(),
    }


def gradients(losses, module):
    return torch.autograd.grad(sum(losses.values()), list(module.parameters()))


def test_losses_and_gradients_equal_the_published_step(method, batch):
    made = method.generator_pass(batch)
    expected = published_generator_losses(method, batch)
    torch.testing.assert_close(made.losses, expected, rtol=1e-5, atol=1e-6)
    for ours, theirs in zip(
        gradients(made.losses, method.generators),
        gradients(expected, method.generators),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


def test_the_fakes_and_the_background_are_those_of_the_translation(method, batch):
    made = method.generator_pass(batch)
    forward = method.G_A(batch.real_A)
    torch.testing.assert_close(made.fake_B, forward.image)
    torch.testing.assert_close(made.background, forward.background)
    torch.testing.assert_close(made.fake_A, method.G_B(batch.real_B).image)


def test_a_weight_scales_its_own_terms_and_no_other(method, batch):
    before = method.generator_pass(batch).losses
    method.weights = LossConfig(adversarial=3, cycle=20, identity=10)
    after = method.generator_pass(batch).losses
    for name, factor in (("adversarial", 3), ("cycle", 2), ("identity", 2)):
        for side in "AB":
            key = f"{name}_{side}"
            torch.testing.assert_close(after[key], factor * before[key])


def test_real_and_fake_in_one_pass_judge_as_two_passes(method, batch):
    fake_A, fake_B = torch.rand(2, 2, 1, *SIZE) * 2 - 1
    losses = method.discriminator_losses(batch, fake_A, fake_B)
    D_A, D_B = method.D_A, method.D_B
    expected = {
        "discriminator_A": 0.5 * ((D_A(batch.real_B) - 1) ** 2).mean()
        + 0.5 * (D_A(fake_B) ** 2).mean(),
        "discriminator_B": 0.5 * ((D_B(batch.real_A) - 1) ** 2).mean()
        + 0.5 * (D_B(fake_A) ** 2).mean(),
    }
    torch.testing.assert_close(losses, expected, rtol=1e-5, atol=1e-6)


def test_phantoms_are_supervised_in_both_directions(method):
    images = torch.rand(4, 2, 1, *SIZE)
    pairs = PhantomBatch(*images)
    losses = method.phantom_losses(pairs, 7.0)
    source, source_truth, target, target_truth = images
    expected = {
        "phantom_A": 7 * (method.G_A(source).image - source_truth).abs().mean(),
        "phantom_B": 7 * (method.G_B(target).image - target_truth).abs().mean(),
    }
    torch.testing.assert_close(losses, expected)


def test_the_least_squares_loss_is_the_mean_squared_distance_from_its_goal():
    score = torch.tensor([[0.0, 1.0], [2.0, -1.0]])
    assert least_squares_gan(score, real=True) == (1 + 0 + 1 + 4) / 4
    assert least_squares_gan(score, real=False) == (0 + 1 + 4 + 1) / 4


def test_losses_of_half_precision_results_are_taken_in_full_precision():
    result = torch.full((1000,), 0.001, dtype=torch.bfloat16)
    assert l1(result, torch.zeros(1000)).dtype == torch.float32
    assert least_squares_gan(result, real=True).dtype == torch.float32


def test_training_starts_from_the_published_distribution_of_weights():
    torch.manual_seed(0)
    fresh = AttentionGAN(NetworkConfig(width=16, blocks=1), LossConfig())
    weights = torch.cat([p.flatten() for n, p in fresh.named_parameters() if "weight" in n])
    biases = torch.cat([p.flatten() for n, p in fresh.named_parameters() if "bias" in n])
    assert weights.std().item() == pytest.approx(0.02, rel=0.01)
    assert abs(weights.mean().item()) < 1e-4
    assert not biases.any()


def test_without_identity_weight_its_passes_are_left_out_and_nothing_else_changes():
    torch.manual_seed(0)
    network = NetworkConfig(width=4, blocks=1, contents=2, discriminator_width=4)
    method = AttentionGAN(network, LossConfig(identity=1.0))
    real_A, real_B = (torch.rand(2, 1, 32, 32) * 2 - 1 for _ in range(2))
    batch = UnpairedBatch(real_A, real_B, torch.ones(2, 1, 32, 32, dtype=torch.bool))
    whole = method.generator_pass(batch)
    method.weights = LossConfig(identity=0.0)
    lean = method.generator_pass(batch)
    assert whole.losses.keys() - lean.losses.keys() == {"identity_A", "identity_B"}
    for name, value in lean.losses.items():
        torch.testing.assert_close(value, whole.losses[name])
    torch.testing.assert_close(lean.fake_B, whole.fake_B)
