"""Batches depend on seed and step alone; views keep what must be kept."""

import numpy as np
import pytest
import torch

from medgan.config import PhantomConfig, PreparationConfig, parse_config
from medgan.data.augmentation import SliceAugmentation
from medgan.data.batches import Batches
from medgan.data.phantom_slices import PhantomSlices, label_library
from medgan.data.scanned_slices import ScannedSlices
from medgan.data.slices import Slice, UnpairedSlices
from medgan.phantoms.tissues import Tissue
from medgan.recipes.training import prepared_scans
from medgan.volumes.intensity import WindowScale

PREPARATION = PreparationConfig(spacing_mm=(4.0, 4.0, 4.0), matrix=(64, 64))


@pytest.fixture
def make_batches(tiny_document):
    def make(**training):
        tiny_document["training"] |= training
        config = parse_config(tiny_document)
        source = prepared_scans(config, config.data.source, config.source)
        target = prepared_scans(config, config.data.target, config.target)
        return Batches(
            config,
            UnpairedSlices(source, target, match_position=True),
            PhantomSlices.training(config.data.phantoms, config.preparation),
        )

    return make


def tensors(batch):
    parts = (part for part in (batch.unpaired, batch.phantoms) if part is not None)
    return [tensor for part in parts for tensor in vars(part).values()]


def same(left, right):
    return all(torch.equal(a, b) for a, b in zip(tensors(left), tensors(right), strict=True))


def test_a_batch_is_the_same_whatever_was_drawn_before(make_batches):
    forwards, backwards = make_batches(), make_batches()
    first = {step: forwards.at(step) for step in (2, 3, 4)}
    for step in (4, 2, 3, 2):
        assert same(backwards.at(step), first[step])
    assert not same(first[2], first[3])


def test_another_seed_gives_other_batches(make_batches):
    assert not same(make_batches(seed=0).at(2), make_batches(seed=1).at(2))


def test_the_samples_do_not_depend_on_how_many_share_a_batch(make_batches):
    pairs, singles = make_batches(batch=2, warmup_steps=0), make_batches(batch=1)
    joined = [
        torch.cat(two) for two in zip(tensors(singles.at(3)), tensors(singles.at(4)), strict=True)
    ]
    assert all(torch.equal(a, b) for a, b in zip(tensors(pairs.at(2)), joined, strict=True))


def test_warming_up_takes_phantoms_alone(make_batches):
    batches = make_batches(warmup_steps=2)
    assert [batches.at(step).unpaired is None for step in (1, 2, 3)] == [True, True, False]
    assert all(batches.at(step).phantoms is not None for step in (1, 3))


def test_shapes_and_range_are_those_of_the_networks(make_batches):
    batch = make_batches().at(2)
    for tensor in tensors(batch):
        assert tensor.shape == (2, 1, 48, 48)
        assert -1 <= tensor.float().min() <= tensor.float().max() <= 1
    assert batch.unpaired.body_A.dtype == torch.bool


def test_translating_the_other_way_swaps_the_phantoms(make_batches, tiny_document):
    there = make_batches().at(2).phantoms
    data = tiny_document["data"]
    tiny_document |= {"source": "CT", "target": "MR"}
    data["source"], data["target"] = data["target"], data["source"]
    back = make_batches().at(2).phantoms
    assert torch.equal(there.source, back.target)
    assert torch.equal(there.source_truth, back.target_truth)
    assert torch.equal(there.target_truth, back.source_truth)


@pytest.fixture
def disc():
    x, y = np.indices((64, 64)) - 31.5
    body = (x / 20) ** 2 + (y / 24) ** 2 < 1
    image = np.where(body, 0.2 + 0.01 * x, -1).astype(np.float32)
    return Slice(image, body)


@pytest.mark.parametrize("modality", ["MR", "CT"])
def test_a_view_follows_from_its_generator_and_keeps_image_and_body_together(disc, modality):
    view = SliceAugmentation(PREPARATION, modality)
    for seed in range(8):
        made = view(disc, np.random.default_rng(seed))
        again = view(disc, np.random.default_rng(seed))
        assert torch.equal(made["image"], again["image"])
        foreground = made["image"] > -0.6
        overlap = 2 * (foreground & made["body"]).sum() / (foreground.sum() + made["body"].sum())
        assert overlap > 0.95
        # 10 % along each axis, and a little for the pixels of the rim
        assert 0.78 < made["body"].sum() / disc.body.sum() < 1.25


