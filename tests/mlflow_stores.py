"""What the tests of tracking share: a run folder, its store, and a real server."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlflow import MlflowClient
from ports import free_port

from medgan.config import parse_config
from medgan.training.run_folder import RunFolder

START_SECONDS = 90


def empty_store(tmp_path_factory, path: Path) -> Path:
    """A new database; migrated once a session, which takes seconds, and copied from then on."""
    template = tmp_path_factory.getbasetemp() / "empty_mlflow.db"
    if not template.exists():
        MlflowClient(f"sqlite:///{template}").search_experiments()
    shutil.copy(template, path)
    return path


@contextmanager
def running_server(tmp_path_factory) -> Iterator["Server"]:
    """A server with an empty store; it is killed in the end."""
    folder = tmp_path_factory.mktemp("server")
    empty_store(tmp_path_factory, folder / "server.db")
    server = Server(folder)
    server.start()
    yield server
    server.kill()


def begin_run(folder: Path, *, name="mirrored", **tracking) -> RunFolder:
    """A run folder as it is before the first step."""
    run = RunFolder(folder)
    run.create(parse_config({"name": name, "tracking": tracking}))
    return run


def downloaded(client: MlflowClient, run_id: str, name: str, folder: Path) -> bytes:
    """What an artifact holds."""
    return Path(client.download_artifacts(run_id, name, str(folder))).read_bytes()


def logged_values(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What ``metrics.jsonl`` says: (step, value) by metric."""
    logged = defaultdict(list)
    for line in (folder / "metrics.jsonl").read_text().splitlines():
        record = json.loads(line)
        step = record.pop("step")
        for name, value in record.items():
            if value is not None:
                logged[name].append((step, value))
    return dict(logged)


def mirrored_values(client: MlflowClient, run_id: str) -> dict[str, list[tuple[int, float]]]:
    """What a store holds, in the same form."""
    names = client.get_run(run_id).data.metrics
    return {
        name: [(point.step, point.value) for point in client.get_metric_history(run_id, name)]
        for name in names
    }


class Server:
    """``mlflow server`` on loopback, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        options = {
            "--backend-store-uri": "sqlite:///server.db",
            "--artifacts-destination": "artifacts",
            "--host": "127.0.0.1",
            "--port": str(self.port),
            "--workers": "1",
        }
        words = [word for option in options.items() for word in option]
        with (self.folder / "server.log").open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mlflow", "server", *words],
                cwd=self.folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={
                    **os.environ,
                    "MLFLOW_DISABLE_TELEMETRY": "true",
                    # processes for jobs that tracking has no use for
                    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
                },
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            assert self.process.poll() is None, (self.folder / "server.log").read_text()
            assert time.monotonic() < deadline, "the server does not start"
            time.sleep(0.2)

    def signal(self, number: signal.Signals) -> None:
        """To the server and its workers."""
        os.killpg(self.process.pid, number)

    def kill(self) -> None:
        if self.process.poll() is None:
            self.signal(signal.SIGKILL)
            self.process.wait()

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=1) as answer:
                return answer.status == 200
        except OSError:
            return False
