"""MLflow mirrors the run folder and never stands in the way of a training."""

import json
import logging
from collections import defaultdict

import pytest
from mlflow import MlflowClient

from medgan.config import parse_config
from medgan.training import tracking
from medgan.training.tracking import Tracker


def config(**settings):
    return parse_config({"name": "mirrored", "tracking": settings})


def client_of(folder):
    return MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")


def history(client, run_id, name):
    return [(metric.step, metric.value) for metric in client.get_metric_history(run_id, name)]


def test_the_store_of_a_run_holds_what_its_log_holds(tiny_run):
    logged = defaultdict(list)
    for line in (tiny_run / "metrics.jsonl").read_text().splitlines():
        record = json.loads(line)
        for name, value in record.items():
            if name != "step":
                logged[name].append((record["step"], value))
    client = client_of(tiny_run)
    run = client.get_run((tiny_run / "mlflow_run_id").read_text())
    assert run.data.metrics.keys() == logged.keys()
    for name, values in logged.items():
        assert history(client, run.info.run_id, name) == values, name
    assert run.info.status == "FINISHED"


def test_the_store_of_a_run_names_settings_but_no_files(tiny_run):
    client = client_of(tiny_run)
    params = client.get_run((tiny_run / "mlflow_run_id").read_text()).data.params
    assert params["training.steps"] == "4"
    assert params["network.width"] == "4"
    assert not any(".nii" in value for value in params.values())


def test_a_resumed_run_goes_on_in_the_same_place(tmp_path):
    for step in (1, 2):
        tracker = Tracker(config(), tmp_path)
        tracker.log(step, {"loss": step / 2})
        tracker.finish()
    client = client_of(tmp_path)
    (experiment,) = client.search_experiments(filter_string="name = 'medgan'")
    (run,) = client.search_runs([experiment.experiment_id])
    assert history(client, run.info.run_id, "loss") == [(1, 0.5), (2, 1.0)]


def test_values_are_sent_before_the_end_once_there_are_many(tmp_path, monkeypatch):
    monkeypatch.setattr(tracking, "_BATCH", 3)
    tracker = Tracker(config(), tmp_path)
    for step in (1, 2, 3, 4):
        tracker.log(step, {"loss": float(step)})
    run_id = (tmp_path / "mlflow_run_id").read_text()
    assert [step for step, _ in history(client_of(tmp_path), run_id, "loss")] == [1, 2, 3]


def test_switched_off_it_leaves_nothing(tmp_path):
    tracker = Tracker(config(enabled=False), tmp_path)
    tracker.log(1, {"loss": 1.0})
    tracker.finish()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("uri", ["http://127.0.0.1:9", "gopher://nowhere"])
def test_a_server_that_is_not_there_is_one_warning(tmp_path, caplog, uri):
    tracker = Tracker(config(uri=uri), tmp_path)
    tracker.log(1, {"loss": 1.0})
    tracker.finish()
    (warning,) = [record for record in caplog.records if record.levelno == logging.WARNING
                  and record.name.startswith("medgan")]  # fmt: skip
    assert "the run folder keeps everything" in warning.getMessage()


@pytest.mark.parametrize("call", ["log_batch", "set_terminated"])
def test_a_server_that_stops_answering_is_one_warning(tmp_path, caplog, monkeypatch, call):
    from mlflow.exceptions import MlflowException

    def fail(*_, **__):
        raise MlflowException("gone")

    tracker = Tracker(config(), tmp_path)
    monkeypatch.setattr(MlflowClient, call, fail)
    monkeypatch.setattr(tracking, "_BATCH", 1)
    for step in (1, 2):
        tracker.log(step, {"loss": 1.0})
    tracker.finish()
    warnings = [record for record in caplog.records if record.name.startswith("medgan")]
    assert len(warnings) == 1
    assert "stopped answering" in warnings[0].getMessage()
