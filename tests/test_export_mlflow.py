"""``medgan export --to mlflow``: registered on a real server, taken back, and served."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import yaml
from exports import saved_model
from mlflow import MlflowClient
from mlflow_stores import empty_store, running_server
from ports import free_port

from medgan.errors import ModelError
from medgan.inference.translator import Translator
from medgan.io import read_volume, write_volume
from medgan.io.files import content_sha256
from medgan.models.export import to_mlflow
from medgan.models.model_file import Model, find_model
from medgan.phantoms.scan import scan_head
from medgan.training.registration import register_model
from medgan.training.tracking_store import open_store

ROOT = Path(__file__).parents[1]
START_SECONDS = 240


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running_server(tmp_path_factory) as server:
        yield server


@pytest.fixture
def model(tmp_path):
    return saved_model(tmp_path / "model.safetensors")


@pytest.fixture(scope="module")
def head():
    return scan_head(4, spacing_mm=(6.0, 6.0, 8.0), supersample=1)


class Scorer:
    """``mlflow models serve`` on loopback."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.log = folder.with_name("serve.log")
        words = ["models", "serve", "-m", str(folder), "--env-manager", "local"]
        words += ["--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mlflow", *words],
                cwd=folder.parent,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={
                    **os.environ,
                    "MLFLOW_DISABLE_TELEMETRY": "true",
                    "PYTHONPATH": str(ROOT),
                    # MLflow starts a program of its environment
                    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                },
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.3)

    def ask(self, document):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/invocations",
            json.dumps(document).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=300) as answer:
            return json.load(answer)["predictions"]

    def kill(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/ping", timeout=1) as answer:
                return answer.status == 200
        except OSError:
            return False


def test_a_served_model_translates_what_it_is_sent(model, head, tmp_path):
    to_mlflow(model, tmp_path / "served")
    scorer = Scorer(tmp_path / "served")
    try:
        inputs = {"image": head.mr.array.tolist(), "affine": head.mr.affine.tolist()}
        made = scorer.ask({"inputs": inputs})
        expected = Translator(model)(head.mr).image
        np.testing.assert_allclose(np.float32(made["image"]), expected.array, atol=0.01)
        assert expected.array.std() > 10
        assert made["modality"] == "CT"
        assert made["notice"].startswith("Synthetic CT. Research use only.")
        inputs["image"] = head.ct.array.tolist()
        back = scorer.ask({"inputs": inputs, "params": {"direction": "backward"}})
        expected = Translator(model, "backward")(head.ct).image
        np.testing.assert_allclose(np.float32(back["image"]), expected.array, atol=0.01)
        assert back["modality"] == "MR"
        empty = {"image": np.zeros((8, 8, 8)).tolist(), "affine": np.eye(4).tolist()}
        with pytest.raises(urllib.error.HTTPError) as refused:
            scorer.ask({"inputs": empty})
        assert refused.value.code in (400, 500)
        assert b"body" in refused.value.read()
        assert "Warning" not in scorer.log.read_text()
    finally:
        scorer.kill()


def test_the_folder_holds_the_model_file_a_few_lines_of_code_and_no_path(model, tmp_path):
    out = tmp_path / "exported"
    to_mlflow(model, out)
    files = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert files == {
        "MLmodel", "artifacts/model.safetensors", "conda.yaml", "mlflow_code.py", "python_env.yaml",
        "requirements.txt",
    }  # fmt: skip
    assert content_sha256(out / "artifacts/model.safetensors") == model.sha256
    code = (out / "mlflow_code.py").read_text()
    assert code == (ROOT / "medgan/inference/mlflow_code.py").read_text()
    for path in out.glob("*"):
        if path.is_file():
            for place in (str(tmp_path), str(ROOT), str(Path.home()), "/tmp"):
                assert place not in path.read_text()
    document = yaml.safe_load((out / "MLmodel").read_text())
    assert document["metadata"]["intended_use"].startswith("Research use only")


def test_a_registered_champion_translates(
    server, tiny_run, head, tmp_path, monkeypatch, medgan_cli
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    first = ("export", tiny_run, tmp_path / "one", "--to", "mlflow", "--register", "head")
    code, shown, err = medgan_cli(*first, "--json", tmp_path / "one.json")
    assert code == 0, err
    assert "registered as version 1: models:/head@champion" in shown
    registered = json.loads((tmp_path / "one.json").read_text())["registered"]
    assert registered["uri"] == "models:/head@champion"
    client = MlflowClient(server.uri)
    assert client.get_run(registered["run_id"]).info.status == "FINISHED"

    write_volume(head.mr, tmp_path / "t1.nii.gz")
    code, _, err = medgan_cli(
        "translate", registered["uri"], tmp_path / "t1.nii.gz", tmp_path / "ct.nii.gz"
    )
    assert code == 0, err
    made = read_volume(tmp_path / "ct.nii.gz", modality="CT")
    source = read_volume(tmp_path / "t1.nii.gz", modality="MR")
    expected = Translator.load(tiny_run)(source).image
    np.testing.assert_array_equal(made.array, expected.array)

    # another model becomes the champion; versions stay
    saved_model(tmp_path / "other.safetensors", generator="resnet")
    second = ("export", tmp_path / "other.safetensors", tmp_path / "two", "--to", "mlflow")
    code, _, err = medgan_cli(*second, "--register", "head", "--track", server.uri)
    assert code == 0, err
    assert Model.load("models:/head@champion").card.network.generator == "resnet"
    assert Model.load("models:/head/1").sha256 == Model.load(tiny_run).sha256


def test_nothing_of_a_registered_model_is_run(server, model, tmp_path, monkeypatch):
    """Its code may have been replaced on the server; medgan takes the model file alone."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    folder, mark = tmp_path / "evil", tmp_path / "ran"
    to_mlflow(model, folder)
    (folder / "mlflow_code.py").write_text(f"open({str(mark)!r}, 'w')\n")
    register_model(open_store(server.uri), folder, "evil")
    assert Model.load("models:/evil@champion").sha256 == model.sha256
    assert not mark.exists()


def test_another_file_than_was_registered_is_refused(
    model, tmp_path, tmp_path_factory, monkeypatch
):
    uri = f"sqlite:///{empty_store(tmp_path_factory, tmp_path / 'own.db')}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    to_mlflow(model, tmp_path / "exported")
    register_model(open_store(uri), tmp_path / "exported", "own")
    assert find_model("models:/own@champion").name == f"{model.sha256}.safetensors"
    (stored,) = (tmp_path / "mlflow_artifacts").rglob("model.safetensors")
    saved_model(stored, generator="resnet")
    with pytest.raises(ModelError, match="another file than was registered"):
        find_model("models:/own@champion")
    stored.unlink()
    with pytest.raises(ModelError, match="no file of medgan"):
        find_model("models:/own@champion")


def test_names_that_lead_nowhere_are_refused(server, tmp_path, monkeypatch, medgan_cli):
    def refusal(name):
        code, _, err = medgan_cli("translate", name, tmp_path, tmp_path / "out")
        assert code == 2
        assert "Traceback" not in err
        return err

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert "Set MLFLOW_TRACKING_URI" in refusal("models:/head@champion")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    assert "the registry has no such model" in refusal("models:/absent@champion")
    assert "the registry has no such model" in refusal("models:/absent/3")
    assert "NAME@ALIAS" in refusal("models:/head")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:secret@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    err = refusal("models:/head@champion")
    assert "cannot be used" in err and "secret" not in err


def test_an_unreachable_registry_is_found_before_anything_is_written(
    tiny_run, tmp_path, monkeypatch, medgan_cli
):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    code, _, err = medgan_cli(
        "export", tiny_run, tmp_path / "out", "--to", "mlflow", "--register", "x",
        "--track", "http://127.0.0.1:9",
    )  # fmt: skip
    assert code == 2 and "cannot be used" in err
    assert list(tmp_path.iterdir()) == []
