"""The demo, made small: every step of it runs and writes what others read."""

import json

import numpy as np
import pytest

from medgan.inference.translator import Translator
from medgan.io import read_volume
from medgan.recipes import demo
from medgan.volumes.geometry import reorient, same_grid
from medgan.volumes.masks import body_mask

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

    # what was measured for the first head is what the DICOM series holds
    made = read_volume(out / "synthetic_ct")
    assert made.modality == "CT"
    assert made.synthetic
    source = read_volume(out / "phantoms" / "dicom" / "head_300")
    assert same_grid(made, source)
    assert made.frame_of_reference == source.frame_of_reference
    expected = Translator.load(out / "run")(source).image
    assert np.abs(made.array - expected.array).max() <= 0.5
    scan = read_volume(out / "phantoms" / "test_mr" / "head_300.nii.gz")
    truth = read_volume(out / "phantoms" / "test_ct" / "head_300.nii.gz")
    mask = body_mask(scan) & body_mask(truth)
    mae = np.abs(reorient(made, "RAS").array - truth.array.astype(float))[mask].mean()
    second = json.loads((out / "run" / "evaluation.json").read_text())["cases"][1]["mae"]
    assert metrics["result"]["mae_hu"] == pytest.approx((mae + second) / 2, rel=1e-5)
    series = {path: path.stat().st_mtime_ns for path in out.rglob("*.dcm")}

    # nothing is trained or translated again, and the numbers stay the same
    written = (out / "run" / "metrics.jsonl").read_bytes()
    code, printed, _ = medgan_cli("demo", "--out", out, "--json", "-", *OVERRIDES)
    assert json.loads(printed) == metrics
    assert (out / "run" / "metrics.jsonl").read_bytes() == written
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.dcm")} == series


def test_training_and_test_heads_are_other_people_for_every_seed():
    people = [*demo.MR_SEEDS, *demo.CT_SEEDS, *demo.TEST_SEEDS]
    assert len(set(people)) == len(people)
    assert max(people) < demo.SEED_STRIDE
