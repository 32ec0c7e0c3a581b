"""A real MLflow server on loopback: it receives a run, dies in the middle, and is completed."""

import signal
import sqlite3
import time

import pytest
from mlflow import MlflowClient
from mlflow_stores import begin_run, logged_values, mirrored_values, running_server

from medgan.config import parse_config
from medgan.recipes import training
from medgan.training import tracking
from medgan.training.sync import sync_run
from medgan.training.tracking import Tracker

MARKER = "DOE_JANE"
DEATH = 3


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running_server(tmp_path_factory) as server:
        yield server


def database(server):
    with sqlite3.connect(server.folder / "server.db") as stored:
        return list(stored.iterdump())


@pytest.fixture
def short_waits(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


def test_a_server_killed_in_the_middle_is_brought_up_to_date(
    server, tiny_document, tiny_scans, tmp_path, monkeypatch, medgan_cli
):
    (tmp_path / MARKER).symlink_to(tiny_scans)
    tiny_document["data"]["root"] = str(tmp_path / MARKER)
    tiny_document["training"] |= {"steps": 6, "checkpoint_every": 2}
    tiny_document["tracking"] = {"uri": server.uri}
    monkeypatch.setattr(tracking, "_BATCH", 1)

    def die(step, _):
        if step == DEATH:
            server.kill()

    run = training.train(parse_config(tiny_document), tmp_path / "run", die)
    logged = logged_values(run.root)
    assert [step for step, _ in logged["learning_rate"]] == [1, 2, 3, 4, 5, 6]
    assert (run.last / "model.safetensors").exists()

    server.start()
    client, run_id = MlflowClient(server.uri), (run.root / "mlflow_run_id").read_text().strip()
    there = mirrored_values(client, run_id)
    assert [step for step, _ in there["learning_rate"]] == [1, 2, 3]
    assert client.get_run(run_id).info.status == "RUNNING"

    code, _, err = medgan_cli("report", run.root, "--sync")
    assert code == 0, err
    assert mirrored_values(client, run_id) == logged
    stored = client.get_run(run_id)
    assert stored.info.status == "FINISHED"
    assert stored.data.params["training.steps"] == "6"
    names = {info.path for info in client.list_artifacts(run_id)}
    assert {"environment.json", "report.html", "timing.jsonl", "previews"} <= names
    previews = {info.path for info in client.list_artifacts(run_id, "previews")}
    assert previews == {f"previews/{path.name}" for path in run.previews.iterdir()}

    before = database(server)
    again = sync_run(run.root)
    assert (again.values, again.files) == (0, 0)
    assert database(server) == before
    assert_tells_nobody(server, str(tmp_path), MARKER, ".nii", run.root.resolve().as_uri())


def assert_tells_nobody(server, *markers):
    stored = "\n".join(database(server)).encode()
    files = [path.read_bytes() for path in server.folder.rglob("*.*") if path.is_file()]
    for marker in markers:
        assert not any(marker.encode() in content for content in (stored, *files)), marker


def test_a_server_that_hangs_holds_a_training_up_once(server, tmp_path, monkeypatch, short_waits):
    monkeypatch.setattr(tracking, "_BATCH", 1)
    run = begin_run(tmp_path, uri=server.uri)
    tracker = Tracker(run.config(), run.root)
    server.signal(signal.SIGSTOP)
    try:
        started = time.monotonic()
        for step in range(1, 20):
            run.append(run.metrics, {"step": step, "loss": 1 / step})
            tracker.log(step, {"loss": 1 / step})
            tracker.flush()
        waited = time.monotonic() - started
    finally:
        server.signal(signal.SIGCONT)
    assert waited < 10
    tracker.finish()
    run_id = (run.root / "mlflow_run_id").read_text().strip()
    assert mirrored_values(MlflowClient(server.uri), run_id) == logged_values(run.root)
