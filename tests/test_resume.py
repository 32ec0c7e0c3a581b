"""A killed training continues as if nothing had happened, bit for bit."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from safetensors.numpy import load_file

STEPS = 24


@pytest.fixture
def config_file(tiny_document, tmp_path):
    tiny_document["training"] |= {
        "steps": STEPS, "warmup_steps": 5, "validate_every": 6, "checkpoint_every": 4,
    }  # fmt: skip
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(tiny_document))
    return path


def medgan_train(*arguments):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "medgan.cli.main", "train", *map(str, arguments)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def finish(process):
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors.decode()


def lines(run: Path) -> int:
    log = run / "metrics.jsonl"
    return len(log.read_text().splitlines()) if log.exists() else 0


@pytest.mark.slow
def test_a_run_killed_at_random_steps_ends_like_an_uninterrupted_one(config_file, tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    uninterrupted = medgan_train(config_file, "--out", whole)
    chance = random.Random(os.environ.get("PYTEST_XDIST_TESTRUNUID", "0"))
    process = medgan_train(config_file, "--out", broken)
    for kill_after in sorted(chance.sample(range(1, STEPS - 2), 2)):
        while lines(broken) < kill_after and process.poll() is None:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert not (broken / "checkpoints" / "last" / "model.safetensors").exists()
        process = medgan_train("--resume", broken)
    finish(process)
    finish(uninterrupted)

    for name in ("checkpoints/last/state", "checkpoints/last/model", "checkpoints/best/model"):
        left, right = (load_file(run / f"{name}.safetensors") for run in (whole, broken))
        assert left.keys() == right.keys()
        for key, tensor in left.items():
            assert tensor.tobytes() == right[key].tobytes(), key
    assert (whole / "metrics.jsonl").read_bytes() == (broken / "metrics.jsonl").read_bytes()
    assert not list(broken.rglob(".*")), "no half-written files are left"
