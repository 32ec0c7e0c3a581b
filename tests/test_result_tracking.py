"""``--track``: a measurement becomes a run of numbers and hashes, without names and paths."""

import gzip
import json
import sqlite3

import numpy as np
import pytest
import torch
from mlflow import MlflowClient
from mlflow_stores import downloaded, empty_store

from medgan.io import write_volume
from medgan.training.result_tracking import fingerprint, numbers, without_names
from medgan.volumes import Volume

MARKER = "DOE_JANE"


@pytest.fixture
def store(tmp_path, tmp_path_factory):
    (tmp_path / "store").mkdir()
    return empty_store(tmp_path_factory, tmp_path / "store" / "results.db")


@pytest.fixture
def heads(tmp_path):
    """Two folders of two heads, named as no file should be; predictions are 30 HU too bright."""
    axes = np.meshgrid(*(np.linspace(-1, 1, 24),) * 3, indexing="ij")
    radius = np.sqrt(sum(axis**2 for axis in axes))
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    for name, offset in (("ct", 0), ("made", 30)):
        (tmp_path / name).mkdir()
        for number in (1, 2):
            ct = np.select([radius < 0.6, radius < 0.75], [40, 900 + number], -1000) + offset
            path = tmp_path / name / f"{MARKER}_{number}.nii.gz"
            write_volume(Volume(ct.astype(np.int16), affine, "CT"), path)
    return tmp_path


def only_run(store):
    client = MlflowClient(f"sqlite:///{store}")
    experiment = client.get_experiment_by_name("medgan")
    (run,) = client.search_runs([experiment.experiment_id])
    return client, run


def assert_tells_nobody(client, run, store, *markers):
    """Neither what was logged nor its artifacts; where these lie is the store's own business."""
    with sqlite3.connect(store) as database:
        rows = [
            row
            for table in ("params", "tags", "metrics", "latest_metrics")
            for row in database.execute(f"SELECT * FROM {table}")
        ]
    logged = str(rows) + run.info.run_name
    files = [path.read_text() for path in store.parent.rglob("artifacts/*") if path.is_file()]
    assert len(files) == len(client.list_artifacts(run.info.run_id))
    for marker in markers:
        assert not any(marker in text for text in (logged, *files)), marker


def test_an_evaluation_becomes_a_run(heads, store, medgan_cli, tmp_path):
    code, out, err = medgan_cli(
        "evaluate", heads / "made", heads / "ct", "--track", f"sqlite:///{store}", "--json", "-"
    )
    assert code == 0, err
    document = json.loads(out)
    client, run = only_run(store)
    assert run.info.run_id in err
    assert run.info.status == "FINISHED"
    assert run.data.params["protocol"] == document["protocol"] == "synthrad2023"
    assert run.data.params["mask_rule"] == document["mask_rule"]
    assert run.data.params["input.reference.sha256"] == fingerprint(heads / "ct")
    assert "input.mask.sha256" not in run.data.params
    assert run.data.tags["environment.packages.numpy"] == np.__version__
    for measure, summary in document["aggregates"].items():
        assert run.data.metrics[f"aggregates.{measure}.mean"] == summary["mean"]
    stored = json.loads(downloaded(client, run.info.run_id, "result.json", tmp_path))
    assert [case.pop("case") for case in stored["cases"]] == [1, 2]
    assert [case.pop("case") for case in document["cases"]] == [f"{MARKER}_1", f"{MARKER}_2"]
    assert stored == document
    report = downloaded(client, run.info.run_id, "report.html", tmp_path)
    assert report.rstrip().endswith(b"</html>")
    assert_tells_nobody(client, run, store, MARKER, str(heads), "made")


