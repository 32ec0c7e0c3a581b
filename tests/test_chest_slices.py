"""Maps of chests and what a training from masks to CT draws of them."""

import numpy as np
import pytest
from detection_phantoms import make_chest
from unpaired import TINY

from medgan.config import CHEST_CHANNELS, PhantomConfig, PreparationConfig, parse_config
from medgan.data.batches import Batches
from medgan.data.chest import Chest
from medgan.data.chest_slices import ChestPhantoms, ChestSamples, ChestSlices, UnpairedChests
from medgan.data.chest_tissues import (
    IN_LUNG,
    IN_NODULE,
    TYPICAL_HU,
    ChestTissue,
    chest_tissues,
    mask_picture,
    picture_tissues,
)
from medgan.data.nodule_shapes import drawn_shape
from medgan.errors import ConfigError, DataError
from medgan.io.luna16 import to_index
from medgan.volumes.intensity import WindowScale

PREPARATION = PreparationConfig(
    spacing_mm=(4, 4, 6), matrix=(96, 64), window_hu=(-1000, 400), mask_margin_mm=4
)
SCALE = WindowScale(-1000, 400)


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    """A chest in which the place of everything is known."""
    return make_chest(tmp_path_factory.mktemp("chest"), 3, nodules=3, flipped=True)


@pytest.fixture(scope="module")
def chest(scan):
    return Chest.of_scan(scan, PREPARATION.model_copy(update={"spacing_mm": (2.0, 2.0, 2.0)}))


@pytest.fixture(scope="module")
def phantoms():
    return ChestSlices.training(PhantomConfig(heads=1, slices=8), PREPARATION)


def samples(slices):
    return ChestSamples(slices, SCALE, PREPARATION.spacing_mm[0])


def test_tissues_follow_from_ct_numbers_lungs_and_nodules():
    values = {"air": -1000, "fat": -100, "soft": 40, "bone": 700, "lung": -850, "vessel": 30}
    hu = np.concatenate([np.full((8, 8, 8), value, np.float32) for value in values.values()])
    body, lungs = np.ones(hu.shape, bool), np.zeros(hu.shape, bool)
    lungs[32:] = True
    found = chest_tissues(hu, (9.0, 9.0, 9.0), body, lungs, np.zeros(hu.shape, np.uint8))
    assert [int(found[8 * k + 4, 4, 4]) for k in range(6)] == [0, 1, 2, 3, 4, 5]
    outside = chest_tissues(
        hu, (9.0, 9.0, 9.0), ~body, np.zeros_like(lungs), np.zeros(hu.shape, np.uint8)
    )
    assert not outside.any()


@pytest.mark.parametrize(
    ("core", "shell", "inside", "rim"),
    [
        (30, 30, ChestTissue.NODULE, ChestTissue.NODULE),
        (30, -600, ChestTissue.NODULE, ChestTissue.GROUND_GLASS),
        (-600, -600, ChestTissue.GROUND_GLASS, ChestTissue.GROUND_GLASS),
    ],
)
def test_a_nodule_is_solid_where_it_is_dense(core, shell, inside, rim):
    away = np.linalg.norm(np.indices((25, 25, 25)) - 12, axis=0)
    hu = np.select([away <= 5, away <= 9], [core, shell], -850).astype(np.float32)
    lungs, numbers = np.ones(hu.shape, bool), (away <= 9).astype(np.uint8)
    found = chest_tissues(hu, (1.0, 1.0, 1.0), lungs, lungs, numbers)
    assert found[12, 12, 12] == inside
    assert found[12, 12, 20] == rim
    assert (np.isin(found, IN_NODULE) == (away <= 9)).all()


