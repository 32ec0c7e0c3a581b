"""From a configuration to a report, through the program alone."""

import json

import numpy as np
import pytest
import yaml

from medgan.config import parse_config
from medgan.io import read_volume
from medgan.models.model_file import Model
from medgan.recipes.scans import scan_material


@pytest.fixture
def config_file(tiny_document, tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(tiny_document))
    return path


def test_a_run_folder_holds_all_that_the_training_was(tiny_run):
    steps = [json.loads(line)["step"] for line in (tiny_run / "metrics.jsonl").open()]
    # one line a step, and one more where it was validated
    assert steps == [1, 2, 2, 3, 4, 4]
    assert "seconds" not in (tiny_run / "metrics.jsonl").read_text()
    assert [p.name for p in sorted((tiny_run / "previews").iterdir())] == [
        "step_0000002.png", "step_0000004.png",
    ]  # fmt: skip
    config = yaml.safe_load((tiny_run / "config.yaml").read_text())
    assert config["losses"]["identity"] == 5
    reason = json.loads((tiny_run / "checkpoints/best/reason.json").read_text())
    scores = [json.loads(line) for line in (tiny_run / "metrics.jsonl").open()]
    best = min(line["validation_score"] for line in scores if "validation_score" in line)
    assert reason["score"] == best
    assert not list(tiny_run.rglob(".*"))


def test_a_model_says_where_it_came_from_and_names_no_file(tiny_run):
    card = Model.load(tiny_run).card
    assert card.provenance["scans"] == 3
    assert len(card.provenance["data_sha256"]) == 64
    assert ".nii" not in json.dumps(card.model_dump(mode="json"))
    assert card.preparation.spacing_mm == (6, 6, 6)


@pytest.mark.parametrize(("share", "warmed_up", "learned_from"), [
    (0.0, True, ()), (0.5, True, ("target",)), (0.5, False, ("source", "target")),
])  # fmt: skip
def test_a_model_counts_the_scans_it_learned_from(tiny_document, share, warmed_up, learned_from):
    data, training = tiny_document["data"], tiny_document["training"]
    data["phantoms"]["scanned_share"] = share
    if warmed_up:
        training["warmup_steps"] = training["steps"]
    material = scan_material(parse_config(tiny_document))
    assert material.provenance["scans"] == sum(len(data[side]) for side in learned_from)


def test_a_finished_run_is_translated_evaluated_and_reported(
    tiny_run, tiny_scans, medgan_cli, tmp_path
):
    prediction, report = tmp_path / "ct.nii.gz", tmp_path / "report.html"
    mr, ct = tiny_scans / "mr_4.nii.gz", tiny_scans / "ct_4.nii.gz"
    code, out, _ = medgan_cli("translate", tiny_run, mr, prediction, "--json", tmp_path / "t.json")
    assert (code, out.split()) == (0, ["translated", "mr_4.nii.gz"])
    (row,) = json.loads((tmp_path / "t.json").read_text())["files"]
    assert (row["source"], row["status"]) == ("mr_4.nii.gz", "translated")
    source, made = read_volume(mr), read_volume(prediction)
    assert (made.modality, made.synthetic, made.shape) == ("CT", True, source.shape)
    np.testing.assert_array_equal(made.affine, source.affine)

    code, out, _ = medgan_cli("evaluate", prediction, ct, "--source", mr, "--json", "-")
    document = json.loads(out)
    truth = read_volume(ct)
    assert code == 0
    assert 0 < document["cases"][0]["mae"] < np.abs(truth.array).max()
    assert document["floors"].keys() == {"constant", "lookup_table"}

    code, out, _ = medgan_cli("report", tiny_run, "--out", report)
    assert code == 0
    assert "data:image/png" in report.read_text()


def test_a_folder_is_translated_the_other_way_with_its_maps(
    tiny_run, tiny_scans, medgan_cli, tmp_path
):
    folder = tmp_path / "in" / "study"
    folder.mkdir(parents=True)
    (folder / "ct.nii.gz").write_bytes((tiny_scans / "ct_4.nii.gz").read_bytes())
    (folder / "bad.nii.gz").write_bytes(b"damaged")
    arguments = (
        "translate", tiny_run, tmp_path / "in", tmp_path / "out", "--direction", "backward",
        "--to", "mha", "--save-attention",
    )  # fmt: skip
    code, out, err = medgan_cli(*arguments)
    # some failed: those are named, the others are there
    assert code == 1
    assert "bad.nii.gz: " in err
    assert "Traceback" not in out + err
    assert sorted(p.name for p in (tmp_path / "out" / "study").iterdir()) == [
        "ct.mha", "ct.mha.qc.json", "ct_attention.mha", "ct_content_1.mha", "ct_content_2.mha",
    ]  # fmt: skip
    assert read_volume(tmp_path / "out" / "study" / "ct.mha").modality == "MR"
    (folder / "bad.nii.gz").unlink()
    code, out, _ = medgan_cli(*arguments)
    assert (code, out.split()[0]) == (0, "skipped")


def test_overrides_reach_the_run_and_its_name_is_the_default_folder(
    config_file, medgan_cli, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    code, _, err = medgan_cli("train", config_file, "training.steps=1", "name=other")
    assert code == 0, err
    run = tmp_path / "runs" / "other"
    assert yaml.safe_load((run / "config.yaml").read_text())["training"]["steps"] == 1
    assert (run / "checkpoints/last/model.safetensors").is_file()


def test_a_run_that_stopped_ends_as_if_it_had_not(config_file, medgan_cli, tmp_path, monkeypatch):
    from medgan.training.trainer import Trainer

    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert medgan_cli("train", config_file, "--out", whole)[0] == 0
    update = Trainer.update

    def interrupted(self, batch):
        if self.step == 4:
            raise KeyboardInterrupt
        return update(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "update", interrupted)
        code, _, err = medgan_cli("train", config_file, "--out", broken)
    assert code == 130
    again = err.split("goes on: medgan ")[1].splitlines()[0].split()
    assert len((broken / "metrics.jsonl").read_text().splitlines()) == 4
    for step in (2, 4):
        # a checkpoint every two steps; the second time there is nothing left to do
        code, _, err = medgan_cli(*again)
        assert code == 0
        assert f"going on from step {step} of" in err
        for name in ("metrics.jsonl", "checkpoints/last/state.safetensors",
                     "checkpoints/last/model.safetensors"):  # fmt: skip
            assert (broken / name).read_bytes() == (whole / name).read_bytes(), name


def test_resuming_takes_no_other_argument(config_file, medgan_cli, tmp_path):
    for extra in ((config_file,), ("--out", tmp_path / "x")):
        code, _, err = medgan_cli("train", *extra, "--resume", tmp_path / "run")
        assert code == 2
        assert "--resume takes no other argument" in err
