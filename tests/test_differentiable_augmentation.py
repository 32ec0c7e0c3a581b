"""Views for discriminators: what moves, what is lost, and that gradients know it."""

import dataclasses

import numpy as np
import pytest
import torch

from medgan.methods.differentiable_augmentation import AIR, DifferentiableAugmentation

SHAPES = [(2, 2, 32, 24), (1, 2, 16, 24, 8)]


def draw(seed, shape, **options):
    return DifferentiableAugmentation.draw(np.random.default_rng(seed), shape, **options)


def images(shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def naive(view, image):
    """Voxel by voxel on one (*S) array of NumPy."""
    sizes = image.shape
    result = np.full(sizes, AIR, dtype=image.dtype)
    for index in np.ndindex(sizes):
        if all(h <= i < h + n // 4 for i, h, n in zip(index, view.hole, sizes, strict=True)):
            continue
        source = [i - s for i, s in zip(index, view.shift, strict=True)]
        if not all(0 <= i < n for i, n in zip(source, sizes, strict=True)):
            continue
        if view.mirrored_axis is not None:
            source[view.mirrored_axis] = sizes[view.mirrored_axis] - 1 - source[view.mirrored_axis]
        result[index] = image[tuple(source)]
    return result


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", range(4))
def test_a_loop_over_voxels_gives_the_same_for_every_image_and_channel(shape, seed):
    view, batch = draw(seed, shape), images(shape)
    result = view(batch)
    for item, channel in np.ndindex(shape[:2]):
        expected = naive(view, batch[item, channel].numpy())
        assert np.array_equal(result[item, channel].numpy(), expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_real_and_fake_are_treated_alike(shape):
    view = draw(5, shape)
    real, fake = images(shape, 1), images(shape, 2)
    together = view(torch.cat((real, fake)))
    assert torch.equal(together, torch.cat((view(real), view(fake))))
    assert torch.equal(view(real) == AIR, view(fake) == AIR)


def test_the_generator_determines_the_view():
    shape = SHAPES[0]
    assert draw(1, shape) == draw(1, shape)
    assert len({draw(seed, shape) for seed in range(20)}) == 20


@pytest.mark.parametrize("shape", SHAPES)
def test_views_keep_to_their_limits_and_reach_them(shape):
    views = [draw(seed, shape) for seed in range(600)]
    for axis, size in enumerate(shape[2:]):
        shifts = {view.shift[axis] for view in views}
        assert shifts == set(range(-(size // 8), size // 8 + 1))
        holes = {view.hole[axis] for view in views}
        assert holes == set(range(size - size // 4 + 1))
    mirrored = np.mean([view.mirrored_axis == 0 for view in views])
    assert 0.42 < mirrored < 0.58
    assert all(draw(seed, shape, mirror_axis=None).mirrored_axis is None for seed in range(20))
    assert {draw(seed, shape, mirror_axis=1).mirrored_axis for seed in range(20)} == {None, 1}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_shift_back_undoes_a_shift_where_nothing_was_lost(shape):
    view = draw(2, shape, mirror_axis=None)
    assert any(view.shift)
    back = dataclasses.replace(view, shift=tuple(-s for s in view.shift))
    batch = images(shape)
    result = back(view(batch))
    kept = result != AIR
    assert kept.float().mean() > 0.5
    assert torch.equal(result[kept], batch[kept])


@pytest.mark.parametrize("shape", SHAPES)
def test_the_gradient_passes_to_the_voxels_that_are_seen(shape):
    batch = images(shape).requires_grad_()
    result = draw(3, shape)(batch)
    seen = (result != AIR).sum()
    result.sum().backward()
    assert set(batch.grad.unique().tolist()) == {0.0, 1.0}
    assert batch.grad.sum() == seen


def test_values_stay_as_they_are():
    batch = images(SHAPES[0])
    result = draw(4, SHAPES[0])(batch)
    assert set(result.unique().tolist()) <= {*batch.unique().tolist(), AIR}