def test_a_picture_of_a_map_gives_the_map_again():
    rng = np.random.default_rng(0)
    tissues = rng.integers(0, len(ChestTissue), (6, 5)).astype(np.uint8)
    noise = rng.normal(0, 40, (6, 5)).astype(np.float32)
    picture = mask_picture(tissues, noise, SCALE)
    assert picture.shape == (CHEST_CHANNELS, 6, 5)
    assert picture.dtype == np.float32
    assert np.array_equal(picture_tissues(picture), tissues)
    drawn = (TYPICAL_HU[tissues] + noise).clip(-1000, 400)
    assert SCALE.inverse(picture[0]) == pytest.approx(drawn, abs=0.01)
    assert set(np.unique(picture[1:])) == {-1.0, 1.0}


def test_a_chest_lies_where_its_scan_does(scan, chest):
    """At the annotated positions there are nodules, and the CT numbers are those of the scan."""
    volume = scan.read()
    for number, nodule in enumerate(scan.nodules, 1):
        i, j, k = np.rint(to_index(chest.grid, nodule.position_mm)).astype(int)
        assert chest.numbers[k, i, j] == number
        assert chest.tissues[k, i, j] == ChestTissue.NODULE
        at = tuple(np.rint(to_index(volume, nodule.position_mm)).astype(int))
        assert chest.hu[k, i, j] == pytest.approx(volume.array[at], abs=250)
        pixels = (chest.numbers == number).sum() * 8
        assert pixels == pytest.approx(np.pi / 6 * nodule.diameter_mm**3, rel=0.45)
    lungs = np.isin(chest.tissues, (*IN_LUNG, *IN_NODULE)).sum() * 8
    assert lungs == pytest.approx((scan.lungs().array != 0).sum() * 8, rel=0.02)
    assert chest.hu.shape[1:] == PREPARATION.matrix
    assert (chest.hu[~chest.body] == -1000).all()


def test_what_is_larger_than_the_matrix_is_cut_about_its_middle(scan, chest):
    narrow = PREPARATION.model_copy(update={"spacing_mm": (2.0, 2.0, 2.0), "matrix": (64, 32)})
    cut = Chest.of_scan(scan, narrow)
    start = np.rint(to_index(chest.grid, (cut.affine[:3, 3] * (-1, -1, 1)))).astype(int)
    x, y, z = start
    assert z == 0
    assert np.array_equal(cut.hu, chest.hu[:, x : x + 64, y : y + 32])


