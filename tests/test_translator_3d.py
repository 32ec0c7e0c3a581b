"""Networks of volumes at work: patches that overlap, and no seam where they end."""

from functools import partial
from itertools import product

import numpy as np
import pytest
import torch

from medgan.config import NetworkConfig, PreparationConfig
from medgan.data.depth import vertex_of
from medgan.data.preparation import prepare
from medgan.inference.engine import Engine
from medgan.inference.patch_runs import patch_borders, patch_starts, translate_patches
from medgan.inference.translator import Translator
from medgan.metrics.continuity import seam_ratio
from medgan.models.model_file import Model, ModelCard
from medgan.networks import UNKNOWN, Translation
from medgan.networks.build import build_generators
from medgan.phantoms.scan import scan_head

NETWORK = NetworkConfig(spatial_dims=3, width=4, blocks=1, contents=2)
PREPARATION = PreparationConfig(spacing_mm=(6, 6, 6), patch=(16, 20, 16))


@pytest.fixture(scope="module")
def head():
    return scan_head(1, spacing_mm=(6.0, 6.0, 6.0), supersample=1)


def make_model(seed=1, preparation=PREPARATION, **changes):
    torch.manual_seed(seed)
    network = NETWORK.model_copy(update=changes)
    card = ModelCard(
        source="MR", target="CT", preparation=preparation, network=network, provenance={}
    )
    forward, backward = build_generators(network)
    return Model(forward.eval(), backward.eval(), card, "")


def engine_of(model):
    card = model.card
    return Engine(model.forward, card.network, card.preparation.patch, "cpu", False)


def run(model, prepared, **options):
    frame = vertex_of(prepared.mask, prepared.volume.spacing_mm[2])
    images = prepared.scaled()[None]
    options = {"details": False} | options
    return translate_patches(engine_of(model), images, prepared.mask_with_margin, frame, **options)


@pytest.mark.parametrize("length", [32, 36, 40, 64, 68, 200])
@pytest.mark.parametrize("overlap", [0.25, 0.5])
def test_patches_cover_an_axis_evenly_on_the_strides_of_the_network(length, overlap):
    size = 32
    starts = np.array(patch_starts(length, size, overlap))
    assert (starts[0], starts[-1]) == (0, length - size)
    assert not (starts % 4).any()
    steps = np.diff(starts)
    # rounding to strides moves a patch by up to two voxels
    assert (steps > 0).all()
    assert (steps <= size * (1 - overlap) + 4).all()
    # with one patch fewer they could not overlap as much
    assert (len(starts) - 2) * size * (1 - overlap) < length - size


def test_borders_are_where_patches_begin_and_end():
    shape, patch = (41, 20, 16), (16, 16, 32)
    borders = patch_borders(shape, patch)
    for axis, (length, size) in enumerate(zip((44, 20, 16), (16, 16, 16), strict=True)):
        covering = [set() for _ in range(length)]
        for number, start in enumerate(patch_starts(length, size)):
            for voxel in range(start, start + size):
                covering[voxel].add(number)
        changes = [k for k in range(1, shape[axis]) if covering[k] != covering[k - 1]]
        assert borders[axis] == changes
    assert borders[2] == []


def naive(model, prepared):
    """Every patch, even of air, blended voxel by voxel in double precision."""
    pads = [(0, -size % 4) for size in prepared.mask.shape]
    scaled = np.pad(prepared.scaled(), pads, constant_values=-1)
    sizes = [min(pair) for pair in zip(scaled.shape, PREPARATION.patch, strict=True)]
    sums, total = np.zeros(scaled.shape), np.zeros(scaled.shape)
    starts = [patch_starts(n, size) for n, size in zip(scaled.shape, sizes, strict=True)]
    profiles = [np.sin(np.pi * (np.arange(size) + 0.5) / size) ** 2 for size in sizes]
    weight = np.einsum("i,j,k->ijk", *profiles)
    for corner in product(*starts):
        box = tuple(slice(s, s + size) for s, size in zip(corner, sizes, strict=True))
        with torch.no_grad():
            made = model.forward(torch.from_numpy(scaled[box].copy())[None, None]).image[0, 0]
        sums[box] += made.numpy() * weight
        total[box] += weight
    x, y, z = prepared.mask.shape
    return (sums / total)[:x, :y, :z]


def test_a_volume_is_translated_as_its_patches_one_by_one(head):
    model = make_model()
    prepared = prepare(head.mr, PREPARATION)
    found = run(model, prepared)[0]
    body = prepared.mask_with_margin
    np.testing.assert_allclose(found[body], naive(model, prepared)[body], atol=1e-5)


def test_patches_without_a_body_are_not_translated(head, monkeypatch):
    model = make_model()
    prepared = prepare(head.mr, PREPARATION)
    forward, seen = model.forward.forward, []

    def counting(x, context):
        seen.append(float(x.max()))
        return forward(x, context)

    monkeypatch.setattr(model.forward, "forward", counting)
    far = np.zeros((72, 60, 40), bool)
    far[:8, :8, :8] = True
    images = np.full((1, *far.shape), -1, np.float32)
    images[0, far] = 1
    frame = vertex_of(prepared.mask, 6.0)
    maps = translate_patches(engine_of(model), images, far, frame, details=False)
    assert seen == [1.0]
    assert (maps[:, 20:] == -1).all()


