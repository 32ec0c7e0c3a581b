"""Batches depend on seed and step alone; views keep what must be kept."""

import numpy as np
import pytest
import torch

from medgan.config import PreparationConfig, parse_config
from medgan.data.augmentation import SliceAugmentation
from medgan.data.batches import Batches, context_of
from medgan.data.phantom_slices import PhantomSlices
from medgan.data.samples import PhantomSample, Sample
from medgan.data.slices import UnpairedSlices
from medgan.networks.conditioning import UNKNOWN_DEPTH
from medgan.recipes.scans import prepared_scans

PREPARATION = PreparationConfig(spacing_mm=(4.0, 4.0, 4.0), matrix=(64, 64))


@pytest.fixture
def make_batches(tiny_document):
    def make(network=None, **training):
        tiny_document["training"] |= training
        tiny_document["network"] |= network or {}
        config = parse_config(tiny_document)
        source, target = (
            prepared_scans(config, scans, modality)
            for scans, modality in (
                (config.data.source, config.source),
                (config.data.target, config.target),
            )
        )
        views = tuple(
            SliceAugmentation(config.preparation, modality)
            for modality in (config.source, config.target)
        )
        neighbours = config.network.neighbours
        return Batches(
            config,
            UnpairedSlices(source, target, views, match_position=True, neighbours=neighbours),
            PhantomSlices.training(config.data.phantoms, config.preparation, config.network),
        )

    return make


def tensors(batch):
    """Every tensor of a batch by its name, those of contexts among them."""
    found = {}
    for half in ("unpaired", "phantoms"):
        part = getattr(batch, half)
        for name, value in vars(part).items() if part is not None else ():
            members = {name: value} if isinstance(value, torch.Tensor) else {
                f"{name}.{key}": tensor for key, tensor in vars(value).items()
                if tensor is not None
            }  # fmt: skip
            found |= {f"{half}.{key}": tensor for key, tensor in members.items()}
    return found


def same(left, right):
    left, right = tensors(left), tensors(right)
    assert left.keys() == right.keys()
    return all(torch.equal(left[name], right[name]) for name in left)


TOLD = {"neighbours": 2, "position": True}


@pytest.mark.parametrize("network", [{}, TOLD], ids=["slices", "with neighbours"])
def test_a_batch_is_the_same_whatever_was_drawn_before(make_batches, network):
    forwards, backwards = make_batches(network), make_batches(network)
    first = {step: forwards.at(step) for step in (2, 3, 4)}
    for step in (4, 2, 3, 2):
        assert same(backwards.at(step), first[step])
    assert not same(first[2], first[3])


def test_another_seed_gives_other_batches(make_batches):
    assert not same(make_batches(seed=0).at(2), make_batches(seed=1).at(2))


@pytest.mark.parametrize("network", [{}, TOLD], ids=["slices", "with neighbours"])
def test_the_samples_do_not_depend_on_how_many_share_a_batch(make_batches, network):
    pairs = make_batches(network, batch=2, warmup_steps=0)
    singles = make_batches(network, batch=1)
    together, third, fourth = (
        tensors(batch) for batch in (pairs.at(2), singles.at(3), singles.at(4))
    )
    for name, both in together.items():
        assert torch.equal(both, torch.cat((third[name], fourth[name]))), name


def test_warming_up_takes_phantoms_alone(make_batches):
    batches = make_batches(warmup_steps=2)
    assert [batches.at(step).unpaired is None for step in (1, 2, 3)] == [True, True, False]
    assert all(batches.at(step).phantoms is not None for step in (1, 3))


@pytest.mark.parametrize("neighbours", [0, 2])
def test_shapes_and_range_are_those_of_the_networks(make_batches, neighbours):
    batch = make_batches({"neighbours": neighbours}).at(2)
    for name, tensor in tensors(batch).items():
        if name.endswith("depth"):
            assert tensor.shape == (2,)
            continue
        channels = neighbours if name.endswith("neighbours") else 1
        assert tensor.shape == (2, channels, 48, 48), name
        assert -1 <= tensor.float().min() <= tensor.float().max() <= 1
    assert batch.unpaired.body_A.dtype == batch.unpaired.body_B.dtype == torch.bool
    assert (batch.unpaired.context_A.neighbours is None) == (neighbours == 0)


class Numbered:
    """Samples that can be told apart: all values of one are the first number drawn for it."""

    def __init__(self, neighbours=2, *, scans=True):
        self.neighbours, self.scans = neighbours, scans
        self.drawn = []

    def image(self, value, channels=1):
        return np.full((channels, 4, 4), value, dtype=np.float32)

    def draw(self, rng):
        value = np.float32(rng.random())
        self.drawn.append(value)
        body = np.ones((1, 4, 4), dtype=bool)
        beside = [self.image(value + k, self.neighbours) for k in (10, 20)]
        if self.scans:
            return (
                Sample(self.image(value), body, beside[0], 100 * float(value)),
                Sample(self.image(value + 1), body, beside[1], 200 * float(value)),
            )
        images = [self.image(value + k) for k in range(4)]
        return PhantomSample(*images, body, *beside, 100 * float(value))


