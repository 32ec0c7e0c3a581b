"""The translation that is measured, and the plain one beside it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from medgan.recipes import translation_speed
from medgan.recipes.plain_networks import PlainGenerator
from medgan.recipes.translation_speed import Setup, head, plain_translation

SETUP = Setup(size=32, slices=10, width=4, batch=3, precision="fp32")


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Images of every pass of a plain network from now on."""
    seen: list[int] = []
    forward = PlainGenerator.forward

    def counted(self: PlainGenerator, image: torch.Tensor) -> torch.Tensor:
        seen.append(len(image))
        return forward(self, image)

    monkeypatch.setattr(PlainGenerator, "forward", counted)
    return seen


def test_both_make_the_same_volume(passes: list[int]) -> None:
    volume = head(SETUP)
    model = translation_speed._model(SETUP)
    network = PlainGenerator(channels=1, width=SETUP.width)
    network.load_state_dict(model.generator("forward").state_dict())
    made = translation_speed.medgan(SETUP)(volume)
    other = plain_translation(network.eval(), volume, model.card.preparation)
    np.testing.assert_allclose(made.image.array, other.array, atol=0.01)
    np.testing.assert_array_equal(other.affine, volume.affine)
    assert np.ptp(other.array) > 1000
    # air among them, one by one
    assert passes == [1] * SETUP.slices
    body = made.prepared[0].mask_with_margin
    assert 0 < body.any(axis=(0, 1)).sum() < SETUP.slices


@pytest.mark.slow
def test_the_verb_reports_a_volume(medgan_cli, tmp_path: Path) -> None:
    report = tmp_path / "translate.json"
    options = ("--size", 32, "--slices", 8, "--width", 4, "--rounds", 1)
    code, out, _ = medgan_cli("benchmark", "translate", *options, "--json", report)
    assert code == 0
    assert "largest_difference_hu" in out
    found = json.loads(report.read_text())
    assert found["setup"]["precision"] == "bf16"
    assert found["ratio"] == pytest.approx(found["seconds_plain"] / found["seconds"])
    # 3000 HU from -1 to 1, of which bf16 tells steps of 2^-8
    assert 0.01 < found["mean_difference_hu"] < 1500 / 2**8
    assert found["mean_difference_hu"] < found["largest_difference_hu"] < 300
    assert found["body_slices"] == 8 - 2
    assert min(found["peak_memory_mb"], found["peak_memory_plain_mb"]) > 100
