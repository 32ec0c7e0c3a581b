"""One update and the schedule, against what is written out by hand."""

import copy
import math

import numpy as np
import pytest
import torch
from unpaired import BothPasses, both_anchors, gradients, phantom_batch, tiny, unpaired_batch

from medgan.config import parse_config
from medgan.data.batches import Batch
from medgan.errors import ModelError, TrainingError
from medgan.training.run_folder import RunFolder
from medgan.training.tracking import Tracker
from medgan.training.trainer import METHOD_STREAM, Trainer, learning_rate


@pytest.fixture
def make_trainer(tiny_document, tmp_path):
    """A trainer whose batches the test makes itself."""

    def make(network=None, losses=None, **training):
        tiny_document["training"] |= {"warmup_steps": 0, **training}
        tiny_document["network"] |= network or {}
        tiny_document["losses"] |= losses or {}
        config = parse_config(tiny_document)
        run = RunFolder(tmp_path)
        run.last.mkdir(parents=True, exist_ok=True)
        return Trainer(config, run, None, None, Tracker(config, tmp_path), {})

    return make


def random_batch(seed=0):
    config = tiny()
    return Batch(unpaired_batch(config, seed, (48, 48)), phantom_batch(config, seed + 1, (48, 48)))


def judged(method, batch, step):
    """All terms of a step, the discriminators looking at the generators' own images."""
    made = BothPasses(method, batch.unpaired, step, [0, METHOD_STREAM, step])
    generators = made.losses | both_anchors(method, batch.phantoms, step)
    return made, generators, made.judged()


def weights(trainer):
    return copy.deepcopy(trainer.method.state_dict())


def do_step(trainer, batch):
    trainer.step += 1
    return trainer.update(batch)


@pytest.mark.parametrize("decay_from", [0.0, 0.5, 1.0])
def test_the_rate_is_constant_and_then_falls_linearly_to_nearly_nothing(decay_from):
    config = parse_config(
        {"name": "x", "training": {"steps": 100, "decay_from": decay_from, "learning_rate": 0.1}}
    )
    start = int(100 * decay_from)
    # the published rule: 1 - max(0, epoch - constant) / (decaying + 1), epochs counted from 0
    expected = [0.1 * (1 - max(0, step - start) / (100 - start + 1)) for step in range(100)]
    found = [learning_rate(config, step) for step in range(1, 101)]
    np.testing.assert_allclose(found, expected)
    assert min(found) > 0


def test_the_warm_up_has_its_own_rate_that_falls_to_the_main_one_over_its_second_half():
    config = parse_config(
        {
            "name": "x",
            "losses": {"phantom": 1},
            "training": {"steps": 50, "warmup_steps": 20, "decay_from": 1, "learning_rate": 0.1,
                         "warmup_learning_rate": 0.5},
        }
    )  # fmt: skip
    expected = np.interp(np.arange(50), [10, 20], [0.5, 0.1])
    np.testing.assert_allclose([learning_rate(config, step) for step in range(1, 51)], expected)


MEMBERS = {
    "published": ({}, {}),
    "guided and augmented": ({"guided": "beside"}, {"differentiable_augmentation": True}),
}


@pytest.mark.parametrize("member", MEMBERS)
def test_losses_of_a_step_are_those_of_the_weights_before_it(make_trainer, member):
    network, training = MEMBERS[member]
    trainer, batch = make_trainer(network, pool=0, **training), random_batch()
    before = copy.deepcopy(trainer.method)
    losses = do_step(trainer, batch)
    made, generators, discriminators = judged(before, batch, 1)
    # the discriminators judge the fakes of the generators before their update
    expected = generators | discriminators
    background = (1 - made.of["A"].foreground)[batch.unpaired.body_A]
    expected["background_attention"] = background.mean()
    assert losses.keys() - expected.keys() == {"moved_A", "moved_B"}
    found = {name: losses[name] for name in expected}
    torch.testing.assert_close(found, {name: loss.detach() for name, loss in expected.items()})


@pytest.mark.parametrize("member", MEMBERS)
def test_generators_do_not_move_with_the_discriminators_loss_nor_the_other_way(
    make_trainer, member
):
    network, training = MEMBERS[member]
    trainer, batch = make_trainer(network, pool=0, **training), random_batch()
    before = copy.deepcopy(trainer.method)
    do_step(trainer, batch)
    _, generators, discriminators = judged(before, batch, 1)
    for part, losses in (("generators", generators), ("discriminators", discriminators)):
        expected = gradients(losses, getattr(before, part))
        ours = [p.grad for p in getattr(trainer.method, part).parameters() if p.requires_grad]
        for mine, theirs in zip(ours, expected, strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-5)


def test_a_pool_keeps_the_attention_that_an_image_was_made_with(make_trainer):
    trainer, batch = make_trainer({"guided": "beside"}), random_batch()
    before = copy.deepcopy(trainer.method)
    do_step(trainer, batch)
    made, _, _ = judged(before, batch, 1)
    # a pool has the name of the domain of its images
    for way, domain in (("A", "B"), ("B", "A")):
        one = made.of[way]
        expected = torch.cat((one.fake, one.foreground), dim=1).detach()
        torch.testing.assert_close(torch.stack(trainer.pools[domain].images), expected)


def test_the_anchor_fades_as_the_configuration_says(make_trainer):
    trainer = make_trainer(losses={"phantom_end": 2}, steps=4, learning_rate=1e-12)
    found = [do_step(trainer, random_batch())["phantom_A"].item() for _ in range(4)]
    np.testing.assert_allclose(np.array(found) / found[-1], [8 / 2, 6 / 2, 4 / 2, 1], rtol=1e-4)


