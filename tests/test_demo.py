"""The demo, made small: every step of it runs and writes what others read."""

import json

import pytest

from medgan.recipes import demo

OVERRIDES = (
    "training.steps=4", "training.warmup_steps=2",
    "training.validate_every=4", "training.checkpoint_every=2", "data.phantoms.heads=1",
    "network.width=4", "network.blocks=1", "network.contents=2", "network.discriminator_width=4",
    "preparation.spacing_mm=[6, 6, 6]", "preparation.matrix=[48, 48]",
    "tracking.enabled=false", "data.phantoms.slices=2", "data.phantoms.validation_heads=1",
)  # fmt: skip


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(demo, "SPACING_MM", (6.0, 6.0, 6.0))
    monkeypatch.setattr(demo, "MR_SEEDS", range(100, 101))
    monkeypatch.setattr(demo, "CT_SEEDS", range(200, 201))


def test_the_demo_writes_its_numbers_and_its_report_and_can_be_run_again(
    small, medgan_cli, tmp_path
):
    out = tmp_path / "demo"
    code, shown, err = medgan_cli("demo", "--out", out, *OVERRIDES)
    assert code == 0, err
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["cases"] == 2
    for values in (metrics["result"], *metrics["floors"].values()):
        assert values["mae_hu"] > 0
        assert 0 <= values["bone_dice"] <= 1
    assert metrics["floors"].keys() == {"constant", "lookup_table"}
    assert metrics["floors"]["lookup_table"]["mae_hu"] <= metrics["floors"]["constant"]["mae_hu"]
    assert metrics["protocol"] == "synthrad2023"
    assert f"{metrics['result']['mae_hu']:.1f}" in shown
    page = (out / "report.html").read_text()
    assert page.count("data:image/png") >= 2
    assert len(list((out / "run" / "predictions").iterdir())) == 2

    # nothing is trained again, and the numbers stay the same
    written = (out / "run" / "metrics.jsonl").read_bytes()
    code, printed, _ = medgan_cli("demo", "--out", out, "--json", "-", *OVERRIDES)
    assert json.loads(printed) == metrics
    assert (out / "run" / "metrics.jsonl").read_bytes() == written


def test_training_and_test_heads_are_other_people_for_every_seed():
    people = [*demo.MR_SEEDS, *demo.CT_SEEDS, *demo.TEST_SEEDS]
    assert len(set(people)) == len(people)
    assert max(people) < demo.SEED_STRIDE
