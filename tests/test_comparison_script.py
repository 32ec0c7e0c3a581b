"""A comparison of methods in earnest: trained, interrupted, gone on with, and read again."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from comparisons import TINY, configured, held_out, write_result

from medgan.errors import DataError, MedganError, TrainingError
from medgan.inference.translator import Translator
from medgan.io import read_volume
from medgan.metrics.edges import BONE, SKIN, edge_displacement_mm
from medgan.recipes import (
    command_line,
    comparison,
    comparison_cost,
    comparison_run,
    comparison_script,
    trainings,
)
from medgan.recipes.comparison_document import document
from medgan.recipes.comparison_plan import runs
from medgan.recipes.comparison_scans import make_scans
from medgan.volumes.masks import body_mask

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "pipelines" / "compare_methods.py"


@pytest.fixture
def in_this_process(monkeypatch):
    """No workers: to start one takes seconds."""
    monkeypatch.setattr(
        trainings, "map_in_workers", lambda function, items, *_: map(function, items)
    )


@pytest.mark.usefixtures("in_this_process")
def test_one_that_diverges_does_not_stop_the_others(tmp_path, monkeypatch, capsys):
    def train_and_test(run):
        if run.variant.name == "published" and run.seed == 0:
            raise TrainingError("the training has diverged", measured="nan")
        write_result(run, [100.0])
        slices = {f"{kind}_{plane}": np.zeros((8, 8), np.float32)
                  for kind in ("source", "result", "reference")
                  for plane in ("axial", "sagittal")}  # fmt: skip
        np.savez(run.pictures, **slices)
        return "MAE 100.0 HU"

    reports = []
    write = comparison.write_methods_report
    monkeypatch.setattr(comparison_run, "train_and_test", train_and_test)
    monkeypatch.setattr(comparison_cost, "measure_cost", lambda run, _: run.cost.write_text("null"))
    monkeypatch.setattr(comparison, "make_scans", lambda *_: None)
    monkeypatch.setattr(
        comparison, "write_methods_report",
        lambda path, found, pictures: (reports.append(found["trainings"]["finished"]),
                                       write(path, found, pictures)),
    )  # fmt: skip
    path, out = tmp_path / "two.yaml", tmp_path / "out"
    path.write_text(yaml.safe_dump(TINY | {"name": "two", "seeds": [0, 1]}))
    assert comparison_script.main("Compare.", [str(path), "--out", str(out)]) == 1
    shown, errors = capsys.readouterr()
    assert "[1/4] published seed 0: the training has diverged" in shown
    assert "[4/4] phantoms_alone_anchored seed 1: MAE 100.0 HU" in shown
    assert "medgan: published failed: the training has diverged" in errors
    assert reports == [1, 3]
    found = json.loads((out / "comparison.json").read_text())
    assert [row["seeds"] for row in found["rows"]] == [[1], [0, 1]]
    assert [failure["seed"] for failure in found["failures"]] == [0]


def test_the_script_ends_with_one_message_and_code_two(tmp_path, capsys):
    assert comparison_script.main("Compare.", [str(tmp_path / "absent.yaml")]) == 2
    assert capsys.readouterr().err.startswith("medgan: ")


def test_who_waits_for_the_trainings_does_not_load_torch():
    code = "import sys, medgan.recipes.comparison_script; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


@pytest.fixture(scope="module")
def tiny_comparison(tmp_path_factory):
    """Folder and document of two real trainings by the script, ended by Ctrl-C on the way."""
    folder = tmp_path_factory.mktemp("comparison")
    (folder / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    out = folder / "out"
    command = [sys.executable, str(SCRIPT), str(folder / "tiny.yaml"), "--out", str(out)]
    # a terminal's Ctrl-C goes to the whole group; a shell's background job would ignore it
    script = subprocess.Popen(
        ["env", "--default-signal=INT", *command],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 120
        while not (out / "runs/published/seed_0/checkpoints/last/state.safetensors").exists():
            assert script.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.killpg(script.pid, signal.SIGINT)
        _, errors = script.communicate(timeout=30)
    finally:
        script.kill()
    assert script.returncode == command_line.INTERRUPTED
    assert "medgan: interrupted." in errors
    assert not (out / "comparison.json").exists()
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    return out, json.loads((out / "comparison.json").read_text())


def test_a_result_is_that_of_the_last_model_as_by_hand(tiny_comparison):
    out, found = tiny_comparison
    source, truth = (read_volume(out / "scans" / f"test_00_{kind}.nii.gz") for kind in ("t2", "ct"))
    mask = body_mask(source) & body_mask(truth)
    for row, name in zip(found["rows"], ("published", "phantoms_alone_anchored"), strict=True):
        run = out / "runs" / name / "seed_0"
        made = Translator.load(run / "checkpoints" / "last")(source).image
        mae = np.abs(made.array - truth.array.astype(float))[mask].mean()
        assert row["values"]["mae"]["mean"] == pytest.approx(mae, rel=1e-5)
        for kind, edge in (("bone", BONE), ("skin", SKIN)):
            moved = edge_displacement_mm(made.array, truth.array, mask, source.spacing_mm, edge)
            shown = row["values"][f"edge_{kind}_mm"]["mean"]
            assert (np.nan if shown is None else shown) == pytest.approx(
                moved.mean_mm, rel=1e-3, nan_ok=True
            )
        with np.load(run / "pictures.npz") as pictures:
            assert pictures["source_axial"].shape == source.shape[1::-1]
            # in the first row, the top of the head
            top = pictures["reference_sagittal"][:3]
            bottom = pictures["reference_sagittal"][-3:]
            assert top.mean() < bottom.mean()
        cost = json.loads((run / "cost.json").read_text())
        assert cost == row["cost"]
        assert cost["seconds_per_step"] > 0
        assert cost["peak_memory_mb"] > 100
        assert cost["generator_parameters"] == sum(
            p.numel() for p in Translator.load(run).engine.generator.parameters()
        )


def test_an_interrupted_comparison_has_the_results_of_one_that_was_not(tiny_comparison, tmp_path):
    out, found = tiny_comparison
    shutil.copytree(out / "scans", tmp_path / "scans")
    threads = torch.get_num_threads()
    torch.set_num_threads(os.cpu_count() or 1)
    try:
        for run in runs(configured(), tmp_path):
            comparison_run.train_and_test(run)
            run.cost.write_bytes((out / run.cost.relative_to(tmp_path)).read_bytes())
    finally:
        torch.set_num_threads(threads)
    assert document(configured(), list(runs(configured(), tmp_path))) == found


def test_a_finished_comparison_is_only_read(tiny_comparison):
    out, found = tiny_comparison
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*/seed_0/*")}
    lines = []
    assert comparison.compare(configured(), out, on_run=lines.append) == found
    assert lines == []
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*/seed_0/*")} == before


@pytest.mark.usefixtures("in_this_process")
def test_a_missing_scan_ends_the_comparison_with_its_name(tmp_path):
    pair = {"name": "head", "source": "mr.nii.gz", "target": "ct.nii.gz"}
    base = TINY["base"] | {
        "data": {"root": str(tmp_path), "source": ["absent.nii.gz"], "target": ["absent.nii.gz"]},
        "evaluation": [pair],
    }
    config = configured(base=base, held_out=None, members=TINY["members"][:1])
    with pytest.raises(MedganError, match=r"absent\.nii\.gz: no such file"):
        comparison.compare(config, tmp_path / "out")


def test_scans_of_another_voxel_size_are_refused(tiny_comparison, tmp_path):
    out, _ = tiny_comparison
    with pytest.raises(DataError, match=r"another voxel size.*6\.0.*5\.0"):
        make_scans(configured(**held_out(spacing_mm=[5, 5, 5])), out / "scans")
