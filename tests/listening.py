"""What tests of the node share: series to send, senders, and a node that runs."""

import json
import logging
import os
import shutil
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pydicom
import torch
import yaml

from medgan.config import NetworkConfig, PreparationConfig, parse_as
from medgan.io.dicom.write import Identity, write_series
from medgan.models.model_file import ModelCard, save_model
from medgan.networks.build import build_generators
from medgan.node.config import ListenConfig
from medgan.phantoms.scan import HeadScan, scan_head

CREATED = datetime(2026, 11, 22, 15, 0, 1, tzinfo=UTC)
STORESCU = shutil.which("storescu")
SECONDS = 120
"""Patience: none of the tests needs a tenth of it on an idle machine."""
CODE = "import sys; from medgan.cli.main import main; main(sys.argv[1:])"


def phantom() -> HeadScan:
    return scan_head(4, spacing_mm=(6.0, 6.0, 12.0), supersample=1)


def write_model(folder: Path) -> Path:
    """An untrained model: what it makes is no CT, but it is made in every other way like one."""
    torch.manual_seed(0)
    network = NetworkConfig(width=4, blocks=1, contents=2)
    preparation = PreparationConfig(spacing_mm=(6.0, 6.0, 6.0), matrix=(48, 48))
    card = ModelCard(
        source="MR",
        target="CT",
        preparation=preparation,
        network=network,
        provenance={"name": "untrained"},
    )
    path = folder / "model.safetensors"
    save_model(path, *build_generators(network), card)
    return path


def write_mr(head: HeadScan, folder: Path, seed: str = "one", **identity: Any) -> Path:
    """An MR series of a patient called ``Doe^<seed>``."""
    who = Identity(patient_name=f"Doe^{seed}", **identity)
    write_series(replace(head.mr, synthetic=False), folder, who, created=CREATED, seed=seed)
    return folder


def settings(model: Path, folder: Path, http_port: int, **changes: Any) -> dict[str, Any]:
    """A node's configuration; quick to call a series complete."""
    document: dict[str, Any] = {
        "model": str(model),
        "queue": {"folder": str(folder / "queue"), "quiet_seconds": 1.0, "min_free_gb": 0},
        "status": {"port": http_port},
    }
    return document | changes


def store(folder: Path, port: int, title: str = "SENDER", called: str = "MEDGAN") -> int:
    """Send a folder by dcmtk's storescu; its exit code."""
    assert STORESCU
    command = [STORESCU, "-R", "-aet", title, "-aec", called, "127.0.0.1", str(port), "+sd"]
    done = subprocess.run([*command, str(folder)], capture_output=True, timeout=SECONDS)
    return done.returncode


def until(condition: Callable[[], Any], what: str, seconds: float = SECONDS) -> Any:
    """Wait for something to be true, and return it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError(f"not within {seconds} s: {what}")


def page(port: int) -> dict[str, Any]:
    """The status page."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
        document: dict[str, Any] = json.load(answer)
    return document


def is_up(port: int) -> bool:
    try:
        return bool(page(port))
    except OSError:
        return False


def states(queue: Path) -> list[str]:
    """States of all series by their files alone."""
    found = []
    for place in (queue / "series").glob("*"):
        record = place / "item.json"
        found.append(json.loads(record.read_text())["state"] if record.exists() else "receiving")
    return found


PEERS = [{"ae_title": "SENDER", "address": "127.0.0.1"}]


@contextmanager
def running_node(document: dict[str, Any]) -> Iterator[None]:
    """A node in threads of this process."""
    from medgan.node.node import CHATTY, run

    reading = pydicom.config.settings.reading_validation_mode
    writing = pydicom.config.settings.writing_validation_mode
    levels = {name: logging.getLogger(name).level for name in CHATTY}
    failures: list[BaseException] = []
    stop = threading.Event()

    def work() -> None:
        try:
            run(parse_as(ListenConfig, document), stop)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        port = document["status"]["port"]
        until(lambda: failures or is_up(port), "the node starts")
        if failures:
            raise failures[0]
        yield
    finally:
        stop.set()
        thread.join(SECONDS)
        pydicom.config.settings.reading_validation_mode = reading
        pydicom.config.settings.writing_validation_mode = writing
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
    assert not thread.is_alive()
    assert not failures, failures


class NodeProcess:
    """A node in a process of its own, as ``medgan listen`` runs it."""

    def __init__(self, document: dict[str, Any], folder: Path) -> None:
        self.config = folder / "listen.yaml"
        self.config.write_text(yaml.safe_dump(document))
        self.log = folder / "node.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", CODE, "--verbose", "listen", str(self.config)],
                stdout=log,
                stderr=log,
                env={**os.environ},
            )
        port = document["status"]["port"]
        until(lambda: self.process.poll() is not None or is_up(port), "the node starts")
        assert self.process.poll() is None, self.log.read_text()

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(SECONDS)
