"""Whatever a user gives wrongly ends with one message, code 2 and nothing left behind."""

import os

import nibabel as nib
import numpy as np
import pytest
import yaml

from medgan.config import NetworkConfig
from medgan.models.model_file import Model, save_model
from medgan.networks.build import build_generators


@pytest.fixture
def refused(medgan_cli):
    """Run the program, which must refuse; its one message."""

    def run(*arguments):
        code, out, err = medgan_cli(*arguments)
        assert code == 2, err
        assert "Traceback" not in out + err
        return out + err

    return run


@pytest.fixture
def write_config(tiny_document, tmp_path):
    def write(**changes):
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump(tiny_document | changes))
        return path

    return write


def test_every_unknown_key_of_a_configuration_is_in_one_message(refused, write_config, tmp_path):
    path = write_config(losess={"cycle": 1}, schooling={})
    message = refused("train", path, "network.depth=3", "--out", tmp_path / "run")
    assert message.startswith("medgan: ")
    assert message.count("\n") == 1
    for key in ("losess", "schooling", "network.depth"):
        assert f"{key}: unknown key" in message
    assert not (tmp_path / "run").exists()


def test_a_missing_configuration_scan_or_run(refused, write_config, tmp_path):
    assert "No such file" in refused("train", tmp_path / "absent.yaml")
    assert "nothing to train" in refused("train")
    assert "not a run folder" in refused("train", "--resume", tmp_path)
    path = write_config()
    message = refused("train", path, "data.source=[absent.nii]", "--out", tmp_path / "run")
    assert "absent.nii: no such file" in message
    assert not (tmp_path / "run").exists()


def test_relative_scans_without_a_root(refused, write_config, monkeypatch, tmp_path):
    monkeypatch.delenv("MEDGAN_DATA", raising=False)
    message = refused("train", write_config(), "data.root=null", "--out", tmp_path / "run")
    assert "MEDGAN_DATA" in message


def test_a_folder_that_holds_a_run_already(refused, write_config, tiny_run):
    before = (tiny_run / "config.yaml").read_bytes()
    assert "--resume" in refused("train", write_config(), "--out", tiny_run)
    assert (tiny_run / "config.yaml").read_bytes() == before


def test_a_missing_or_four_dimensional_volume(refused, tiny_run, tmp_path):
    target = tmp_path / "ct.nii.gz"
    assert "no such file" in refused("translate", tiny_run, tmp_path / "absent.nii", target)
    four = tmp_path / "four.nii.gz"
    nib.save(nib.Nifti1Image(np.ones((8, 8, 8, 3), np.float32), np.eye(4)), four)
    assert "four.nii.gz" in refused("translate", tiny_run, four, target)
    assert not target.exists()


def test_a_scan_without_a_body(refused, tiny_run, tmp_path):
    empty = tmp_path / "empty.nii.gz"
    nib.save(nib.Nifti1Image(np.zeros((20, 20, 20), np.float32), np.eye(4)), empty)
    assert "no body" in refused("translate", tiny_run, empty, tmp_path / "ct.nii.gz")


def test_a_model_that_is_missing_damaged_or_of_another_architecture(
    refused, tiny_run, tiny_scans, tmp_path
):
    def translate(model):
        return refused("translate", model, tiny_scans / "mr_4.nii.gz", tmp_path / "ct.nii.gz")

    assert "no such file" in translate(tmp_path / "absent.safetensors")
    assert "no model here" in translate(tmp_path)
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes((tiny_run / "checkpoints/last/model.safetensors").read_bytes()[:-100])
    assert "damaged file" in translate(damaged)
    assert "Name a model's" in translate(tiny_scans / "mr_4.nii.gz")
    other = tmp_path / "other.safetensors"
    generators = build_generators(NetworkConfig(width=8, blocks=1, contents=2))
    save_model(other, *generators, Model.load(tiny_run).card)
    assert "another architecture" in translate(other)


def test_a_checkpoint_of_another_architecture_is_not_resumed(refused, tiny_run, tmp_path):
    run = tmp_path / "run"
    (run / "checkpoints" / "last").mkdir(parents=True)
    state = tiny_run / "checkpoints" / "last" / "state.safetensors"
    (run / "checkpoints" / "last" / "state.safetensors").write_bytes(state.read_bytes())
    config = yaml.safe_load((tiny_run / "config.yaml").read_text())
    config["network"]["width"] = 8
    config["tracking"]["enabled"] = False
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    message = refused("train", "--resume", run)
    assert "another architecture" in message
    assert "encoder" in message or "attention" in message


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")  # noqa: PTH110
def test_a_disk_that_is_full_during_training(refused, write_config, tmp_path, monkeypatch):
    from medgan.training.run_folder import RunFolder

    create = RunFolder.create

    def create_on_full_disk(self, config):
        create(self, config)
        self.metrics.symlink_to("/dev/full")

    monkeypatch.setattr(RunFolder, "create", create_on_full_disk)
    message = refused("train", write_config(), "--out", tmp_path / "run")
    assert "No space left" in message
    files = [p.name for p in (tmp_path / "run").rglob("*") if p.is_file()]
    assert sorted(files) == ["config.yaml", "environment.json"]


@pytest.mark.parametrize("name", ["ct.nii.gz", "ct.mha"])
def test_a_result_that_does_not_fit_on_the_disk(refused, tiny_run, tiny_scans, tmp_path, name):
    import resource
    import signal

    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, old[1]))
    try:
        message = refused("translate", tiny_run, tiny_scans / "mr_4.nii.gz", tmp_path / name)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, ignored)
    assert "cannot be written" in message
    assert list(tmp_path.iterdir()) == []


def test_options_that_do_not_exist(refused, tiny_run):
    assert "nowhere" in refused("translate", tiny_run, "a.nii", "b.nii", "--direction", "nowhere")
    assert "--epochs" in refused("train", "--epochs", "3")
