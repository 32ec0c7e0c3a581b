"""Everything that ``medgan doctor`` can find, provoked."""

from importlib.metadata import PackageNotFoundError

import pytest
from mlflow_stores import empty_store
from packaging.requirements import Requirement
from ports import free_port

from medgan.cli import doctor, installed, surroundings

REQUIRES = [
    "numpy>=2.0",
    "onnxscript>=0.5; extra == 'onnx'",
    "no-such-thing>=1; extra == 'onnx'",
    "pydicom>=900; extra == 'later'",
    "numpy>=1; extra == 'there'",
    "tool; extra == 'dev'",
]


@pytest.fixture
def medgan_requires(monkeypatch):
    class Metadata:
        def get_all(self, name, default):
            return ["onnx", "later", "there", "dev"] if name == "Provides-Extra" else default

    monkeypatch.setattr(installed, "requires", lambda _: REQUIRES)
    monkeypatch.setattr(installed, "metadata", lambda _: Metadata())


def test_a_missing_extra_is_a_note_with_its_command(medgan_requires):
    assert list(installed.requirements()) == ["numpy"]
    found = {check.name: check for check in installed.check_extras()}
    assert list(found) == ["extra later", "extra onnx", "extra there"]
    assert found["extra onnx"].status == "note"
    assert "no-such-thing" in found["extra onnx"].detail
    assert "medgan[onnx]" in found["extra onnx"].remedy
    assert found["extra later"].detail == "not installed: pydicom"
    assert (found["extra there"].status, found["extra there"].remedy) == ("ok", "")


def test_a_folder_that_is_not_installed_requires_nothing(monkeypatch):
    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(installed, "requires", missing)
    monkeypatch.setattr(installed, "metadata", missing)
    assert installed.requirements() == {}
    assert list(installed.check_extras()) == []


def test_a_library_that_is_too_old_fails(monkeypatch):
    monkeypatch.setattr(doctor, "requirements", lambda: {"numpy": Requirement("numpy>=900")})
    check = doctor.check_dependency("numpy")
    assert (check.status, "needed >=900" in check.detail) == ("fail", True)
    assert check.remedy == "pip install numpy"
    monkeypatch.setattr(doctor, "requirements", lambda: {"numpy": Requirement("numpy>=1.0")})
    assert doctor.check_dependency("numpy").status == "ok"


def test_missing_programs_are_a_note_with_their_packages(monkeypatch):
    monkeypatch.setattr(surroundings.shutil, "which", lambda name: name != "dcmdump" or None)
    check = surroundings.check_programs()
    assert (check.status, check.remedy.split(",")[0]) == ("note", "apt-get install dcmtk")


def test_a_folder_that_takes_no_runs_is_a_warning(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert surroundings.check_runs().status == "ok"
    assert not list(tmp_path.iterdir())
    (tmp_path / "runs").touch()
    check = surroundings.check_runs()
    assert (check.status, "Not a directory" in check.detail) == ("warn", True)
    (tmp_path / "runs").unlink()

    def refuse(dir):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(surroundings.tempfile, "TemporaryFile", refuse)
    check = surroundings.check_runs()
    assert (check.status, "Permission denied" in check.detail) == ("warn", True)
    assert "--out" in check.remedy


def test_a_server_that_is_not_there_is_a_warning_without_its_password(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    uri = f"http://me:secret@127.0.0.1:{free_port()}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    check = surroundings.check_mlflow()
    assert check.status == "warn"
    assert "secret" not in check.detail + check.remedy
    assert "MLFLOW_TRACKING_URI" in check.remedy


def test_a_store_that_answers_or_can_be_made_is_right(tmp_path, tmp_path_factory, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert surroundings.check_mlflow().status == "ok"
    empty_store(tmp_path_factory, tmp_path / "there.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/there.db")
    assert "answers" in surroundings.check_mlflow().detail
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/new.db")
    assert "will be made" in surroundings.check_mlflow().detail
    assert [path.name for path in tmp_path.iterdir()] == ["there.db"]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/none/new.db")
    assert surroundings.check_mlflow().status == "warn"


@pytest.mark.parametrize(
    ("flags", "status"), [("avx512_bf16", "ok"), ("amx_bf16", "ok"), ("avx2 fma", "note")]
)
def test_bf16_that_the_processor_emulates_is_a_note(tmp_path, monkeypatch, flags, status):
    table = tmp_path / "cpuinfo"
    table.write_text(f"flags : fpu {flags}\n")
    monkeypatch.setattr(doctor, "CPU_TABLE", table)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert doctor.check_bf16().status == status
    monkeypatch.setattr(doctor, "CPU_TABLE", tmp_path / "none")
    assert doctor.native_bf16("cpu") is None


def test_a_convolution_that_bf16_gets_wrong_is_a_warning(monkeypatch):
    import torch

    monkeypatch.setattr(torch.nn.functional, "conv2d", lambda image, _: image)
    assert "wrong" in doctor.check_bf16().detail
    assert doctor.check_bf16().status == "warn"


def test_a_machine_without_a_gpu_is_told_what_for_it_is_needed(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    assert doctor.check_device().status == "warn"
    assert "CUDA build of torch" in doctor.check_device().remedy


def test_a_note_and_a_warning_are_no_failure_but_a_fail_is(monkeypatch, medgan_cli):
    found = [doctor.Check("a", "note", "x", "y"), doctor.Check("b", "warn", "x", "y")]
    monkeypatch.setattr(doctor, "all_checks", lambda: iter(found))
    code, text, _ = medgan_cli("doctor")
    assert code == 0
    assert "note  a" in text
    found.append(doctor.Check("c", "fail", "x", "y"))
    assert medgan_cli("doctor")[0] == 1
