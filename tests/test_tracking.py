"""MLflow mirrors the run folder and never stands in the way of a training."""

import logging

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow_stores import begin_run, empty_store, logged_values, mirrored_values

from medgan.training import tracking
from medgan.training.run_mirror import RunMirror
from medgan.training.tracking import Tracker


@pytest.fixture
def run(tmp_path, tmp_path_factory):
    empty_store(tmp_path_factory, tmp_path / "mlflow.db")
    return begin_run(tmp_path)


def client_of(folder):
    return MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")


def run_id_of(folder):
    return (folder / "mlflow_run_id").read_text().strip()


def tracker_of(run):
    return Tracker(run.config(), run.root)


def log(run, tracker, step, **values):
    """As the trainer does it: first the run's own log, then the mirror."""
    run.append(run.metrics, {"step": step, **values})
    tracker.log(step, values)


def warnings_in(caplog):
    return [
        record
        for record in caplog.records
        if record.levelno >= logging.WARNING and record.name.startswith("medgan")
    ]


def test_the_store_of_a_run_holds_what_its_log_holds(tiny_run):
    client = client_of(tiny_run)
    run_id = run_id_of(tiny_run)
    assert mirrored_values(client, run_id) == logged_values(tiny_run)
    assert client.get_run(run_id).info.status == "FINISHED"


def test_the_store_of_a_run_names_settings_but_no_files(tiny_run, tiny_scans):
    run = client_of(tiny_run).get_run(run_id_of(tiny_run))
    params = run.data.params
    assert params["training.steps"] == "4"
    assert params["network.width"] == "4"
    assert params["data.phantoms.heads"] == "1"
    for value in (*params.values(), *run.data.tags.values()):
        assert ".nii" not in value
        assert str(tiny_scans) not in value
        assert str(tiny_run) not in value


def test_the_store_of_a_run_holds_previews_environment_data_and_model(tiny_run):
    client, run_id = client_of(tiny_run), run_id_of(tiny_run)
    previews = {info.path for info in client.list_artifacts(run_id, "previews")}
    assert previews == {f"previews/{path.name}" for path in (tiny_run / "previews").iterdir()}
    assert previews
    assert "environment.json" in {info.path for info in client.list_artifacts(run_id)}
    tags = client.get_run(run_id).data.tags
    assert len(tags["medgan.data_sha256"]) == len(tags["medgan.model_sha256"]) == 64
    assert tags["medgan.scans"] == "3"
    assert tags["medgan.run_folder"].startswith("tiny ")
    assert tags["environment.packages.torch"]


def test_a_resumed_run_goes_on_in_the_same_place(run):
    for step in (1, 2):
        tracker = tracker_of(run)
        log(run, tracker, step, loss=step / 2)
        tracker.finish()
    client = client_of(run.root)
    (experiment,) = client.search_experiments(filter_string="name = 'medgan'")
    (only,) = client.search_runs([experiment.experiment_id])
    assert mirrored_values(client, only.info.run_id) == {"loss": [(1, 0.5), (2, 1.0)]}


def test_steps_that_are_repeated_after_a_crash_are_not_doubled(run):
    tracker = tracker_of(run)
    for step in (1, 2, 3):
        log(run, tracker, step, loss=1 / step)
    tracker.flush()
    del tracker  # killed here, the last checkpoint being that of step 1
    again = tracker_of(run)
    run.cut_back(1)
    for step in (2, 3, 4):
        log(run, again, step, loss=1 / step)
    again.finish()
    expected = {"loss": [(step, 1 / step) for step in (1, 2, 3, 4)]}
    assert mirrored_values(client_of(run.root), run_id_of(run.root)) == expected


def test_values_are_sent_before_the_end_once_there_are_many(run, monkeypatch):
    monkeypatch.setattr(tracking, "_BATCH", 3)
    tracker = tracker_of(run)
    for step in (1, 2, 3, 4):
        log(run, tracker, step, loss=float(step))
    values = mirrored_values(client_of(run.root), run_id_of(run.root))
    assert [step for step, _ in values["loss"]] == [1, 2, 3]


def test_what_is_not_a_number_is_no_metric(run):
    tracker = tracker_of(run)
    log(run, tracker, 1, loss=float("nan"), other=2.0)
    tracker.finish()
    assert mirrored_values(client_of(run.root), run_id_of(run.root)) == {"other": [(1, 2.0)]}


def test_switched_off_it_leaves_nothing(tmp_path):
    run = begin_run(tmp_path, enabled=False)
    before = sorted(tmp_path.rglob("*"))
    tracker = tracker_of(run)
    tracker.log(1, {"loss": 1.0})
    tracker.flush()
    tracker.finish()
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("uri", ["http://127.0.0.1:9", "gopher://nowhere"])
def test_a_server_that_is_not_there_is_one_warning(tmp_path, caplog, uri):
    run = begin_run(tmp_path, uri=uri)
    tracker = tracker_of(run)
    log(run, tracker, 1, loss=1.0)
    tracker.finish()
    (warning,) = warnings_in(caplog)
    assert "the run folder keeps everything" in warning.getMessage()


def test_a_password_in_the_uri_is_not_told(tmp_path, caplog):
    tracker_of(begin_run(tmp_path, uri="http://jane:secret@127.0.0.1:9"))
    (warning,) = warnings_in(caplog)
    assert "secret" not in warning.getMessage()


@pytest.mark.parametrize("call", ["log_batch", "set_terminated"])
@pytest.mark.parametrize("error", [MlflowException, RuntimeError])
def test_a_server_that_stops_answering_is_one_warning(run, caplog, monkeypatch, call, error):
    def fail(*_, **__):
        raise error("gone")

    tracker = tracker_of(run)
    monkeypatch.setattr(MlflowClient, call, fail)
    monkeypatch.setattr(tracking, "_BATCH", 1)
    for step in (1, 2):
        log(run, tracker, step, loss=1.0)
    tracker.finish()
    (warning,) = warnings_in(caplog)
    assert "gone" in warning.getMessage()


def test_a_server_that_fails_is_left_alone_for_a_while(run, monkeypatch):
    tries = []

    def fail(*_):
        tries.append(1)
        raise MlflowException("gone")

    tracker = tracker_of(run)
    monkeypatch.setattr(tracking, "_BATCH", 1)
    monkeypatch.setattr(RunMirror, "send", fail)
    for step in range(1, 50):
        log(run, tracker, step, loss=1.0)
        tracker.flush()
    assert len(tries) == 1
    tracker.finish()
    assert len(tries) == 2


@pytest.mark.parametrize("broken", ["open", "describe", "send"])
def test_what_was_missed_is_sent_when_the_server_answers_again(run, monkeypatch, broken):
    monkeypatch.setattr(tracking, "_BATCH", 1)
    monkeypatch.setattr(tracking, "_PAUSE_SECONDS", 0)

    def fail(*_):
        raise MlflowException("gone")

    with monkeypatch.context() as patch:
        patch.setattr(RunMirror, broken, fail)
        tracker = tracker_of(run)
        for step in (1, 2):
            log(run, tracker, step, loss=step / 3)
    log(run, tracker, 3, loss=1.0)
    client, run_id = client_of(run.root), run_id_of(run.root)
    assert mirrored_values(client, run_id) == logged_values(run.root)
    assert client.get_run(run_id).data.params["name"] == "mirrored"
