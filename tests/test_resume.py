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

from medgan.io import write_volume
from medgan.phantoms.scan import scan_head

STEPS = 24
SPACING_MM = (6.0, 6.0, 6.0)


@pytest.fixture(scope="module")
def config_file(tmp_path_factory):
    """A tiny but complete training: real slices, phantoms, averaging, pools, validation."""
    folder = tmp_path_factory.mktemp("resume")
    for seed in (1, 2, 3):
        head = scan_head(seed, spacing_mm=SPACING_MM, supersample=1)
        write_volume(head.mr, folder / f"mr_{seed}.nii.gz")
        write_volume(head.ct, folder / f"ct_{seed}.nii.gz")
    document = {
        "name": "tiny",
        "data": {
            "root": str(folder),
            "source": ["mr_1.nii.gz"],
            "target": ["ct_2.nii.gz", "ct_3.nii.gz"],
            "phantoms": {"heads": 1, "slices": 3, "validation_heads": 1},
        },
        "preparation": {"spacing_mm": SPACING_MM, "matrix": [48, 48]},
        "network": {"width": 4, "blocks": 1, "contents": 2, "discriminator_width": 4},
        "losses": {"phantom": 10},
        "training": {
            "steps": STEPS, "warmup_steps": 5, "batch": 2, "pool": 3, "average_decay": 0.9,
            "validate_every": 6, "checkpoint_every": 4, "log_every": 1,
        },
        "tracking": {"enabled": False},
    }  # fmt: skip
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(document))
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
