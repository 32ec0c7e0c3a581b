"""What a training on nodules learns from: phantoms of one place, healthy lung, nodules."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from detection_phantoms import make_chest

from medgan.config import PhantomConfig, PreparationConfig, parse_config
from medgan.data.batches import Batches
from medgan.data.nodule_batches import LungPatches, UnpairedNodules, Wanted
from medgan.data.nodule_condition import (
    changed_region,
    density_of,
    nodule_condition,
    share_of_mask,
    solid_share_of,
)
from medgan.data.nodule_phantoms import NodulePhantoms, mirrored
from medgan.data.nodule_shapes import drawn_shape
from medgan.errors import ConfigError, DataError
from medgan.volumes.geometry import Grid
from medgan.volumes.intensity import WindowScale

PREPARATION = PreparationConfig(
    spacing_mm=(2, 2, 2), patch=(24, 24, 24), window_hu=(-1000, 400), matrix=(32, 32)
)
SETTINGS = PhantomConfig(heads=2, slices=3, validation_heads=1)
SCALE = WindowScale(-1000, 400)


@pytest.fixture(scope="module")
def phantoms():
    return NodulePhantoms.training(SETTINGS, PREPARATION)


@pytest.fixture(scope="module")
def chest(tmp_path_factory):
    return make_chest(tmp_path_factory.mktemp("chest"), 3, nodules=2)


@pytest.fixture(scope="module")
def lungs(chest):
    return LungPatches.of([chest], 3, PREPARATION, seed=0)


def ball(radius, size=24):
    axes = np.indices((size,) * 3) - size // 2
    return np.linalg.norm(axes, axis=0) <= radius


def test_both_ends_of_a_pair_differ_only_in_the_region_of_the_nodule(phantoms):
    for index in range(len(phantoms.places)):
        pair = phantoms.pair(index)
        differ = pair.healthy.image != pair.diseased.image
        assert differ.any()
        assert not (differ & ~pair.healthy.body).any()
        assert np.array_equal(pair.healthy.condition, pair.diseased.condition)


def test_mirroring_moves_image_region_and_condition_together(phantoms):
    plain, turned = phantoms.pair(0), phantoms.pair(0, (1, 3))
    for name in ("image", "body", "condition"):
        expected = getattr(plain.diseased, name)[:, ::-1, :, ::-1]
        assert np.array_equal(getattr(turned.diseased, name), expected)
    again = mirrored(turned.diseased, (1, 3))
    assert np.array_equal(again.image, plain.diseased.image)


def test_rare_densities_are_drawn_as_often_as_solid_ones(phantoms):
    place = phantoms.places[0]
    kinds = ["solid"] * 7 + ["ground-glass"]
    solid = {"solid": place.share, "ground-glass": np.zeros_like(place.share)}
    places = [replace(place, density=kind, solid=solid[kind]) for kind in kinds]
    library = NodulePhantoms(places, SCALE)
    rng = np.random.default_rng(0)
    drawn = [library.draw(rng).healthy.condition[1].max() == 1 for _ in range(100)]
    assert np.mean(drawn) == pytest.approx(0.5, abs=0.2)


def test_validation_has_other_thoraxes(phantoms):
    held_out = NodulePhantoms.validation(SETTINGS, PREPARATION)
    ours = {place.healthy.tobytes() for place in phantoms.places}
    assert not ours & {place.healthy.tobytes() for place in held_out.places}


def test_patches_must_be_cubes():
    slab = PREPARATION.model_copy(update={"patch": (24, 24, 16)})
    with pytest.raises(ConfigError, match="cubes"):
        NodulePhantoms.training(SETTINGS, slab)


def test_the_condition_says_how_much_of_a_voxel_is_nodule_and_how_much_is_solid():
    share = np.array([[[0.0, 0.25, 1.0]]], np.float32)
    solid = np.array([[[0.0, 0.0, 0.75]]], np.float32)
    maps = nodule_condition(share, solid)
    assert maps[0].ravel().tolist() == [-1, -0.5, 1]
    assert maps[1].ravel().tolist() == [-1, -1, 0.5]


def test_a_phantom_says_where_its_nodule_is_solid(phantoms):
    seen = set()
    for place in phantoms.places:
        seen.add(place.density)
        inner = place.share > 0.95
        if place.density == "solid":
            assert (place.solid == place.share).all()
        elif place.density == "ground-glass":
            assert not place.solid.any()
        else:
            assert 0 < place.solid.sum() < 0.5 * place.share.sum()
            assert (place.solid <= place.share).all()
            # the noise is that of the healthy place: what is left differs by density alone
            core, rim = place.solid > 0.95, inner & (place.solid == 0)
            assert place.diseased[core].mean() > -150
            assert place.diseased[rim].mean() < -350
    assert "part-solid" in seen


def test_the_region_is_one_voxel_wider_than_the_nodule():
    share = np.zeros((7, 7, 7), np.float32)
    share[3, 3, 3] = 0.01
    assert changed_region(share).sum() == 7


def test_a_mask_gets_a_soft_edge_and_keeps_its_volume():
    mask = ball(6)
    share = share_of_mask(mask)
    assert share.sum() == pytest.approx(mask.sum(), rel=0.01)
    assert ((share > 0.05) & (share < 0.95)).sum() > 100


@pytest.mark.parametrize(
    ("core", "shell", "expected"),
    [(30, 30, "solid"), (10, -600, "part-solid"), (-600, -600, "ground-glass")],
)
def test_the_density_of_a_nodule_follows_from_its_ct_numbers(core, shell, expected):
    image = np.full((24, 24, 24), -850, np.float32)
    image[ball(8)], image[ball(4)] = shell, core
    assert density_of(image, ball(8)) == expected


@pytest.mark.parametrize(
    ("core", "shell", "diameter"), [(30, 30, 16), (10, -600, 8), (-600, -600, 0)]
)
def test_the_solid_part_of_a_real_nodule_is_where_it_is_dense(core, shell, diameter):
    image = np.full((24, 24, 24), -850, np.float32)
    image[ball(8)], image[ball(4)] = shell, core
    image += np.random.default_rng(0).normal(0, 40, image.shape)
    share = share_of_mask(ball(8))
    solid = solid_share_of(image, ball(8), share)
    assert (solid <= share).all()
    wanted = ball(diameter / 2).sum() if diameter else 0
    assert solid.sum() == pytest.approx(wanted, rel=0.25, abs=1)


def test_patches_of_scans_are_healthy_or_have_their_own_mask(chest, lungs):
    assert len(lungs.nodules) == len(chest.nodules)
    for nodule, image, wanted in zip(chest.nodules, lungs.nodules, lungs.masks, strict=True):
        assert image[12, 12, 12] > -300
        volume = wanted.share.sum() * 8
        assert volume == pytest.approx(np.pi / 6 * nodule.diameter_mm**3, rel=0.35)
    for image in lungs.healthy:
        assert np.median(image[10:15, 10:15, 10:15]) < -700


def test_scans_without_nodules_are_refused(tmp_path):
    bare = make_chest(tmp_path, 5, nodules=0)
    with pytest.raises(DataError, match="no nodule"):
        LungPatches.of([bare], 1, PREPARATION, seed=0)


def test_healthy_lung_comes_with_a_wish_and_nodules_with_what_they_are(phantoms, lungs):
    draws = UnpairedNodules(lungs, phantoms.places, SCALE)
    for seed in range(4):
        healthy, diseased = draws.draw(np.random.default_rng(seed))
        inside = healthy.condition[0] > 0
        assert inside.any()
        assert SCALE.inverse(healthy.image[0][ball(2)]).mean() < -600
        assert SCALE.inverse(diseased.image[0][diseased.condition[0] > 0.5]).mean() > -400
        again = draws.draw(np.random.default_rng(seed))[0]
        assert np.array_equal(again.image, healthy.image)


def test_a_batch_tells_both_generators_what_is_wanted(phantoms, lungs):
    config = parse_config(
        {
            "name": "nodules",
            "source": "CT",
            "target": "CT",
            "data": {"nodules": {"roots": ["luna"]}},
            "preparation": PREPARATION.model_dump(mode="json"),
            "network": {"spatial_dims": 3, "conditions": 2},
            "losses": {"phantom": 1},
            "training": {"batch": 2},
        }
    )
    batches = Batches(config, UnpairedNodules(lungs, phantoms.places, SCALE), phantoms)
    batch = batches.at(1)
    assert batch.unpaired.context_A.condition.shape == (2, 2, 24, 24, 24)
    pairs = batch.phantoms
    assert torch.equal(pairs.source_truth, pairs.target)
    assert torch.equal(pairs.target_truth, pairs.source)
    assert torch.equal(pairs.source_context.condition, pairs.target_context.condition)


def test_a_wanted_shape_has_the_condition_of_its_share():
    grid = Grid((24, 24, 24), np.diag([2.0, 2.0, 2.0, 1.0]))
    shape = drawn_shape(12, np.random.default_rng(0), density="part-solid")
    share = shape.share_on(grid, (-24.0, -24.0, 24.0))
    core = shape.solid_part.share_on(grid, (-24.0, -24.0, 24.0))
    wanted = Wanted(share, core)
    assert wanted.condition[0].max() == 1
    volumes = (wanted.condition + 1).sum(axis=(1, 2, 3)) / 2 * 2**3
    assert volumes[0] == pytest.approx(shape.volume_mm3, rel=0.1)
    # edges of voxels add to a small body
    assert volumes[1] == pytest.approx(shape.core**3 * shape.volume_mm3, rel=0.25)
