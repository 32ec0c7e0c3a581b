"""Targets against loops over cells; losses against loops and against finite differences."""

import numpy as np
import pytest
import torch

from medgan.detection.losses import heatmap_loss, regression_losses
from medgan.detection.network import CellMaps
from medgan.detection.targets import (
    Findings,
    cell_position,
    cell_targets,
    voxel_position,
)

PATCH, MM = 32, 1.5


def findings(*rows) -> Findings:
    table = np.array(rows, np.float64).reshape(-1, 4)
    return Findings(table[:, :3], table[:, 3])


NONE = findings()


@pytest.mark.parametrize("stride", [2, 4])
def test_the_heatmap_is_a_gaussian_about_the_cell_that_holds_the_centre(stride):
    centre, diameter = (12.3, 17.0, 5.6), 20.0
    made = cell_targets(PATCH, stride, MM, findings((*centre, diameter)), NONE)
    own = [int(value // stride + 0.0) for value in np.add(centre, 0.5)]
    sigma = max(diameter / 6 / (stride * MM), 0.5)
    for cell in np.ndindex(made.heatmap.shape):
        squared = sum((a - b) ** 2 for a, b in zip(cell, own, strict=True))
        assert made.heatmap[cell] == pytest.approx(np.exp(-squared / (2 * sigma**2)), abs=1e-6)
        for axis in range(3):
            voxel = (cell[axis] + made.offset[axis][cell]) * stride + (stride - 1) / 2
            assert voxel == pytest.approx(centre[axis], abs=1e-4)
    assert made.heatmap[tuple(own)] == 1
    assert np.abs(made.offset[:, *own]).max() <= 0.5
    assert np.exp(made.log_diameter[tuple(own)]) == pytest.approx(diameter)


def test_where_nodules_overlap_the_greater_value_counts_and_says_where_to_point():
    first, second = (9.0, 16.0, 16.0, 24.0), (21.0, 16.0, 16.0, 12.0)
    both = cell_targets(PATCH, 2, MM, findings(first, second), NONE)
    alone = [cell_targets(PATCH, 2, MM, findings(one), NONE) for one in (first, second)]
    assert np.array_equal(both.heatmap, np.maximum(alone[0].heatmap, alone[1].heatmap))
    winner = np.where(alone[0].heatmap >= alone[1].heatmap, 0, 1)
    expected = np.where(winner == 0, alone[0].log_diameter, alone[1].log_diameter)
    assert np.array_equal(both.log_diameter, expected)


def test_a_nodule_beside_the_patch_reaches_into_it_but_has_no_centre_there():
    made = cell_targets(PATCH, 2, MM, findings((-3.0, 16.0, 16.0, 30.0)), NONE)
    assert 0.1 < made.heatmap.max() < 1


@pytest.mark.parametrize("diameter", [2.0, 9.0, 25.0])
def test_excluded_findings_leave_out_the_cells_inside_them_and_nothing_else(diameter):
    centre = np.array([15.2, 11.7, 20.1])
    made = cell_targets(PATCH, 2, MM, NONE, findings((*centre, diameter)))
    own = tuple(np.round(cell_position(centre, 2)).astype(int))
    for cell in np.ndindex(made.counts.shape):
        away = np.linalg.norm(voxel_position(np.array(cell, float), 2) - centre) * MM
        assert made.counts[cell] == float(away >= diameter / 2 and cell != own)


def test_a_nodule_inside_an_excluded_finding_is_still_to_be_found():
    place = (16.0, 16.0, 16.0)
    made = cell_targets(PATCH, 2, MM, findings((*place, 5.0)), findings((*place, 25.0)))
    centre = np.unravel_index(made.heatmap.argmax(), made.heatmap.shape)
    assert made.counts[centre] == 1
    assert made.counts[made.heatmap < 1].min() == 0


def test_cells_and_voxels_convert_back_and_forth():
    voxel = np.random.default_rng(0).uniform(-9, 40, (50, 3))
    for stride in (2, 4):
        assert np.allclose(voxel_position(cell_position(voxel, stride), stride), voxel)


def random_case(seed=0):
    rng = np.random.default_rng(seed)
    logit = torch.tensor(rng.normal(size=(2, 4, 4, 4)) * 3, requires_grad=True)
    heatmap = torch.tensor(rng.random((2, 4, 4, 4)) * 0.98)
    heatmap[0, 1, 2, 3] = heatmap[1, 0, 0, 0] = heatmap[1, 3, 2, 1] = 1.0
    counts = torch.tensor((rng.random((2, 4, 4, 4)) > 0.3).astype(float))
    return logit, heatmap, counts


def test_the_focal_loss_is_that_of_a_loop_over_cells():
    logit, heatmap, counts = random_case()
    total = 0.0
    for cell in np.ndindex(logit.shape):
        p = 1 / (1 + np.exp(-logit[cell].item()))
        y, weight = heatmap[cell].item(), counts[cell].item()
        if y == 1:
            total -= weight * (1 - p) ** 2 * np.log(p)
        else:
            total -= weight * (1 - y) ** 4 * p**2 * np.log(1 - p)
    assert heatmap_loss(logit, heatmap, counts).item() == pytest.approx(total / 3, rel=1e-12)


def test_the_focal_loss_has_the_gradient_of_finite_differences():
    logit, heatmap, counts = random_case(1)
    assert torch.autograd.gradcheck(lambda x: heatmap_loss(x, heatmap, counts), (logit,))


def test_saturated_logits_give_finite_losses_and_gradients():
    logit = torch.tensor([[[[200.0, -200.0]]]], requires_grad=True)
    loss = heatmap_loss(logit, torch.tensor([[[[0.0, 1.0]]]]), torch.ones(1, 1, 1, 2))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logit.grad).all()


def test_nothing_is_learnt_under_excluded_findings():
    made = cell_targets(PATCH, 2, MM, findings((6, 6, 6, 8)), findings((22, 20, 20, 12)))
    heatmap, counts = (torch.from_numpy(part)[None] for part in (made.heatmap, made.counts))
    logit = torch.zeros_like(heatmap, requires_grad=True)
    heatmap_loss(logit, heatmap, counts).backward()
    assert (logit.grad[counts == 0] == 0).all()
    assert (logit.grad[counts == 1] != 0).all()


def test_place_and_diameter_are_weighted_means_over_the_cells_that_learn_them():
    rng = np.random.default_rng(2)
    target, weight = rng.normal(size=(4, 3, 3, 3)), rng.random((3, 3, 3))
    said = rng.normal(size=(4, 3, 3, 3))
    tensor = [torch.from_numpy(part)[None] for part in (said, target, weight)]
    maps = CellMaps(torch.zeros(1, 3, 3, 3), tensor[0][:, :3], tensor[0][:, 3])
    place, size = regression_losses(maps, tensor[2], tensor[1][:, :3], tensor[1][:, 3])
    sums = np.zeros(3)
    for cell in np.ndindex(weight.shape):
        if weight[cell] > 0.1:
            off = np.abs(said[:, *cell] - target[:, *cell])
            sums += weight[cell] * np.array([off[:3].sum(), off[3], 1])
    assert place.item() == pytest.approx(sums[0] / sums[2])
    assert size.item() == pytest.approx(sums[1] / sums[2])
