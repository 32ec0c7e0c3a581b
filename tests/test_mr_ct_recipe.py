"""The recipe of the pipelines: train or go on, translate, measure beside the floors, report."""

import json
import shutil

import numpy as np
import pytest
import yaml

from medgan.config import parse_config
from medgan.errors import TrainingError
from medgan.inference.translator import Translator
from medgan.io import read_volume
from medgan.recipes import mr_ct, script
from medgan.volumes.masks import body_mask


@pytest.fixture
def finished(tiny_run, tmp_path):
    """A copy of a finished run, and its configuration."""
    shutil.copytree(tiny_run, tmp_path / "run")
    path = tmp_path / "run" / "config.yaml"
    document = yaml.safe_load(path.read_text())
    document["tracking"]["enabled"] = False
    path.write_text(yaml.safe_dump(document))
    return tmp_path / "run", parse_config(document)


def test_a_finished_run_is_measured_as_by_hand(finished, tiny_scans):
    run, config = finished
    (case,) = mr_ct.run(config, run)
    source, truth = (read_volume(tiny_scans / f"{kind}_4.nii.gz") for kind in ("mr", "ct"))
    mask = body_mask(source) & body_mask(truth)
    made = Translator.load(run)(source).image
    np.testing.assert_array_equal(case.prediction.array, made.array)
    mae = np.abs(made.array - truth.array.astype(float))[mask].mean()
    assert case.scores["medgan"].values["mae"] == pytest.approx(mae, rel=1e-5)
    constant = case.scores["constant"].values["mae"]
    lookup = case.scores["lookup_table"].values["mae"]
    median = np.median(truth.array[mask])
    assert constant == pytest.approx(np.abs(truth.array[mask] - median).mean(), rel=0.01)
    assert lookup <= constant

    document = json.loads((run / "evaluation.json").read_text())
    assert document["cases"][0]["mae"] == pytest.approx(mae, rel=1e-5)
    assert document["floors"]["constant"]["cases"][0]["mae"] == pytest.approx(constant, rel=1e-5)
    np.testing.assert_allclose(
        read_volume(run / "predictions" / "head.nii.gz").array, made.array, atol=1e-3
    )
    attention = read_volume(run / "attention" / "head.nii.gz")
    np.testing.assert_allclose(attention.array, case.attention.array, atol=1e-3)
    assert "floor: look-up table" in (run / "report.html").read_text()


def test_the_way_back_is_measured_beside_it(finished):
    run, config = finished
    (case,) = mr_ct.run(config, run, "backward")
    assert (case.source.modality, case.prediction.modality) == ("CT", "MR")
    document = json.loads((run / "evaluation_backward.json").read_text())
    assert document["protocol"] == "mr-normalised"
    assert (run / "report_backward.html").is_file()
    assert (run / "predictions" / "head_backward.nii.gz").is_file()


def test_an_offset_of_the_file_is_undone_before_measuring(finished):
    run, config = finished
    (plain,) = mr_ct.run(config, run)
    pair = config.evaluation[0]
    shifted = pair.model_copy(update={"target": pair.target.model_copy(update={"hu_offset": -24})})
    (moved,) = mr_ct.run(config.model_copy(update={"evaluation": (shifted,)}), run)
    np.testing.assert_allclose(moved.reference.array, plain.reference.array - 24, atol=1e-3)


def test_the_script_prints_the_table_and_where_the_report_is(
    finished, tiny_document, tmp_path, monkeypatch, capsys
):
    run, _ = finished
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(tiny_document))
    monkeypatch.setattr("sys.argv", ["mr_to_ct.py", str(path), "--out", str(run)])
    assert script.main("Train.", "forward") == 0
    out = capsys.readouterr().out
    assert "MAE (HU)" in out
    assert out.count("floor:") == 2
    assert f"Report: {run}/report.html" in out


def test_the_script_ends_with_one_message_and_code_two(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["mr_to_ct.py", str(tmp_path / "absent.yaml")])
    assert script.main("Train.", "forward") == 2
    assert capsys.readouterr().err.startswith("medgan: ")


def test_a_folder_of_another_training_is_refused(finished):
    run, config = finished
    other = config.model_copy(
        update={"losses": config.losses.model_copy(update={"identity": 0.25})}
    )
    with pytest.raises(TrainingError, match="other losses"):
        mr_ct.run(other, run)


def test_a_measured_run_can_be_reported_on(finished, medgan_cli, tmp_path):
    run, config = finished
    mr_ct.run(config, run)
    code, _, err = medgan_cli("report", run, "--out", tmp_path / "page.html")
    assert code == 0, err
    page = (tmp_path / "page.html").read_text()
    assert "synthrad2023" in page
    assert 'id="viewer-opacity"' in page