def test_a_froc_becomes_a_run(store, medgan_cli, tmp_path):
    rows = {
        "annotations": ["coordX,coordY,coordZ,diameter_mm", "0,0,0,6"],
        "excluded": ["coordX,coordY,coordZ,diameter_mm", "80,0,0,-1"],
        "results": ["coordX,coordY,coordZ,probability", "1,0,0,0.9"],
    }
    for name, (heading, row) in rows.items():
        text = f"seriesuid,{heading}\n{MARKER},{row}\n"
        (tmp_path / f"{name}.csv").write_text(text)
    (tmp_path / "seriesuids.csv").write_text(f"{MARKER}\n")
    truth = [
        word
        for name in ("annotations", "excluded", "seriesuids")
        for word in (f"--{name}", tmp_path / f"{name}.csv")
    ]
    code, _, err = medgan_cli(
        "froc", *truth, tmp_path / "results.csv", "--bootstrap", "20",
        "--track", f"sqlite:///{store}",
    )  # fmt: skip
    assert code == 0, err
    client, run = only_run(store)
    assert run.data.metrics["cpm"] == 1.0
    assert run.data.metrics["cpm_ci.low"] == 1.0
    assert run.data.params["bootstrap.replicates"] == "20"
    assert "bootstrap.replicates" not in run.data.metrics
    assert run.data.params["input.results.sha256"] == fingerprint(tmp_path / "results.csv")
    assert_tells_nobody(client, run, store, MARKER, str(tmp_path))


class _Means(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.adaptive_avg_pool2d(x[:, :1], 2).reshape(len(x), 4)


def test_a_comparison_of_sets_becomes_a_run(store, medgan_cli, tmp_path):
    torch.jit.save(torch.jit.script(_Means()), tmp_path / "means.pt")
    rng = np.random.default_rng(0)
    for name, count in (("real", 24), ("fake", 12)):
        for index in range(count):
            folder = tmp_path / name / f"{MARKER}{name}{index % 4}"
            folder.mkdir(parents=True, exist_ok=True)
            np.save(folder / f"{index}.npy", rng.uniform(0, 1, (16, 16)).astype(np.float32))
    code, out, err = medgan_cli(
        "compare-sets", tmp_path / "real", tmp_path / "fake", "--features", tmp_path / "means.pt",
        "--track", f"sqlite:///{store}", "--json", "-",
    )  # fmt: skip
    assert code == 0, err
    document = json.loads(out)
    client, run = only_run(store)
    for name in ("fid", "kid", "floor_fid", "floor_kid", "n_real", "n_fake"):
        assert run.data.metrics[name] == document[name]
    assert run.data.params["features.hash"] == document["features"]["hash"]
    report = downloaded(client, run.info.run_id, "report.html", tmp_path)
    assert f"{document['fid']:.4g}".encode() in report
    assert run.data.params["input.fake.sha256"] == fingerprint(tmp_path / "fake")
    assert_tells_nobody(client, run, store, MARKER, str(tmp_path))


@pytest.mark.parametrize("uri", ["http://127.0.0.1:9", "gopher://nowhere", "some/folder"])
def test_a_store_that_is_not_there_is_told_before_anything_is_measured(heads, medgan_cli, uri):
    code, out, err = medgan_cli("evaluate", heads / "made", heads / "ct", "--track", uri)
    assert code == 2
    assert out == ""
    assert "tracking server cannot be used" in err


def test_a_fingerprint_is_of_voxels_and_not_of_names_or_compression(heads, tmp_path):
    ct = heads / "ct"
    before = fingerprint(ct)
    first = ct / f"{MARKER}_1.nii.gz"
    (ct / "renamed.nii").write_bytes(gzip.decompress(first.read_bytes()))
    first.unlink()
    assert fingerprint(ct) == before
    assert fingerprint(heads / "made") != before
    (ct / "more.csv").write_text("1")
    assert fingerprint(ct) != before


def test_numbers_are_named_by_their_place_and_finite():
    document = {
        "a": {"b": 1, "c": [1, 2]}, "x_ci": [0.5, 0.75], "flag": True, "none": None, "text": "inf",
        "infinite": float("inf"), "y_ci": None,
    }  # fmt: skip
    assert numbers(document) == {"a.b": 1.0, "x_ci.low": 0.5, "x_ci.high": 0.75}


def test_cases_are_numbered_wherever_they_stand():
    document = {
        "cases": [{"case": "a", "mae": 1}, {"case": "b", "mae": 2}],
        "against": {"cases": [{"case": "a"}]},
        "planes": [{"cases": [{"case": "c"}]}],
    }
    assert without_names(document) == {
        "cases": [{"case": 1, "mae": 1}, {"case": 2, "mae": 2}],
        "against": {"cases": [{"case": 1}]},
        "planes": [{"cases": [{"case": 1}]}],
    }
