"""Tissue consistency against closed forms on images of few values."""

import math

import pytest
import torch

from medgan.methods.tissue import STEP_HU, tissue_loss

WINDOW = (-1000.0, 2000.0)


def scaled(hu):
    return (torch.as_tensor(hu, dtype=torch.float32)[None, None] + 1000.0) / 1500.0 - 1.0


def loss(result_hu, truth_hu, body=None):
    body = None if body is None else torch.as_tensor(body)[None, None]
    return tissue_loss(scaled(result_hu), scaled(truth_hu), WINDOW, body).item()


def memberships(hu):
    air = 1 / (1 + math.exp((hu + 300) / STEP_HU))
    bone = 1 / (1 + math.exp((150 - hu) / STEP_HU))
    return air, 1 - air - bone, bone


HEAD = [[-1000.0, -1000.0, 0.0, 40.0], [0.0, 30.0, 900.0, 1200.0]]


def test_the_truth_itself_costs_nothing():
    assert loss(HEAD, HEAD) == pytest.approx(0.0, abs=1e-6)


def test_values_far_from_the_limits_give_the_dice_of_hard_labels():
    # Of two bone voxels one is found; of four soft ones all, and one too many; all air.
    result = [[-1000.0, -900.0, -60.0, 0.0], [-70.0, 0.0, 0.0, 1500.0]]
    expected = 1 - (1 + 2 * 4 / (4 + 5) + 2 * 1 / (2 + 1)) / 3
    assert loss(result, HEAD) == pytest.approx(expected, abs=5e-3)


def test_a_value_near_a_limit_counts_in_part():
    result, truth = 170.0, 1000.0
    found, wanted = memberships(result), memberships(truth)
    expected = 1 - 2 * found[2] * wanted[2] / (found[2] ** 2 + wanted[2] ** 2)
    assert 0.02 < expected < 0.98
    assert loss([[result]], [[truth]]) == pytest.approx(expected, rel=1e-4)


def test_a_tissue_that_the_truth_lacks_is_missed_elsewhere():
    soft = [[0.0, 0.0, 0.0, 0.0]]
    # one voxel of soft tissue is called bone: Dice of soft tissue alone, 2 * 3 / (4 + 3)
    assert loss([[0.0, 0.0, 0.0, 800.0]], soft) == pytest.approx(1 - 6 / 7, abs=5e-3)


def test_outside_the_body_nothing_counts():
    body = [[False, True, True, True], [True, True, True, True]]
    spoiled = [[1000.0, *HEAD[0][1:]], HEAD[1]]
    assert loss(spoiled, HEAD) > 0.1
    assert loss(spoiled, HEAD, body) == pytest.approx(0.0, abs=1e-6)
    assert loss(spoiled, HEAD, [[False] * 4] * 2) == 0.0


def test_volumes_and_batches_count_every_voxel_once():
    truth = scaled(HEAD)
    result = scaled([[0.0, -1000.0, 0.0, 40.0], [0.0, 0.0, 0.0, 1200.0]])
    flat = tissue_loss(result, truth, WINDOW).item()
    assert flat > 0.1
    volumes = [image.reshape(1, 1, 2, 2, 2).repeat(2, 1, 1, 1, 1) for image in (result, truth)]
    assert tissue_loss(*volumes, WINDOW).item() == pytest.approx(flat, rel=1e-5)


def test_a_batch_costs_the_mean_of_its_images():
    results = [
        HEAD,
        [[0.0, -1000.0, 0.0, 40.0], [0.0, 0.0, 0.0, 1200.0]],
        [[800.0] + [0.0] * 3] * 2,
    ]
    truths = [HEAD, HEAD, [[0.0] * 4] * 2]
    single = [loss(result, truth) for result, truth in zip(results, truths, strict=True)]
    assert len({round(value, 3) for value in single}) == 3
    batches = (torch.cat([scaled(image) for image in images]) for images in (results, truths))
    assert tissue_loss(*batches, WINDOW).item() == pytest.approx(sum(single) / 3, rel=1e-5)


@pytest.mark.parametrize("value", [-1.0, 0.0, 1.0])
def test_gradients_are_finite_on_constant_images(value):
    result = torch.full((1, 1, 2, 4), value, requires_grad=True)
    tissue_loss(result, scaled(HEAD), WINDOW).backward()
    assert torch.isfinite(result.grad).all()


def test_the_gradient_lifts_a_voxel_of_missing_bone():
    result = scaled([[-1000.0, -1000.0, 0.0, 40.0], [0.0, 30.0, 120.0, 1200.0]]).requires_grad_()
    tissue_loss(result, scaled(HEAD), WINDOW).backward()
    assert result.grad[0, 0, 1, 2] < 0
    assert result.grad[0, 0, 1, 2].abs() == result.grad.abs().max()
