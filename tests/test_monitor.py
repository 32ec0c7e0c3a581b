"""The monitor warns of copying, of blindness, of discriminators that won and of divergence."""

import logging
import math
import re

import pytest
import torch

from medgan.config import parse_config
from medgan.errors import TrainingError
from medgan.training.monitor import WINDOW, Monitor, Observation, Translated, moved, response

PUBLISHED = parse_config({"name": "published"})
BAD = {
    "copies the input": Observation(moved=0.01),
    "ignores the input": Observation(response=0.01),
    "discriminator has won": Observation(discriminator=0.001),
}
SOUND = Observation(moved=0.5, response=0.5, discriminator=0.2)


def warnings(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def images(seed, channels=1, count=2):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, channels, 8, 9, generator=generator) * 2 - 1


BODY = torch.zeros(2, 1, 8, 9, dtype=torch.bool)
BODY[..., 2:6, 3:8] = True


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 1.0])
@pytest.mark.parametrize("channels", [1, 3])
def test_moved_is_the_share_of_the_way_to_the_other_domain(share, channels):
    source, target = images(1, channels), images(2, channels)
    result = source + share * (target - source)
    # what lies outside the body does not count
    result[..., :2, :] = 1.0
    assert moved(Translated(source, result, target, BODY)) == pytest.approx(share, abs=1e-6)


@pytest.mark.parametrize("gain", [0.1, 10.0])
def test_moved_does_not_depend_on_the_scale_of_the_images(gain):
    made = [images(seed) for seed in (1, 2, 3)]
    scaled = [gain * image for image in made]
    assert moved(Translated(*scaled, BODY)) == pytest.approx(moved(Translated(*made, BODY)))


def test_a_copy_of_any_one_of_several_source_channels_has_not_moved():
    source, target = images(1, channels=3), images(2)
    assert moved(Translated(source, source[:, 1:2], target, BODY)) == 0
    assert moved(Translated(source, images(4), target, BODY)) > 0.3


@pytest.mark.parametrize("gain", [0.0, 0.2, -1.0])
def test_response_is_the_gain_of_what_differs_between_sources(gain):
    now, before = images(1), images(2)
    then = Translated(before, 0.3 + gain * before, before, BODY)
    made = Translated(now, 0.3 + gain * now, now, BODY)
    assert response(made, then) == pytest.approx(abs(gain), abs=1e-6)


def test_response_looks_only_where_both_sources_are_body():
    now, before = images(1), images(2)
    other = BODY.roll(2, dims=-1)
    result = torch.zeros_like(now)
    result[~(BODY & other)] = 1.0
    assert (
        response(Translated(now, result, now, BODY), Translated(before, 0 * now, now, other)) == 0
    )


def test_nothing_is_said_of_images_that_are_equal_or_have_no_body():
    image, other = images(1), images(2)
    same = Translated(image, image, image, BODY)
    assert math.isnan(moved(same))
    assert math.isnan(response(same, same))
    nowhere = torch.zeros_like(BODY)
    assert math.isnan(moved(Translated(image, image, other, nowhere)))


@pytest.mark.parametrize("words", BAD)
def test_one_warning_comes_when_the_window_is_full(caplog, words):
    monitor = Monitor(PUBLISHED)
    for step in range(1, WINDOW):
        monitor.observe(step, "G_A", BAD[words])
    assert warnings(caplog) == []
    for step in range(WINDOW, 4 * WINDOW):
        monitor.observe(step, "G_A", BAD[words])
    (message,) = warnings(caplog)
    assert message.startswith(f"step {WINDOW}, G_A: ")
    assert words in message


@pytest.mark.parametrize("words", BAD)
def test_a_new_episode_after_a_recovery_is_warned_of_again(caplog, words):
    monitor = Monitor(PUBLISHED)
    for step in range(1, 3 * WINDOW + 1):
        monitor.observe(step, "G_A", SOUND if WINDOW < step <= 2 * WINDOW else BAD[words])
    assert len(warnings(caplog)) == 2


def test_a_mean_that_hovers_about_its_limit_is_warned_of_once(caplog):
    monitor = Monitor(PUBLISHED)
    for step in range(20 * WINDOW):
        wave = math.sin(step / WINDOW)
        monitor.observe(step, "G_A", Observation(moved=0.05 * (1 + 0.5 * wave)))
    assert len(warnings(caplog)) == 1


def test_the_generators_are_watched_each_for_itself(caplog):
    monitor = Monitor(PUBLISHED)
    for step in range(1, WINDOW + 1):
        monitor.observe(step, "G_A", SOUND)
        monitor.observe(step, "G_B", BAD["copies the input"])
    (message,) = warnings(caplog)
    assert "G_B" in message


def test_sound_figures_and_missing_ones_pass_in_silence(caplog):
    monitor = Monitor(PUBLISHED)
    for step in range(4 * WINDOW):
        monitor.observe(step, "G_A", SOUND if step % 2 else Observation())
    assert warnings(caplog) == []


