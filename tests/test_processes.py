"""Several processes train as one does whose batch is as large as theirs together."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
import yaml
from launched import run_together
from ports import free_port
from safetensors.torch import load_file

from medgan.config import TrainConfig, parse_config
from medgan.errors import ConfigError, TrainingError
from medgan.methods import build_method
from medgan.models.tensor_file import TensorFile
from medgan.networks import Context
from medgan.recipes.runs import train_or_resume
from medgan.recipes.training import assemble, train
from medgan.training.processes import Processes

SECONDS = 300


def state(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "checkpoints" / "last" / "state.safetensors")


def log(run: Path) -> list[dict[str, float]]:
    file = run / "metrics.jsonl"
    return [json.loads(line) for line in file.open()] if file.exists() else []


def shown(config: TrainConfig, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """What every network makes of the same images."""
    method = build_method(config)
    method.load_state_dict(TensorFile(tensors, {}).under("method"))
    images = torch.rand(2, 1, 48, 48, generator=torch.Generator().manual_seed(1)) * 2 - 1
    with torch.no_grad():
        made = {f"G_{n}": g(images, Context()).image for n, g in enumerate(method.generators)}
        for n, judges in enumerate(method.discriminators):
            made[f"D_{n}"] = judges.judges["plain"](images)
    return made


@pytest.mark.slow
def test_two_processes_train_what_one_does_with_twice_the_batch(tiny_document, tmp_path):
    tiny_document["training"] |= {"pool": 0, "batch": 1}
    tiny_document["losses"] |= {"background": 1, "tissue": 1, "structure_weight": 1}
    config, two, one = parse_config(tiny_document), tmp_path / "two", tmp_path / "one"
    assert run_together(2, train, config, two) == [0, 0]
    tiny_document["training"]["batch"] = 2
    train(parse_config(tiny_document), one)

    assert len(log(two)) == len(log(one)) == 6
    for left, right in zip(log(two), log(one), strict=True):
        assert left.keys() == right.keys()
        # ratios of means over the batch are in the log as means of ratios
        for name in left.keys() - {"moved_A", "moved_B", "background_attention"}:
            assert left[name] == pytest.approx(right[name], rel=1e-5), name
    left, right = state(two), state(one)
    assert left.keys() == right.keys()
    for name in (n for n in left if n.startswith(("method", "average"))):
        torch.testing.assert_close(left[name], right[name], rtol=0, atol=1e-5)
    results = shown(config, left), shown(config, right)
    torch.testing.assert_close(*results, rtol=0, atol=1e-5)
    assert not torch.equal(results[0]["G_0"], shown(config, start(config))["G_0"])


def start(config: TrainConfig) -> dict[str, torch.Tensor]:
    torch.manual_seed(config.training.seed)
    return {f"method.{name}": t for name, t in build_method(config).state_dict().items()}


@pytest.mark.slow
def test_a_killed_process_ends_the_job_and_the_run_goes_on_like_an_uninterrupted_one(
    tiny_document, tmp_path
):
    tiny_document["training"] |= {"steps": 8, "checkpoint_every": 3, "validate_every": 8}
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    config = tmp_path / "tiny.yaml"
    config.write_text(yaml.safe_dump(tiny_document))
    assert run_together(2, train, parse_config(tiny_document), whole) == [0, 0]

    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    launcher = launch(*torchrun, "-m", "medgan", "train", config, "--out", broken)
    while len(log_lines(broken)) < 4 and launcher.poll() is None:
        time.sleep(0.002)
    victim = next(p for p in psutil.Process(launcher.pid).children() if is_second(p))
    victim.kill()
    _, error = launcher.communicate(timeout=SECONDS)
    assert launcher.returncode not in (0, None), error
    assert "SIGKILL" in error
    assert not (broken / "checkpoints" / "last" / "model.safetensors").exists()

    # its word for a process on each device; without GPUs they meet on the processors
    accelerate = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    accelerate += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]
    accelerate += ["--main_process_port", str(free_port())]
    launcher = launch(*accelerate, "-m", "medgan", "train", "--resume", broken)
    _, error = launcher.communicate()
    assert launcher.returncode == 0, error
    left, right = state(whole), state(broken)
    assert left.keys() == right.keys()
    assert left["pool_A.images"].shape[0] == 2 * tiny_document["training"]["pool"]
    for name, tensor in left.items():
        assert torch.equal(tensor, right[name]), name
    assert (whole / "metrics.jsonl").read_bytes() == (broken / "metrics.jsonl").read_bytes()
    assert json.loads((broken / "environment.json").read_text())["processes"] == 2
    # what only one of them says
    assert error.count("best so far") == 1


def launch(*arguments: object) -> "subprocess.Popen[str]":
    command = [sys.executable, *map(str, arguments)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)


def log_lines(run: Path) -> list[str]:
    file = run / "metrics.jsonl"
    return file.read_text().splitlines() if file.exists() else []


def is_second(process: psutil.Process) -> bool:
    return process.environ().get("RANK") == "1"


def facts(folder: Path, document: dict) -> None:
    """Everything that processes do together, once; what was found goes into a file each."""
    processes = Processes()
    rank = processes.share.rank
    with processes.in_turn():
        for what in ("begins", "ends"):
            with (folder / "order").open("a") as order:
                order.write(f"{rank} {what}\n")
            time.sleep(0.1)
    layer = torch.nn.Linear(2, 1)
    torch.nn.init.constant_(layer.weight, 5.0 + rank)
    processes.copy_first(layer)
    layer.weight.grad = torch.tensor([[1.0 + rank, float("nan") if rank else 0.0]])
    processes.average(layer.parameters())
    found = {
        "weight": layer.weight.tolist(),
        "gradient": layer.weight.grad.tolist(),
        "bias": layer.bias.grad,
        "mean": {k: v.item() for k, v in processes.mean({"x": torch.tensor(2.0 * rank)}).items()},
        "gathered": processes.gathered(torch.full((2, 1), float(rank))).tolist(),
        "errors": [],
    }
    processes.require_same({"step": 3, "scans": "a"})
    document["network"] |= {"generator": "mask", "norm": "batch"}
    tiny = parse_config(document)
    for refused in (
        lambda: processes.require_same({"step": 3, "scans": "ab"[rank % 2]}),
        lambda: assemble(tiny),
        lambda: train_or_resume(tiny, folder / "run"),
    ):
        try:
            refused()
        except (ConfigError, TrainingError) as error:
            found["errors"].append(str(error))
    (folder / f"{rank}.json").write_text(json.dumps(found))
    processes.leave()


def test_processes_agree(tiny_document, tmp_path):
    assert run_together(3, facts, tmp_path, tiny_document) == [0, 0, 0]
    order = (tmp_path / "order").read_text().splitlines()
    # 0 and 1 are the first on a node each, 2 is the second there
    assert order == [f"{rank} {what}" for rank in range(3) for what in ("begins", "ends")]
    found = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(3)]
    for one in found:
        assert one["weight"] == [[5.0, 5.0]]
        assert one["gradient"][0][0] == 2.0
        # one process that is not finite makes all refuse the update
        assert one["gradient"][0][1] != one["gradient"][0][1]
        assert one["bias"] is None
        assert one["mean"] == {"x": 2.0}
        differing, norm, recipe = one["errors"]
        assert "other scans" in differing and "step" not in differing.split("Give")[0]
        assert "network.norm" in norm and "3 processes" in norm
        assert "recipe runs in one process" in recipe
    assert found[0]["gathered"] == [[0.0], [0.0], [1.0], [1.0], [2.0], [2.0]]


def desert(folder: Path) -> None:
    processes = Processes()
    if processes.share.rank == 1:
        os._exit(7)
    try:
        processes.wait()
    except TrainingError as error:
        (folder / "error").write_text(str(error))
        os._exit(2)


def test_whoever_waits_for_a_dead_process_ends_and_says_so(tmp_path):
    begin = time.monotonic()
    assert run_together(2, desert, tmp_path) == [2, 7]
    assert time.monotonic() - begin < SECONDS
    assert "another process of this training has ended" in (tmp_path / "error").read_text()


def test_a_run_of_two_processes_is_not_resumed_by_one(make_checkpoint):
    trainer = make_checkpoint(2)
    with pytest.raises(TrainingError, match=r"another number of processes.*measured 1, allowed 2"):
        trainer.resume()


@pytest.fixture
def make_checkpoint(tiny_document, tmp_path, monkeypatch):
    from medgan.data.batches import Share
    from medgan.training.run_folder import RunFolder
    from medgan.training.tracking import Tracker
    from medgan.training.trainer import Trainer

    def make(processes):
        config = parse_config(tiny_document)
        run = RunFolder(tmp_path)
        run.last.mkdir(parents=True)
        trainer = Trainer(config, run, None, None, Tracker(config, tmp_path), {})
        whole, trainer.processes.share = trainer.processes.share, Share(0, processes)
        trainer.save()
        trainer.processes.share = whole
        return trainer

    return make


def test_verbs_other_than_train_refuse_to_run_in_several_processes(medgan_cli, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    code, _, error = medgan_cli("info")
    assert code == 2
    assert "only `medgan train` in several" in error
