"""A killed training continues as if nothing had happened, bit for bit."""

import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from medgan.config import parse_config
from medgan.recipes.training import resume, train

STEPS = 10

MEMBERS = {
    "published": {},
    "contrastive": {
        "method": "contrastive",
        "network": {"generator": "resnet"},
        "losses": {"contrastive": 1, "cycle": 0, "identity": 0},
    },
    "guided and augmented": {
        "network": {"guided": "beside"},
        "training": {"differentiable_augmentation": True},
    },
    "neighbours and position": {"network": {"neighbours": 2, "position": True}},
    "batch norm": {"network": {"generator": "mask", "norm": "batch"}},
}

# its children begin with all that a training imports, which takes longer than one of these
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(
    ["medgan.recipes.training", "torch._dynamo", "matplotlib.backends.backend_agg"]
)


@pytest.fixture(params=MEMBERS)
def config(request, tiny_document):
    for section, changes in MEMBERS[request.param].items():
        merged = tiny_document[section] | changes if isinstance(changes, dict) else changes
        tiny_document[section] = merged
    tiny_document["training"] |= {
        "steps": STEPS, "warmup_steps": 2, "validate_every": 5, "checkpoint_every": 3,
    }  # fmt: skip
    return parse_config(tiny_document)


def begin(job, *arguments):
    process = _processes.Process(target=job, args=arguments)
    process.start()
    return process


def finish(process):
    process.join(timeout=300)
    assert process.exitcode == 0


def lines(run: Path) -> int:
    log = run / "metrics.jsonl"
    return len(log.read_text().splitlines()) if log.exists() else 0


@pytest.mark.slow
def test_a_run_killed_at_random_steps_ends_like_an_uninterrupted_one(config, tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    finish(begin(train, config, whole))
    chance = random.Random(os.environ.get("PYTEST_XDIST_TESTRUNUID", "0") + repr(config.network))
    process = begin(train, config, broken)
    for kill_after in sorted(chance.sample(range(1, STEPS - 2), 2)):
        while lines(broken) < kill_after and process.is_alive():
            time.sleep(0.002)
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        assert not (broken / "checkpoints" / "last" / "model.safetensors").exists()
        process = begin(resume, broken)
    finish(process)

    for name in ("checkpoints/last/state", "checkpoints/last/model", "checkpoints/best/model"):
        left, right = (load_file(run / f"{name}.safetensors") for run in (whole, broken))
        assert left.keys() == right.keys()
        for key, tensor in left.items():
            assert tensor.tobytes() == right[key].tobytes(), key
    assert (whole / "metrics.jsonl").read_bytes() == (broken / "metrics.jsonl").read_bytes()
    assert not list(broken.rglob(".*")), "no half-written files are left"