def numbered(tiny_document, steps=100, **changes):
    tiny_document["training"] |= {"batch": 4, "warmup_steps": 0, "steps": steps}
    tiny_document["network"] |= {"neighbours": 2, "position": True}
    config = parse_config(tiny_document | changes)
    return Batches(config, Numbered(), Numbered(scans=False))


def dropped(images, neighbours, offset):
    """Which samples show copies of themselves; the others show what was drawn beside them."""
    copies = []
    for image, beside in zip(images, neighbours, strict=True):
        value = image[0, 0, 0]
        own = torch.allclose(beside, value.expand_as(beside))
        assert own or torch.allclose(beside, (value + offset).expand_as(beside))
        copies.append(own)
    return copies


def test_a_step_may_have_more_phantoms_than_scans(make_batches, tiny_document):
    one_by_one = make_batches(batch=1)
    tiny_document["data"]["phantoms"]["batch"] = 3
    batch = make_batches(batch=1).at(2)
    assert len(batch.unpaired.real_A) == 1 and len(batch.phantoms.source) == 3
    # none is left out and none comes twice
    for number, phantom in enumerate(batch.phantoms.source, 4):
        assert torch.equal(phantom, one_by_one.at(number).phantoms.source[0])


def test_a_quarter_of_the_samples_shows_copies_in_place_of_its_neighbours(tiny_document):
    batches = numbered(tiny_document)
    found = {"A": [], "B": [], "MR": [], "CT": []}
    for step in range(1, 101):
        batch = batches.at(step)
        unpaired, pairs = batch.unpaired, batch.phantoms
        found["A"] += dropped(unpaired.real_A, unpaired.context_A.neighbours, 10)
        found["B"] += dropped(unpaired.real_B, unpaired.context_B.neighbours, 19)
        found["MR"] += dropped(pairs.source, pairs.source_context.neighbours, 10)
        found["CT"] += dropped(pairs.target, pairs.target_context.neighbours, 18)
    for copies in found.values():
        # four standard deviations of 400 draws
        assert np.mean(copies) == pytest.approx(0.25, abs=4 * (0.25 * 0.75 / 400) ** 0.5)
    for one, other in (("A", "B"), ("MR", "CT")):
        assert abs(np.corrcoef(found[one], found[other])[0, 1]) < 0.2


def test_a_quarter_of_the_depths_is_hidden_where_they_are_told(tiny_document):
    batches = numbered(tiny_document)
    found, alone = {"A": [], "B": [], "MR": [], "CT": []}, []
    for step in range(1, 201):
        batch = batches.at(step)
        contexts = (
            batch.unpaired.context_A, batch.unpaired.context_B,
            batch.phantoms.source_context, batch.phantoms.target_context,
        )  # fmt: skip
        for hidden, context in zip(found.values(), contexts, strict=True):
            hidden += (context.depth == UNKNOWN_DEPTH).tolist()
        real = batch.unpaired.real_A
        alone += (batch.unpaired.context_A.neighbours[:, 0] == real[:, 0]).all((1, 2)).tolist()
    for hidden in (*found.values(), alone):
        # four standard deviations of 400 draws
        assert np.mean(hidden) == pytest.approx(0.25, abs=4 * (0.25 * 0.75 / 400) ** 0.5)
    for one, other in ((found["A"], found["B"]), (found["MR"], found["CT"]), (found["A"], alone)):
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.2


def test_a_depth_that_is_not_known_is_told_apart_from_the_vertex():
    image, body = np.zeros((1, 4, 4), np.float32), np.ones((1, 4, 4), bool)
    samples = [Sample(image, body, depth_mm=depth) for depth in (None, 0.0, -8.0, 120.0)]
    assert context_of(samples).depth.tolist() == pytest.approx([-1, 0, -0.08, 1.2])


def test_the_depth_is_told_in_tenths_of_a_metre(tiny_document):
    batch = numbered(tiny_document).at(3)
    unpaired, pairs = batch.unpaired, batch.phantoms
    first, second = unpaired.real_A[:, 0, 0, 0], pairs.source[:, 0, 0, 0]
    for context, values in (
        (unpaired.context_A, first),
        (unpaired.context_B, 2 * first),
        (pairs.source_context, second),
        (pairs.target_context, second),
    ):
        told = context.depth != UNKNOWN_DEPTH
        assert told.any()
        torch.testing.assert_close(context.depth[told], values[told])