def identity(x, _context):
    ones = torch.ones_like(x)[:, None]
    content = torch.zeros_like(x)[:, None].repeat(1, 2, 1, 1, 1, 1)
    return Translation(x, content, torch.cat([0 * ones, 0 * ones, ones], 1))


def test_the_identity_network_gives_the_volume_back_whatever_its_size(head, monkeypatch):
    model = make_model()
    monkeypatch.setattr(model.forward, "forward", identity)
    prepared = prepare(head.mr, PREPARATION)
    body = prepared.mask_with_margin
    for patch in ((16, 20, 16), (64, 64, 64), (16, 64, 20)):
        card = model.card.model_copy(
            update={"preparation": PREPARATION.model_copy(update={"patch": patch})}
        )
        other = Model(model.forward, model.backward, card, "")
        maps = run(other, prepared, details=True)
        np.testing.assert_allclose(maps[0][body], prepared.scaled()[body], atol=1e-6)
        np.testing.assert_allclose(maps[1], 1, atol=1e-6)


@pytest.mark.parametrize("kind", ["attention", "resnet"])
def test_a_translation_lies_on_the_grid_of_its_source(head, kind):
    model = make_model(generator=kind)
    made = Translator(model)(head.mr, details=True)
    np.testing.assert_array_equal(made.image.affine, head.mr.affine)
    assert made.image.shape == head.mr.shape
    assert (made.image.modality, made.image.synthetic) == ("CT", True)
    assert made.disagreement is None
    assert (made.attention is None) == (kind == "resnet")
    assert len(made.contents) == (0 if kind == "resnet" else 2)
    plain = Translator(model)(head.mr)
    np.testing.assert_array_equal(plain.image.array, made.image.array)


def test_the_depth_of_each_patch_is_that_of_its_middle(head, monkeypatch):
    model = make_model(position=True)
    prepared = prepare(head.mr, PREPARATION)
    images = prepared.scaled()[None]
    images[0] = np.arange(images.shape[3])
    told = []

    def noting(x, context):
        told.append((float(x[0, 0].amax((0, 1))[7:9].mean()), context.depth.item()))
        return identity(x, context)

    monkeypatch.setattr(model.forward, "forward", noting)
    frame = vertex_of(prepared.mask, 6.0)
    translate_patches(
        engine_of(model), images, np.ones(images.shape[1:], bool), frame, details=False
    )
    vertex = np.flatnonzero(prepared.mask.any(axis=(0, 1)))[-1]
    inside = [(middle, depth) for middle, depth in told if 7 < middle < images.shape[3] - 12]
    assert len({depth for _, depth in inside}) > 1
    for middle, depth in inside:
        assert depth == pytest.approx((vertex - middle) * 6.0 / 100)


def seams(model, prepared):
    """The steps at the borders of the patches, and those of one pass over the whole volume."""
    made = run(model, prepared)[0]
    borders = patch_borders(prepared.mask.shape, model.card.preparation.patch)
    pads = [(0, -size % 4) for size in prepared.mask.shape]
    whole = np.pad(prepared.scaled(), pads, constant_values=-1)[None, None]
    with torch.no_grad():
        smooth = model.forward(torch.from_numpy(whole), UNKNOWN).image[0, 0].numpy()
    x, y, z = prepared.mask.shape
    return (
        seam_ratio(made, borders, prepared.mask),
        seam_ratio(smooth[:x, :y, :z], borders, prepared.mask),
    )


@pytest.fixture(scope="module")
def finer():
    preparation = PreparationConfig(spacing_mm=(4, 4, 4), patch=(32, 32, 32))
    head = scan_head(1, spacing_mm=(4.0, 4.0, 4.0), supersample=1)
    return preparation, prepare(head.mr, preparation)


@pytest.mark.parametrize("seed", [1, 2])
def test_patches_meet_without_a_seam(finer, seed):
    preparation, prepared = finer
    model = make_model(seed, preparation, width=8, blocks=2, contents=3)
    ratio, without_patches = seams(model, prepared)
    assert ratio == pytest.approx(1, abs=0.05)
    assert ratio / without_patches == pytest.approx(1, abs=0.05)


def standardised(x, _context):
    """The worst that instance norm can do: every patch by its own mean and spread."""
    return identity(0.3 * (x - x.mean()) / x.std(), None)


def test_patches_of_different_brightness_meet_without_a_seam(finer, monkeypatch):
    preparation, prepared = finer
    model = make_model(1, preparation.model_copy(update={"patch": (16, 16, 16)}))
    monkeypatch.setattr(model.forward, "forward", standardised)
    blended, without_patches = seams(model, prepared)
    assert blended / without_patches == pytest.approx(1, abs=0.05)
    even = partial(np.ones, dtype=np.float32)
    monkeypatch.setattr("medgan.inference.patch_runs._hann", even)
    unblended, without_patches = seams(model, prepared)
    assert unblended / without_patches > 1.05