def test_looking_at_copies_step_after_step_warns_of_them(caplog):
    monitor = Monitor(PUBLISHED)
    for step in range(1, WINDOW + 1):
        source, target = images(2 * step), images(2 * step + 1)
        seen = monitor.look(step, "G_A", Translated(source, source, target, BODY), 0.25)
        assert seen.moved == 0
        assert math.isnan(seen.response) if step == 1 else seen.response == 1
    (message,) = warnings(caplog)
    assert "copies the input" in message


def test_who_wins_does_not_matter_without_an_adversarial_term(caplog):
    monitor = Monitor(parse_config({"name": "x", "losses": {"adversarial": 0}}))
    source, target = images(1), images(2)
    for step in range(1, 2 * WINDOW):
        monitor.look(step, "G_A", Translated(source, target, target, BODY), 0.0)
    assert warnings(caplog) == []


CONFIGS = [
    {},
    {"losses": {"identity": 0, "cycle": 0, "pixel": 1, "adversarial": 0.1}},
    {"network": {"copy_input": False}, "training": {"differentiable_augmentation": True}},
    {"network": {"generator": "resnet"}},
    {
        "method": "contrastive",
        "network": {"generator": "resnet"},
        "losses": {"contrastive": 1, "cycle": 0, "identity": 0},
    },
    {"source": "IMAGE", "target": "IMAGE", "data": {"images": {"root": "horses"}}},
]


@pytest.mark.parametrize("document", CONFIGS)
@pytest.mark.parametrize("words", BAD)
def test_every_remedy_is_a_change_that_the_configuration_takes(caplog, document, words):
    config = parse_config({"name": "x"} | document)
    monitor = Monitor(config)
    for step in range(WINDOW):
        monitor.observe(step, "G_A", BAD[words])
    (message,) = warnings(caplog)
    _, _, remedies = message.removesuffix(".").partition("What may help: ")
    changes = [
        _override(remedy) for remedy in remedies.split("; ") if "train on more" not in remedy
    ]
    assert changes
    for change in changes:
        changed = parse_config({"name": "x"} | document, [change])
        assert changed != config


def _override(remedy):
    """A remedy, followed: "lower key (value)", "raise key (value)", "set key to value"."""
    if match := re.fullmatch(r"set (\S+) to (true|false)", remedy):
        return f"{match[1]}={match[2]}"
    match = re.fullmatch(r"(lower|raise) (\S+) \((\S+)\)", remedy)
    value = float(match[3])
    changed = value / 2 if match[1] == "lower" else 2 * value + 1
    return f"{match[2]}={int(changed) if match[2].startswith('network') else changed}"


@pytest.mark.parametrize(
    ("document", "absent"),
    [
        ({"losses": {"identity": 0}}, "losses.identity"),
        ({"network": {"copy_input": False}}, "network.copy_input"),
        ({"network": {"generator": "resnet"}}, "losses.background"),
        ({"source": "IMAGE", "target": "IMAGE", "data": {"images": {"root": "x"}}}, "phantom"),
    ],
)
def test_a_remedy_that_cannot_help_is_left_out(caplog, document, absent):
    monitors = Monitor(PUBLISHED), Monitor(parse_config({"name": "x"} | document))
    for monitor in monitors:
        for step in range(WINDOW):
            monitor.observe(step, "G_A", BAD["copies the input"])
    published, other = warnings(caplog)
    assert absent in published
    assert absent not in other


def test_finite_gradients_pass_in_silence(caplog):
    monitor = Monitor(PUBLISHED)
    assert all(monitor.finite(step, 1e9) for step in range(100))
    assert warnings(caplog) == []


@pytest.mark.parametrize("norm", [math.nan, math.inf])
def test_ten_bad_steps_in_a_row_end_the_training(caplog, norm):
    monitor = Monitor(PUBLISHED)
    for step in range(1, 10):
        assert not monitor.finite(step, norm)
    assert len(warnings(caplog)) == 9
    with pytest.raises(TrainingError, match="diverged") as caught:
        monitor.finite(10, norm)
    assert caught.value.where == "step 10"
    assert "learning_rate" in caught.value.remedy


def test_a_good_step_between_starts_the_count_again():
    monitor = Monitor(PUBLISHED)
    for step in range(1, 60):
        assert monitor.finite(step, math.nan if step % 10 else 1.0) == (step % 10 == 0)


def test_bad_generators_beside_good_discriminators_end_the_training_too():
    monitor = Monitor(PUBLISHED)
    for step in range(1, 10):
        assert not monitor.finite(step, math.nan)
        assert monitor.finite(step, 1.0)
    with pytest.raises(TrainingError, match="10 steps in a row"):
        monitor.finite(10, math.nan)


def test_two_bad_updates_of_one_step_count_once():
    monitor = Monitor(PUBLISHED)
    for step in range(1, 10):
        for _ in ("generators", "discriminators"):
            assert not monitor.finite(step, math.nan)
    with pytest.raises(TrainingError, match="diverged"):
        monitor.finite(10, math.nan)
