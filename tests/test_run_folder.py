"""A run folder: begun once, cut back to its checkpoint, never half-written on a full disk."""

import errno
import json
import os
from importlib.metadata import version
from types import SimpleNamespace

import pytest
import torch

from medgan.config import parse_config
from medgan.errors import OutputError, TrainingError
from medgan.io.files import writing
from medgan.models.tensor_file import load_tensors, save_tensors
from medgan.training.run_folder import RunFolder

needs_dev_full = pytest.mark.skipif(
    not os.path.exists("/dev/full"),  # noqa: PTH110
    reason="the system has no /dev/full to stand for a full disk",
)


@pytest.fixture
def run(tmp_path, tiny_document):
    run = RunFolder(tmp_path / "deep" / "run")
    run.create(parse_config(tiny_document))
    return run


def test_a_run_keeps_its_effective_configuration(run, tiny_document):
    assert run.config() == parse_config(tiny_document)
    environment = json.loads((run.root / "environment.json").read_text())
    assert environment["packages"]["torch"] == version("torch")


def test_the_environment_names_neither_machine_nor_user(run):
    import getpass
    import platform

    text = (run.root / "environment.json").read_text()
    values = json.loads(text).values()
    assert platform.node() not in values
    assert getpass.getuser() not in values


def test_a_folder_holds_one_run(run, tiny_document):
    with pytest.raises(OutputError, match=r"already holds a run.*--resume"):
        run.create(parse_config(tiny_document))


def test_a_folder_without_a_configuration_is_not_a_run(tmp_path):
    with pytest.raises(TrainingError, match="not a run folder"):
        RunFolder(tmp_path).config()


def test_a_folder_that_cannot_be_made_is_an_output_error(tmp_path, tiny_document):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot make the folder"):
        RunFolder(tmp_path / "file" / "run").create(parse_config(tiny_document))


def test_cutting_back_forgets_what_came_after_the_checkpoint(run):
    for step in range(1, 8):
        run.append(run.metrics, {"step": step, "loss": step / 3})
        run.append(run.timing, {"step": step, "seconds_per_step": 0.1})
    whole = run.metrics.read_text().splitlines()
    run.cut_back(4)
    assert run.metrics.read_text().splitlines() == whole[:4]
    assert len(run.timing.read_text().splitlines()) == 4
    run.append(run.metrics, {"step": 5, "loss": 5 / 3})
    assert run.metrics.read_text().splitlines() == whole[:5]


def test_cutting_back_drops_a_line_that_was_half_written(run):
    run.append(run.metrics, {"step": 1})
    with run.metrics.open("a") as log:
        log.write('{"step": 2, "lo')
    run.cut_back(4)
    assert run.metrics.read_text() == '{"step": 1}\n'


def test_cutting_back_removes_what_was_half_written_when_it_was_killed(run):
    with writing(run.state) as temporary:
        temporary.write_text("whole")
        stray = run.last / temporary.name
        half = stray.read_bytes()[:2]
    stray.write_bytes(half)
    (kept := run.root / ".hidden").write_text("the user's own")
    run.cut_back(0)
    assert list(run.root.rglob(".*")) == [kept]
    assert run.state.read_text() == "whole"


@needs_dev_full
def test_a_log_on_a_full_disk_is_an_output_error(run):
    run.metrics.symlink_to("/dev/full")
    with pytest.raises(OutputError, match="No space left"):
        run.append(run.metrics, {"step": 1})


@needs_dev_full
def test_a_checkpoint_on_a_full_disk_leaves_the_old_one_whole(run, monkeypatch):
    save_tensors(run.state, {"x": torch.ones(3)}, {"step": 1})
    name = "0123456789abcdef"
    monkeypatch.setattr("medgan.io.files.uuid4", lambda: SimpleNamespace(hex=name))
    (run.last / f".{name[:12]}-{run.state.name}").symlink_to("/dev/full")
    with pytest.raises(OutputError) as caught:
        save_tensors(run.state, {"x": torch.zeros(3)}, {"step": 2})
    assert caught.value.__cause__.errno == errno.ENOSPC
    assert "Free some space" in str(caught.value)
    assert load_tensors(run.state).document == {"step": 1}
    assert [path.name for path in run.last.iterdir()] == [run.state.name]
