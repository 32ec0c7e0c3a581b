"""The monitor warns of copying, of blindness and of divergence, and only then."""

import logging
import math

import pytest

from medgan.errors import TrainingError
from medgan.training.monitor import Monitor


def warnings(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


@pytest.mark.parametrize(
    ("share", "words"), [(0.97, "copies the input"), (0.0005, "nothing of the input")]
)
def test_one_warning_comes_after_twenty_looks_in_a_row(caplog, share, words):
    monitor = Monitor()
    for step in range(1, 20):
        monitor.background(step, share)
    assert warnings(caplog) == []
    for step in range(20, 60):
        monitor.background(step, share)
    (message,) = warnings(caplog)
    assert message.startswith("step 20: ")
    assert words in message


@pytest.mark.parametrize("share", [0.97, 0.0005])
def test_one_better_look_starts_the_count_again(caplog, share):
    monitor = Monitor()
    for step in range(1, 100):
        monitor.background(step, 0.4 if step % 20 == 0 else share)
    assert warnings(caplog) == []


def test_finite_gradients_pass_in_silence(caplog):
    monitor = Monitor()
    assert all(monitor.finite(step, 1e9) for step in range(100))
    assert warnings(caplog) == []


@pytest.mark.parametrize("norm", [math.nan, math.inf])
def test_ten_bad_steps_in_a_row_end_the_training(caplog, norm):
    monitor = Monitor()
    for step in range(1, 10):
        assert not monitor.finite(step, norm)
    assert len(warnings(caplog)) == 9
    with pytest.raises(TrainingError, match="diverged") as caught:
        monitor.finite(10, norm)
    assert caught.value.where == "step 10"
    assert "learning_rate" in caught.value.remedy


def test_a_good_step_between_starts_the_count_again():
    monitor = Monitor()
    for step in range(1, 60):
        assert monitor.finite(step, math.nan if step % 10 else 1.0) == (step % 10 == 0)


def test_bad_generators_beside_good_discriminators_end_the_training_too():
    monitor = Monitor()
    for step in range(1, 10):
        assert not monitor.finite(step, math.nan)
        assert monitor.finite(step, 1.0)
    with pytest.raises(TrainingError, match="10 steps in a row"):
        monitor.finite(10, math.nan)


def test_two_bad_updates_of_one_step_count_once():
    monitor = Monitor()
    for step in range(1, 10):
        for _ in ("generators", "discriminators"):
            assert not monitor.finite(step, math.nan)
    with pytest.raises(TrainingError, match="diverged"):
        monitor.finite(10, math.nan)