def test_a_new_nodule_takes_the_place_of_lung_and_of_nothing_else(chest):
    inside = np.argwhere(chest.tissues == ChestTissue.LUNG)
    k, i, j = inside[len(inside) // 2]
    x, y, z = (chest.affine @ [i, j, k, 1])[:3]
    for density, kinds in (
        ("solid", {ChestTissue.NODULE}),
        ("ground-glass", {ChestTissue.GROUND_GLASS}),
        ("part-solid", set(IN_NODULE)),
    ):
        shape = drawn_shape(14, np.random.default_rng(2), density=density)
        made = chest.with_nodule(shape, (-x, -y, z))
        new = made.numbers == len(chest.nodule_slices()) + 1
        assert {*made.tissues[new].tolist()} == kinds
        assert np.isin(chest.tissues[new], IN_LUNG).all()
        assert np.array_equal(made.tissues[~new], chest.tissues[~new])
        assert made.hu is chest.hu
        assert new[made.nodule_slices()[-1]].any()
    with pytest.raises(DataError, match="nothing of the nodule"):
        chest.with_nodule(shape, (-x + 1000, -y, z))


def test_the_slices_of_a_training_show_nodules_and_the_whole_lung(chest):
    slices = ChestSlices.of(iter([chest]), 12)
    assert len(slices.hu) == 12
    through = chest.nodule_slices()
    for number, index in enumerate(through):
        assert np.array_equal(slices.hu[number], chest.hu[index])
        assert number in slices.with_nodule
    with pytest.raises(DataError, match="no slice"):
        ChestSlices.of(iter([]), 12)


def test_phantoms_are_pairs_that_differ_by_what_the_map_does_not_say(phantoms):
    """Noise aside, what a phantom's slice shows at a tissue is that tissue's CT number."""
    hu = {kind: phantoms.hu[phantoms.tissues == kind].astype(float) for kind in ChestTissue}
    assert hu[ChestTissue.LUNG].mean() == pytest.approx(-850, abs=80)
    assert hu[ChestTissue.SOFT].mean() == pytest.approx(40, abs=40)
    assert hu[ChestTissue.NODULE].mean() > -300
    assert len(phantoms.with_nodule) >= 4
    pair = samples(phantoms).pair(0, np.random.default_rng(1))
    there, back = pair.ways
    noise = SCALE.inverse(pair.source.image[0]) - TYPICAL_HU[phantoms.tissues[0]]
    seen = (phantoms.tissues[0] == ChestTissue.SOFT) | (phantoms.tissues[0] == ChestTissue.FAT)
    shown = SCALE.inverse(there.truth[0])
    assert np.abs(shown - (phantoms.hu[0] + noise))[seen].max() < 0.05
    assert back.truth is pair.source.image
    assert not noise[~phantoms.body[0]].any()
    assert noise[seen].std() > 10


def test_draws_follow_from_their_generator_and_mirror_both_sides_alike(phantoms):
    draws = ChestPhantoms(samples(phantoms))
    for seed in range(6):
        pair, again = (draws.draw(np.random.default_rng(seed)) for _ in range(2))
        assert np.array_equal(pair.source.image, again.source.image)
        tissues = picture_tissues(pair.source.image)
        hu = SCALE.inverse(pair.target.image[0])
        assert hu[tissues == ChestTissue.LUNG].mean() < -650
        assert hu[tissues == ChestTissue.SOFT].mean() > -100
    source, target = UnpairedChests(samples(phantoms)).draw(np.random.default_rng(0))
    assert source.image.shape == (CHEST_CHANNELS, *PREPARATION.matrix)
    assert target.image.shape == (1, *PREPARATION.matrix)


def test_half_of_the_draws_show_a_nodule(phantoms):
    few = ChestSlices(
        np.concatenate([phantoms.hu] * 3),
        np.concatenate([phantoms.tissues] * 3),
        np.concatenate([phantoms.body] * 3),
        np.array([5]),
    )
    rng = np.random.default_rng(0)
    assert np.mean([few.pick(rng) == 5 for _ in range(200)]) == pytest.approx(0.5, abs=0.12)


def document(**changes):
    return {
        "name": "slices",
        "source": "LABEL",
        "target": "CT",
        "data": {"chest_slices": {"roots": ["luna"]}},
        "preparation": PREPARATION.model_dump(mode="json"),
        "network": TINY | {"channels": [CHEST_CHANNELS, 1]},
        "losses": {"identity": 0, "phantom": 10},
        "training": {"batch": 2},
    } | changes


def test_a_batch_holds_maps_and_slices_of_both_kinds(phantoms):
    config = parse_config(document())
    both = samples(phantoms)
    batch = Batches(config, UnpairedChests(both), ChestPhantoms(both)).at(1)
    assert batch.unpaired.real_A.shape == (2, CHEST_CHANNELS, *PREPARATION.matrix)
    assert batch.unpaired.real_B.shape == (2, 1, *PREPARATION.matrix)
    assert batch.phantoms.source.shape == batch.phantoms.target_truth.shape


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"source": "MR"}, "needs source: LABEL"),
        ({"data": {}}, "source: LABEL needs data.chest_slices"),
        ({"network": TINY}, r"needs network.channels: \[8, 1\]"),
        ({"network": TINY | {"channels": [8, 1], "position": True}}, "no neighbours"),
        (
            {"data": {"chest_slices": {"roots": ["x"]}, "source": ["ct.nii"]}},
            "without other scans",
        ),
        (
            {"data": {"chest_slices": {"roots": ["x"]}, "phantoms": {"scanned_share": 0.5}}},
            "scanned_share is of heads",
        ),
    ],
)
def test_what_does_not_go_with_slices_of_chests_is_refused(change, fault):
    with pytest.raises(ConfigError, match=fault):
        parse_config(document(**change))