def test_mr_contrast_varies_half_of_the_time_and_hounsfield_units_never(disc):
    mr, ct = (SliceAugmentation(PREPARATION, modality) for modality in ("MR", "CT"))
    varied = 0
    for seed in range(30):
        plain = ct(disc, np.random.default_rng(seed))["image"]
        image = mr(disc, np.random.default_rng(seed))["image"]
        assert plain.max() <= disc.image.max() + 1e-6
        varied += not torch.allclose(plain, image, atol=1e-4)
        low, high = plain.min(), plain.max()
        share, bent = ((i - low) / (high - low) for i in (plain, image))
        inside = (share > 0.3) & (share < 0.99)
        gamma = (bent[inside].log() / share[inside].log()).median()
        assert 0.79 < gamma < 1.26
    assert 7 <= varied <= 23


def test_the_two_sides_are_mirrored_half_of_the_time(disc):
    view = SliceAugmentation(PREPARATION, "CT")
    rising = 0
    for seed in range(60):
        image = view(disc, np.random.default_rng(seed))["image"][0]
        rising += bool(image[40, 32] > image[24, 32])
    assert 15 <= rising <= 45


@pytest.fixture(scope="module")
def phantoms():
    return PhantomSlices.training(PhantomConfig(heads=1, slices=3), PREPARATION)


def test_a_phantom_sample_follows_from_its_generator(phantoms):
    first, again, other = (phantoms.draw(np.random.default_rng(seed)) for seed in (1, 1, 2))
    for name, array in vars(first).items():
        np.testing.assert_array_equal(array, getattr(again, name))
    assert not np.array_equal(first.mr, other.mr)


def test_a_phantom_sample_is_air_outside_the_body_and_shares_its_anatomy(phantoms):
    for seed in range(6):
        sample = phantoms.draw(np.random.default_rng(seed))
        assert sample.mr.shape == sample.ct.shape == (64, 64)
        for image in (sample.mr, sample.ct, sample.noisy_ct, sample.standard_mr):
            assert image.dtype == np.float32
            assert -1 <= image.min() < image.max() <= 1
        assert (sample.mr[~sample.body] == -1).all()
        assert (sample.standard_mr[~sample.body] == -1).all()
        noise = (sample.noisy_ct - sample.ct) * 1500
        assert np.abs(noise[~sample.body]).max() == 0
        assert noise[sample.body].std() < 26


def test_the_library_is_made_once_and_holds_heads(tmp_path):
    library = label_library(range(5, 7), 2, cache=tmp_path)
    assert library.shape == (4, 256, 256)
    assert library.max() < len(Tissue)
    assert ((library > 0).mean(axis=(1, 2)) >= 0.03).all()
    (path,) = tmp_path.iterdir()
    before = path.stat().st_mtime_ns
    np.testing.assert_array_equal(label_library(range(5, 7), 2, cache=tmp_path), library)
    assert path.stat().st_mtime_ns == before
    # another head or another number of slices is another library
    label_library(range(5, 6), 2, cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_head_is_the_same_in_every_library(tmp_path):
    both = label_library(range(5, 7), 2, cache=tmp_path)
    np.testing.assert_array_equal(label_library(range(6, 7), 2, cache=tmp_path), both[2:])


def test_training_and_validation_never_share_an_anatomy():
    settings = PhantomConfig(heads=1, validation_heads=1, slices=2)
    training = PhantomSlices.training(settings, PREPARATION).labels["axial"]
    validation = PhantomSlices.validation(settings, PREPARATION).labels["axial"]
    assert not any(np.array_equal(a, b) for a in training for b in validation)


def test_a_share_of_the_phantoms_has_the_anatomy_of_real_scans(make_batches):
    batches = make_batches()
    library = batches.phantoms.labels
    slices = ScannedSlices(np.full((1, 256, 256), 6, np.uint8), np.full((1, 256, 256), 321, "i2"))
    scanned = {"axial": slices}
    always = PhantomSlices(library, "t1", PREPARATION, scanned, scanned_share=1.0)
    sample = always.draw(np.random.default_rng(0))
    hu = WindowScale(*PREPARATION.window_hu).inverse(sample.ct[20:40, 20:40])
    assert abs(np.median(hu) - 321) < 10, "the measured HU are the truth, not the tissue's"
    mixed = PhantomSlices(library, "t1", PREPARATION, scanned, scanned_share=0.25)
    drawn = [mixed._fine(np.random.default_rng(i), "axial")[1] is not None for i in range(400)]
    assert 0.18 < np.mean(drawn) < 0.32
