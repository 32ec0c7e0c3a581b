"""The small terms of the objectives against closed forms."""

import numpy as np
import pytest
import torch

from medgan.methods.losses import (
    background_loss,
    balanced_l1,
    l1,
    least_squares_gan,
    total_variation,
)


def test_least_squares_scores_are_measured_from_1_or_0():
    scores = torch.tensor([0.0, 0.5, 2.0])
    assert least_squares_gan(scores, real=True).item() == pytest.approx((1 + 0.25 + 1) / 3)
    assert least_squares_gan(scores, real=False).item() == pytest.approx((0 + 0.25 + 4) / 3)


def test_l1_is_the_mean_absolute_difference_in_single_precision():
    loss = l1(torch.tensor([1.0, -1.0], dtype=torch.bfloat16), torch.tensor([0.0, 2.0]))
    assert loss.item() == 2.0
    assert loss.dtype == torch.float32


def test_a_region_counts_as_much_as_all_the_rest_however_small():
    region = torch.zeros(2, 1, 10, 10, dtype=torch.bool)
    region[:, :, 3, 4] = True
    wider = region.clone()
    wider[0, :, :5] = True
    truth = torch.rand(2, 1, 10, 10, generator=torch.Generator().manual_seed(0))
    made = torch.where(region, truth + 3, truth - 1)
    assert balanced_l1(made, truth, region).item() == pytest.approx((3 + 1) / 2)
    assert l1(made, truth).item() == pytest.approx((99 * 1 + 3) / 100)
    alone = [balanced_l1(made[k:][:1], truth[k:][:1], wider[k:][:1]).item() for k in range(2)]
    assert balanced_l1(made, truth, wider).item() == pytest.approx(np.mean(alone))


@pytest.mark.parametrize("sizes", [(5, 9), (64, 40), (4, 6, 8)])
def test_total_variation_of_a_ramp_is_its_slope_whatever_the_size(sizes):
    slopes = [0.3, -0.02, 0.01][: len(sizes)]
    axes = torch.meshgrid(*(torch.arange(n, dtype=torch.float32) for n in sizes), indexing="ij")
    ramp = sum(slope * axis for slope, axis in zip(slopes, axes, strict=True))
    variation = total_variation(ramp.expand(2, 1, *sizes)).item()
    assert variation == pytest.approx(sum(map(abs, slopes)), rel=1e-4)


def test_total_variation_has_the_stated_relation_to_the_published_sum():
    size = 256
    mask = torch.rand(1, 1, size, size, generator=torch.Generator().manual_seed(0))
    repeated = mask.expand(1, 3, size, size).double().numpy()
    published = 1e-6 * (np.abs(np.diff(repeated, axis=2)).sum()
                        + np.abs(np.diff(repeated, axis=3)).sum())  # fmt: skip
    weight = 3e-6 * size * (size - 1)
    assert weight == pytest.approx(0.196, abs=5e-4)
    assert weight * total_variation(mask).item() == pytest.approx(published, rel=1e-5)


def test_total_variation_of_a_constant_has_a_finite_gradient():
    flat = torch.full((1, 1, 8, 8), 0.5, requires_grad=True)
    loss = total_variation(flat)
    loss.backward()
    assert loss.item() == 0.0
    assert torch.isfinite(flat.grad).all()


def test_background_attention_is_to_be_the_complement_of_the_body():
    body = torch.zeros(1, 1, 4, 4, dtype=torch.bool)
    body[..., :3] = True
    assert background_loss((~body).float(), body).item() == 0.0
    assert background_loss(body.float(), body).item() == 1.0
    # everything copied: wrong in the three quarters that are body
    assert background_loss(torch.ones(1, 1, 4, 4), body).item() == 0.75
