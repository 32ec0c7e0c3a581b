"""What the shells offer on the tab key."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from medgan.cli.main import VERBS, load

PROGRAM = f"#!{sys.executable}\nfrom medgan.cli.main import main\nmain()\n"
BASH = """
source "$SCRIPT"
COMP_WORDS=($LINE "$LAST")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_medgan_completion medgan
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Of a shell that finds medgan on its path."""
    folder = tmp_path_factory.mktemp("bin")
    program = folder / "medgan"
    program.write_text(PROGRAM)
    program.chmod(0o755)
    root = str(Path(__file__).parents[1])
    return os.environ | {"PATH": f"{folder}:{os.environ['PATH']}", "PYTHONPATH": root}


def run(command: list[str], environment: dict[str, str], **more: str) -> str:
    done = subprocess.run(
        command, env=environment | more, check=True, capture_output=True, text=True
    )
    assert not done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def script(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of docs/completion.md."""
    path = tmp_path_factory.mktemp("script") / "medgan-complete.bash"
    path.write_text(run(["medgan"], environment, _MEDGAN_COMPLETE="source_bash"))
    return path


def offered(script: Path, environment: dict[str, str], line: str, last: str) -> set[str]:
    """What bash would offer after a line and the beginning of a word."""
    if not shutil.which("bash"):
        pytest.skip("needs bash")
    more = {"SCRIPT": str(script), "LINE": line, "LAST": last}
    return set(run(["bash", "-c", BASH], environment, **more).split())


def test_bash_completes_every_verb(script: Path, environment: dict[str, str]) -> None:
    assert offered(script, environment, "medgan", "") == set(VERBS)
    assert offered(script, environment, "medgan", "tr") == {"train", "translate"}


def test_bash_completes_every_option_of_a_verb_and_the_values_of_one(
    script: Path, environment: dict[str, str]
) -> None:
    options = {name for each in load("translate").params for name in each.opts if name[0] == "-"}
    found = offered(script, environment, "medgan translate", "--")
    assert found - {"--help"} == options
    values = offered(script, environment, "medgan translate --irregular", "")
    assert values == {"error", "resample"}


def test_bash_completes_the_verbs_and_options_below_a_verb(
    script: Path, environment: dict[str, str]
) -> None:
    group = load("nodules")
    assert isinstance(group, typer.main.TyperGroup)
    assert offered(script, environment, "medgan nodules", "") == set(group.commands)
    assert offered(script, environment, "medgan nodules insert", "--per") == {"--per-scan"}


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_zsh_and_fish_are_told_of_the_verbs(shell: str, environment: dict[str, str]) -> None:
    script = run(["medgan"], environment, _MEDGAN_COMPLETE=f"source_{shell}")
    assert f"_MEDGAN_COMPLETE=complete_{shell}" in script
    told = run(
        ["medgan"],
        environment,
        _MEDGAN_COMPLETE=f"complete_{shell}",
        _TYPER_COMPLETE_FISH_ACTION="get-args",
        _TYPER_COMPLETE_ARGS="medgan tr",
    )
    assert "train" in told
    assert "translate" in told
    assert "convert" not in told


def test_completing_a_verb_imports_no_torch(environment: dict[str, str]) -> None:
    code = (
        "import sys\nfrom medgan.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit:\n    print('torch' in sys.modules)"
    )
    told = run(
        [sys.executable, "-c", code],
        environment,
        _MEDGAN_COMPLETE="complete_bash",
        COMP_WORDS="medgan translate --sa",
        COMP_CWORD="2",
    )
    assert told.split() == ["--save-attention", "False"]