@pytest.mark.parametrize("source", ["MR", "CT"])
def test_phantoms_are_given_as_scanned_and_wanted_without_noise(tiny_document, source):
    changes = {"source": source, "target": "CT" if source == "MR" else "MR"}
    batches = numbered(tiny_document, **changes)
    pairs = batches.at(1).phantoms
    value = torch.tensor(np.array(batches.phantoms.drawn))
    given = {"MR": pairs.source, "CT": pairs.target}
    wanted = {"CT": pairs.source_truth, "MR": pairs.target_truth}
    if source == "CT":
        given = {"CT": pairs.source, "MR": pairs.target}
        wanted = {"MR": pairs.source_truth, "CT": pairs.target_truth}
    # the order of PhantomSample: mr, ct, noisy_ct, standard_mr
    for image, offset in (
        (given["MR"], 0), (wanted["CT"], 1), (given["CT"], 2), (wanted["MR"], 3),
    ):  # fmt: skip
        torch.testing.assert_close(image[:, 0, 0, 0], value + offset)


def test_translating_the_other_way_swaps_the_phantoms(tiny_document):
    there = numbered(tiny_document).at(2).phantoms
    back = numbered(tiny_document, source="CT", target="MR").at(2).phantoms
    swapped = {"source": "target", "source_truth": "target_truth"}
    for ours, theirs in (swapped | {v: k for k, v in swapped.items()}).items():
        assert torch.equal(getattr(there, ours), getattr(back, theirs))
    assert torch.equal(there.source_context.neighbours, back.target_context.neighbours)
    assert torch.equal(there.target_context.neighbours, back.source_context.neighbours)


@pytest.fixture
def disc():
    x, y = np.indices((64, 64)) - 31.5
    body = (x / 20) ** 2 + (y / 24) ** 2 < 1
    image = np.where(body, 0.2 + 0.01 * x, -1).astype(np.float32)
    return Sample(image[None], body[None], depth_mm=35.0)


@pytest.mark.parametrize("modality", ["MR", "CT"])
def test_a_view_follows_from_its_generator_and_keeps_image_and_body_together(disc, modality):
    view = SliceAugmentation(PREPARATION, modality)
    for seed in range(8):
        made = view(disc, np.random.default_rng(seed))
        again = view(disc, np.random.default_rng(seed))
        np.testing.assert_array_equal(made.image, again.image)
        assert (made.neighbours, made.depth_mm) == (None, 35.0)
        foreground = made.image > -0.6
        overlap = 2 * (foreground & made.body).sum() / (foreground.sum() + made.body.sum())
        assert overlap > 0.95
        # 10 % along each axis, and a little for the pixels of the rim
        assert 0.78 < made.body.sum() / disc.body.sum() < 1.25


@pytest.mark.parametrize("modality", ["MR", "CT"])
def test_neighbours_are_seen_as_the_slice_itself_is(disc, modality):
    view = SliceAugmentation(PREPARATION, modality)
    twice = Sample(disc.image, disc.body, np.concatenate([disc.image] * 2), 35.0)
    for seed in range(8):
        made = view(twice, np.random.default_rng(seed))
        np.testing.assert_array_equal(made.neighbours, np.concatenate([made.image] * 2))


def test_several_contrasts_stay_together_in_a_view(disc):
    view = SliceAugmentation(PREPARATION, "CT")
    two = Sample(np.concatenate([disc.image, disc.image / 2 - 0.5]), disc.body)
    made = view(two, np.random.default_rng(1)).image
    np.testing.assert_allclose(made[1], made[0] / 2 - 0.5, atol=1e-5)


def test_mr_contrast_varies_half_of_the_time_and_hounsfield_units_never(disc):
    mr, ct = (SliceAugmentation(PREPARATION, modality) for modality in ("MR", "CT"))
    varied = 0
    for seed in range(30):
        plain = ct(disc, np.random.default_rng(seed)).image
        image = mr(disc, np.random.default_rng(seed)).image
        assert plain.max() <= disc.image.max() + 1e-6
        varied += not np.allclose(plain, image, atol=1e-4)
        low, high = plain.min(), plain.max()
        share, bent = ((i - low) / (high - low) for i in (plain, image))
        inside = (share > 0.3) & (share < 0.99)
        gamma = np.median(np.log(bent[inside]) / np.log(share[inside]))
        assert 0.79 < gamma < 1.26
    assert 7 <= varied <= 23


def test_the_two_sides_are_mirrored_half_of_the_time(disc):
    view = SliceAugmentation(PREPARATION, "CT")
    rising = 0
    for seed in range(60):
        image = view(disc, np.random.default_rng(seed)).image[0]
        rising += bool(image[40, 32] > image[24, 32])
    assert 15 <= rising <= 45
