import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import medgan
from medgan.cli import console, doctor, reference
from medgan.cli.main import VERBS, main
from medgan.errors import OutputError

ROOT = Path(__file__).parents[1]


def exit_code(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(list(arguments))
    return int(caught.value.code or 0)


@pytest.fixture
def verb_that(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Make ``medgan info`` raise."""

    def install(error: BaseException) -> None:
        def command() -> None:
            raise error

        module = ModuleType("medgan.cli.info")
        module.command = command  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "medgan.cli.info", module)

    return install


def test_help_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("--help") == 0
    text = capsys.readouterr().out
    for verb, line in VERBS.items():
        assert f"  {verb} " in text
        assert line in text


def test_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("--version") == 0
    assert capsys.readouterr().out == f"medgan {medgan.__version__}\n"


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_a_verb_has_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(verb, "--help") == 0
    text = capsys.readouterr().out
    assert f"Example: medgan {verb}" in " ".join(text.split())


def test_a_misspelt_verb_is_suggested(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("trian") == 2
    assert "Did you mean 'train'?" in capsys.readouterr().err


def test_an_error_of_the_user_is_one_message_and_code_2(
    verb_that: Callable[[BaseException], None], capsys: pytest.CaptureFixture[str]
) -> None:
    verb_that(OutputError("disk full", where="a.nii", remedy="Free some space"))
    assert exit_code("info") == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", "medgan: a.nii: disk full. Free some space.\n")


def test_an_interrupt_is_code_130(verb_that: Callable[[BaseException], None]) -> None:
    verb_that(KeyboardInterrupt())
    assert exit_code("info") == 130


def test_a_defect_keeps_its_traceback(verb_that: Callable[[BaseException], None]) -> None:
    verb_that(ZeroDivisionError("a defect"))
    with pytest.raises(ZeroDivisionError, match="a defect"):
        main(["info"])


def test_json_holds_what_was_given_and_null_for_what_is_no_number(tmp_path: Path) -> None:
    @dataclasses.dataclass
    class Result:
        mae: np.float32
        where: Path
        shape: tuple[int, ...]

    document = {
        "result": Result(np.float32(1.5), Path("a") / "b", (1, 2)),
        "psnr": [float("inf"), np.nan, np.arange(2)],
    }
    target = tmp_path / "result.json"
    console.emit_json(document, target)
    assert json.loads(target.read_text(), parse_constant=pytest.fail) == {
        "result": {"mae": 1.5, "where": str(Path("a") / "b"), "shape": [1, 2]},
        "psnr": [None, None, [0, 1]],
    }
    assert list(tmp_path.iterdir()) == [target]


def test_json_that_cannot_be_written_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError):
        console.emit_json({}, tmp_path / "file" / "result.json")


def test_progress_passes_every_item_and_says_a_line_each(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert list(console.progress("abc", "Inspecting")) == ["a", "b", "c"]
    out, err = capsys.readouterr()
    assert (out, err) == ("", "Inspecting 1/3\nInspecting 2/3\nInspecting 3/3\n")


def test_info_is_pure_json_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("info", "--json", "-") == 0
    out, err = capsys.readouterr()
    facts = json.loads(out)
    assert facts["version"] == medgan.__version__
    assert list(facts["verbs"]) == list(VERBS)
    assert {"DICOM", ".nii.gz"} <= set(facts["formats"])
    assert "synthrad2023" in facts["protocols"]
    assert facts["contrasts"] == ["t1", "t2", "any"]
    assert facts["methods"] == ["cyclic", "contrastive"]
    assert facts["generators"] == ["attention", "mask", "resnet"]
    assert "synthrad2023" in err


def test_info_does_not_load_torch() -> None:
    code = "import sys; from medgan.cli.info import gather; gather(); print('torch' in sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert run.stdout == "False\n"


@pytest.fixture
def light_doctor(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A doctor who looks at two libraries only, because importing MONAI takes seconds."""
    modules = {"numpy": "numpy", "torch": "torch"}
    monkeypatch.setattr(doctor, "MODULES", modules)
    return modules


def test_doctor_passes_on_a_machine_that_runs_the_tests(
    light_doctor: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code("doctor", "--json", "-") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["ready"] is True
    found = {check["name"]: check for check in result["checks"]}
    assert found["numpy"]["detail"] == np.__version__
    assert found.keys() >= {"python", "torch", "device", "bf16", "codecs", "extra onnx"}
    assert found.keys() >= {"programs", "memory", "disk", "cache", "runs", "MLflow server"}
    for check in found.values():
        assert (check["status"] == "ok") == (check["remedy"] == ""), check


def test_doctor_fails_where_a_library_cannot_be_imported(
    light_doctor: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    light_doctor["torch"] = "no_such_module"
    assert exit_code("doctor") == 1
    text = capsys.readouterr().out
    assert "fail  torch" in text
    assert "pip install torch" in text


def test_doctor_fails_where_the_cache_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("MEDGAN_CACHE", str(tmp_path / "file" / "cache"))
    check = doctor.check_cache()
    assert check.status == "fail"
    assert "MEDGAN_CACHE" in check.remedy


def test_doctor_warns_where_memory_or_disk_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "MEMORY_GB", 1e9)
    monkeypatch.setattr(doctor, "DISK_GB", 1e9)
    assert (doctor.check_memory().status, doctor.check_disk().status) == ("warn", "warn")


def test_doctor_looks_at_every_dependency() -> None:
    import tomllib

    from packaging.requirements import Requirement

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {Requirement(text).name for text in project["dependencies"]}
    assert set(doctor.MODULES) == names


def test_the_command_reference_is_up_to_date() -> None:
    written = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert written == reference.reference(), "run `make docs`"