def test_the_ramp_follows_the_step(make_trainer):
    ramp = {"early": 0.25, "late": 0.75, "steps": 2}
    trainer = make_trainer(losses={"ramp": ramp}, learning_rate=1e-12)
    found = [do_step(trainer, random_batch())["cycle_A"].item() for _ in range(4)]
    np.testing.assert_allclose(np.array(found) / found[0], [1, 1, 3, 3], rtol=1e-4)


class Watching:
    """A validator that notes what it is given."""

    reason = "nothing"

    def __init__(self):
        self.training = []

    def scores(self, forward, backward):
        self.training += [forward.training, backward.training]
        for network in (forward, backward):
            network(torch.rand(3, 1, 48, 48))
        return {"validation_score": math.nan}

    def preview(self, path, forward):
        self.training.append(forward.training)


@pytest.mark.parametrize("average_decay", [0, 0.5])
def test_validating_leaves_the_statistics_of_batch_norm_as_they_are(make_trainer, average_decay):
    network = {"generator": "mask", "norm": "batch"}
    trainer = make_trainer(network, average_decay=average_decay)
    trainer.validator = Watching()
    do_step(trainer, random_batch())
    networks = [trainer.method] + ([trainer.average] if average_decay else [])
    before = copy.deepcopy([network.state_dict() for network in networks])
    trainer._validate()
    assert trainer.validator.training == [False] * 3
    for old, network in zip(before, networks, strict=True):
        assert all(torch.equal(old[name], new) for name, new in network.state_dict().items())
        assert all(part.training for part in network.modules())


def test_phantoms_alone_leave_the_discriminators_as_they_are(make_trainer):
    trainer = make_trainer()
    before = weights(trainer)
    losses = do_step(trainer, Batch(None, random_batch().phantoms))
    assert losses.keys() == {"phantom_A", "phantom_B"}
    changed = {name.split(".")[0] for name, t in weights(trainer).items()
               if not torch.equal(t, before[name])}  # fmt: skip
    assert changed == {"G_A", "G_B"}


def test_biases_without_effect_stay_as_they_are_and_all_others_learn(make_trainer):
    trainer = make_trainer()
    do_step(trainer, random_batch())
    dead = {name for name, p in trainer.method.named_parameters() if p.grad is None}
    before = copy.deepcopy(trainer.method)
    for name, parameter in trainer.method.named_parameters():
        assert (name in dead) == (not parameter.requires_grad), name
    x = random_batch().unpaired.real_A
    with torch.no_grad():
        for name in dead:
            trainer.method.get_parameter(name).add_(3.0)
    expected, found = before.G_A(x).image, trainer.method.G_A(x).image
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    assert {name.rpartition(".")[2] for name in dead} == {"bias"}
    assert len(dead) > 10


def test_the_average_follows_the_generators_with_its_decay(make_trainer):
    trainer = make_trainer(average_decay=0.75)
    expected = None
    for seed in range(3):
        do_step(trainer, random_batch(seed))
        now = [p.detach().clone() for p in trainer.method.generators.parameters()]
        expected = now if expected is None else [
            0.75 * old + 0.25 * new for old, new in zip(expected, now, strict=True)
        ]  # fmt: skip
    torch.testing.assert_close(list(trainer.average.module.parameters()), expected)


def test_a_batch_that_is_not_a_number_changes_nothing_and_ten_of_them_end_the_training(
    make_trainer,
):
    trainer, batch = make_trainer(), random_batch()
    do_step(trainer, batch)
    before = weights(trainer)
    broken = random_batch(1)
    broken.unpaired.real_A[0, 0, 20, 20] = math.nan
    for _ in range(9):
        do_step(trainer, broken)
    assert all(torch.equal(t, before[name]) for name, t in weights(trainer).items())
    with pytest.raises(TrainingError, match="10 steps in a row"):
        do_step(trainer, broken)


def test_fakes_that_are_not_numbers_do_not_enter_the_pools(make_trainer):
    trainer = make_trainer()
    broken = random_batch(1)
    broken.unpaired.real_A[:] = math.nan
    do_step(trainer, broken)
    do_step(trainer, random_batch())
    for pool in trainer.pools.values():
        assert all(image.isfinite().all() for image in pool.images)


def test_half_precision_trains_close_to_full_precision_in_the_same_process(make_trainer):
    batch = random_batch()
    full = do_step(make_trainer(), batch)
    half = do_step(make_trainer(precision="bf16"), batch)
    assert full.keys() == half.keys()
    for name, value in full.items():
        assert half[name].item() == pytest.approx(value.item(), rel=0.03, abs=0.01), name
    assert any(half[name] != value for name, value in full.items())


def test_a_resumed_trainer_holds_all_that_the_saved_one_held(make_trainer):
    trainer = make_trainer()
    for seed in range(3):
        do_step(trainer, random_batch(seed))
    trainer.save()
    other = make_trainer()
    other.resume()
    assert other.step == 3
    left, right = do_step(trainer, random_batch(9)), do_step(other, random_batch(9))
    assert all(torch.equal(left[name], right[name]) for name in left)
    other_weights = weights(other)
    assert all(torch.equal(t, other_weights[name]) for name, t in weights(trainer).items())


def test_a_checkpoint_of_another_architecture_is_refused(make_trainer):
    trainer = make_trainer()
    do_step(trainer, random_batch())
    trainer.save()
    with pytest.raises(ModelError, match="another architecture"):
        make_trainer(network={"width": 8}).resume()


def test_a_checkpoint_beyond_the_last_step_is_refused(make_trainer):
    trainer = make_trainer()
    trainer.step = 5
    trainer.save()
    with pytest.raises(TrainingError, match="beyond the configured steps"):
        make_trainer().resume()
