"""The two collapses that AttentionGAN's users report, provoked in real trainings and named.

Figures of the tiny training below, by hand: results that copy go 0.01 of the way after 200 steps,
anchored on phantoms 0.3 to 0.5; a discriminator with one image of each domain to learn by heart has
a loss of 0.01, with views of three heads one of 0.06 to 0.2.
"""

import logging
import re

import pytest

from medgan.config import parse_config
from medgan.data.batches import Batches
from medgan.recipes.training import train

STEPS = 200


@pytest.fixture
def warnings_of(tiny_document, tmp_path, caplog):
    """Train for 200 steps and collect what the monitor says, as (step, generator, text)."""

    def run(losses, network=None, learning_rate=1e-3):
        tiny_document["losses"] = losses
        tiny_document["network"] |= network or {}
        tiny_document["training"] |= {
            "steps": STEPS, "warmup_steps": 0, "batch": 1, "learning_rate": learning_rate,
            "decay_from": 1.0, "average_decay": 0.0, "pool": 50, "log_every": 100,
            "validate_every": STEPS, "checkpoint_every": STEPS,
        }  # fmt: skip
        with caplog.at_level(logging.WARNING, logger="medgan.training.monitor"):
            train(parse_config(tiny_document), tmp_path / "run")
        found = [
            re.fullmatch(r"step (\d+), (G_[AB]): (.*)", record.getMessage())
            for record in caplog.records
            if record.name == "medgan.training.monitor"
        ]
        return [(int(match[1]), match[2], match[3]) for match in found]

    return run


def test_an_output_that_becomes_the_input_is_named_with_the_weight_that_forces_it(warnings_of):
    found = warnings_of({"identity": 1000}, learning_rate=4e-3)
    copying = [warning for warning in found if "the output copies the input" in warning[2]]
    assert {generator for _, generator, _ in copying} == {"G_A", "G_B"}
    assert len(copying) == 2
    for step, _, text in copying:
        assert step <= STEPS
        assert "lower losses.identity (1000)" in text
        assert "set network.copy_input to false" in text


def test_a_discriminator_that_learns_its_image_by_heart_is_named_with_what_helps(
    warnings_of, monkeypatch
):
    draw = Batches.at
    monkeypatch.setattr(Batches, "at", lambda self, step, share: draw(self, 1))
    found = warnings_of({"adversarial": 0.01, "identity": 0}, {"discriminator_width": 16}, 3e-4)
    won = [warning for warning in found if "the discriminator has won" in warning[2]]
    assert won == found
    assert {generator for _, generator, _ in won} == {"G_A", "G_B"}
    for step, _, text in won:
        assert step <= STEPS
        assert "set training.differentiable_augmentation to true" in text
        assert "lower network.discriminator_width (16)" in text
        assert "raise losses.adversarial (0.01)" in text


def test_a_training_anchored_on_phantoms_is_not_warned_of(warnings_of):
    healthy = {"adversarial": 0.2, "cycle": 5, "identity": 0, "phantom": 10}
    assert warnings_of(healthy, {"discriminator_width": 8}) == []
