"""The structure terms against loops over voxels, and on heads that were moved."""

import itertools
import math

import numpy as np
import pytest
import torch

from medgan.methods.structure import FLOOR, NOISE_SHARE, structure_loss
from medgan.phantoms.scan import scan_head
from medgan.volumes.intensity import PercentileScale, WindowScale

KINDS = ("gradient", "correlation", "mind")


@pytest.fixture(scope="module")
def head():
    """MR, CT and body of a slice through the brain: (1, 1, 64, 80) each."""
    scan = scan_head(1, spacing_mm=(3.0, 3.0, 3.0), shape=(64, 80, 60), supersample=1)
    body = scan.labels.array > 0
    images = (
        PercentileScale.fit(scan.mr.array, body).forward(scan.mr.array),
        WindowScale(-1000.0, 2000.0).forward(scan.ct.array),
        body,
    )
    return [torch.from_numpy(image[None, None, :, :, 38].copy()) for image in images]


def noise(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def clamped(index, shape):
    return tuple(min(max(i, 0), n - 1) for i, n in zip(index, shape, strict=True))


def window(index, shape, edge):
    """Indices of the cube around a voxel, cut off at the border."""
    ranges = [
        range(max(0, i - edge // 2), min(n, i + edge // 2 + 1))
        for i, n in zip(index, shape, strict=True)
    ]
    return list(itertools.product(*ranges))


def steps(dimensions):
    for axis in range(dimensions):
        for sign in (1, -1):
            yield tuple(sign * (axis == other) for other in range(dimensions))


def moved(index, step):
    return tuple(i + s for i, s in zip(index, step, strict=True))


def mean_over(values, body):
    return sum(values[i] for i in values if body[i]) / sum(body[i] for i in values)


def naive_cosine(products, first, second, body):
    noise_a, noise_b = (NOISE_SHARE * mean_over(v, body) + FLOOR for v in (first, second))
    distances = {
        i: 1
        - (abs(products[i]) + math.sqrt(noise_a * noise_b)) ** 2
        / ((first[i] + noise_a) * (second[i] + noise_b))
        for i in products
    }
    return mean_over(distances, body)


def naive_gradient(a, b, body):
    def gradient(image, index):
        ends = [image[clamped(moved(index, s), image.shape)] for s in steps(image.ndim)]
        return [(ahead - behind) / 2 for ahead, behind in zip(ends[::2], ends[1::2], strict=True)]

    fields = [{i: gradient(image, i) for i in np.ndindex(a.shape)} for image in (a, b)]
    (ab, aa, bb) = (
        {i: sum(x * y for x, y in zip(p[i], q[i], strict=True)) for i in p}
        for p, q in (fields, fields[:1] * 2, fields[1:] * 2)
    )
    return naive_cosine(ab, aa, bb, body)


def naive_correlation(a, b, body):
    ab, aa, bb = {}, {}, {}
    for index in np.ndindex(a.shape):
        voxels = window(index, a.shape, 9)
        p, q = (np.array([image[v] for v in voxels]) for image in (a, b))
        p, q = p - p.mean(), q - q.mean()
        ab[index], aa[index], bb[index] = (p * q).mean(), (p * p).mean(), (q * q).mean()
    return naive_cosine(ab, aa, bb, body)


def naive_mind(a, b, body):
    def descriptors(image):
        distances = {}
        for index in np.ndindex(image.shape):
            patch = window(index, image.shape, 3)
            distances[index] = [
                sum((image[v] - image[clamped(moved(v, s), image.shape)]) ** 2 for v in patch)
                / len(patch)
                for s in steps(image.ndim)
            ]
        variance = {i: sum(d) / len(d) for i, d in distances.items()}
        least = NOISE_SHARE * mean_over(variance, body) + FLOOR
        found = {}
        for i, d in distances.items():
            values = [math.exp(-x / max(variance[i], least)) for x in d]
            found[i] = [value / max(values) for value in values]
        return found

    first, second = descriptors(a), descriptors(b)
    return mean_over({i: np.mean(np.abs(np.subtract(first[i], second[i]))) for i in first}, body)


NAIVE = {"gradient": naive_gradient, "correlation": naive_correlation, "mind": naive_mind}


@pytest.mark.parametrize("shape", [(11, 13), (5, 10, 6)])
@pytest.mark.parametrize("kind", KINDS)
def test_a_loop_over_voxels_gives_the_same(kind, shape):
    a, b = (noise(2, 1, *shape, seed=seed) for seed in (0, 1))
    b = 0.5 * a.square() + 0.3 * b
    body = noise(2, 1, *shape, seed=2) > -0.5
    naive = [
        NAIVE[kind](*(x[i, 0].numpy().astype(float) for x in (a, b)), body[i, 0].numpy())
        for i in range(2)
    ]
    assert structure_loss(kind, a, b, body).item() == pytest.approx(np.mean(naive), abs=1e-5)
    everywhere = NAIVE[kind](
        a[0, 0].numpy().astype(float), b[0, 0].numpy().astype(float), np.ones(shape, bool)
    )
    assert structure_loss(kind, a[:1], b[:1]).item() == pytest.approx(everywhere, abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_equal_images_cost_nothing(kind, head):
    mr, _, body = head
    assert structure_loss(kind, mr, mr, body).item() == pytest.approx(0.0, abs=1e-5)


@pytest.mark.parametrize("gain", [-1.0, 0.5, -0.4])
@pytest.mark.parametrize("kind", KINDS)
def test_brightness_contrast_and_its_turning_round_change_nothing(kind, gain, head):
    mr, ct, body = head
    expected = structure_loss(kind, ct, mr, body).item()
    assert expected > 0.1
    changed = structure_loss(kind, gain * ct + 0.2, mr, body).item()
    assert changed == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_grows_with_a_shift(kind, head):
    """Of an image against itself, and of a CT against the MR it was made with."""
    mr, ct, body = head
    for result in (mr, ct):
        losses = [
            structure_loss(kind, result.roll(shift, 3), mr, body).item() for shift in range(4)
        ]
        assert losses == sorted(losses)
        assert losses[1] - losses[0] > 0.004


@pytest.mark.parametrize("kind", KINDS)
def test_edges_that_vanish_cost_as_well_as_edges_that_appear(kind, head):
    mr, _, body = head
    flat = torch.zeros_like(mr)
    lost = structure_loss(kind, flat, mr, body).item()
    assert lost > 0.2
    assert structure_loss(kind, mr, flat, body).item() == pytest.approx(lost, rel=1e-5)
    assert structure_loss(kind, flat, flat, body).item() == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_what_lies_far_outside_the_body_does_not_count(kind, head):
    mr, ct, body = head
    inside = torch.zeros_like(body)
    inside[..., 24:40, 24:56] = True
    other = ct.clone()
    other[..., :16, :] = noise(1, 1, 16, 80)
    # the correlation is centred on the body's mean, so nothing but the windows reaches outside
    expected = structure_loss(kind, ct, mr, inside).item()
    assert structure_loss(kind, other, mr, inside).item() == pytest.approx(expected, abs=1e-6)
    assert structure_loss(kind, other, mr).item() != pytest.approx(
        structure_loss(kind, ct, mr).item(), abs=1e-3
    )


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_channel_counts(kind, head):
    mr, ct, body = head
    with_more = [torch.cat((image, noise(*image.shape)), dim=1) for image in (ct, mr)]
    expected = structure_loss(kind, ct, mr, body)
    assert structure_loss(kind, *with_more, body) == expected


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("constant", ["result", "source", "both"])
def test_gradients_are_finite_on_constant_images(kind, constant, head):
    mr, _, body = head
    result = torch.full_like(mr, 0.3) if constant in ("result", "both") else mr.clone()
    source = torch.full_like(mr, -1.0) if constant in ("source", "both") else mr
    result.requires_grad_()
    structure_loss(kind, result, source, body).backward()
    assert torch.isfinite(result.grad).all()


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_body_costs_nothing(kind, head):
    mr, ct, body = head
    result = ct.clone().requires_grad_()
    loss = structure_loss(kind, result, mr, torch.zeros_like(body))
    loss.backward()
    assert loss.item() == 0.0
    assert torch.isfinite(result.grad).all()


@pytest.mark.parametrize("kind", KINDS)
def test_descending_the_gradient_brings_edges_back(kind, head):
    mr, _, body = head
    result = (-0.5 * mr).roll(1, 2).requires_grad_()
    before = structure_loss(kind, result, mr, body)
    optimiser = torch.optim.Adam([result], 0.01)
    for _ in range(20):
        optimiser.zero_grad()
        structure_loss(kind, result, mr, body).backward()
        optimiser.step()
    assert structure_loss(kind, result, mr, body) < 0.7 * before


@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_is_computed_in_single(kind, head):
    mr, ct, body = (image for image in head)
    with torch.autocast("cpu", torch.bfloat16):
        loss = structure_loss(kind, ct.bfloat16(), mr, body)
    assert loss.dtype == torch.float32
    assert loss == structure_loss(kind, ct.bfloat16().float(), mr, body)
