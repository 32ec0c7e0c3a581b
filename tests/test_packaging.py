import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import medgan

ROOT = Path(__file__).parents[1]
CONDA_NAMES = {"torch": "pytorch"}


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        return tomllib.load(file)["project"]


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    split = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {canonicalize_name(name): version for name, version in split}


def test_the_conda_environment_is_that_of_pyproject(project: dict[str, Any]) -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    conda = {entry for entry in environment["dependencies"] if isinstance(entry, str)}
    wanted = {"python=3.11", "pip"}
    for requirement in map(Requirement, project["dependencies"]):
        name = canonicalize_name(requirement.name)
        wanted.add(f"{CONDA_NAMES.get(name, name)}{requirement.specifier}")
    assert conda == wanted


def test_every_dependency_is_pinned_within_its_bounds(project: dict[str, Any]) -> None:
    pinned = pins()
    extras = project["optional-dependencies"].values()
    dependencies = project["dependencies"] + [line for extra in extras for line in extra]
    # an extra may be made of other extras of medgan itself
    for requirement in (r for r in map(Requirement, dependencies) if r.name != "medgan"):
        version = pinned[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), requirement


def test_pins_hold_for_every_build_and_index() -> None:
    assert pins()["torch"] == "2.13.0"
    for name, version in pins().items():
        assert re.fullmatch(r"[0-9a-z.]+", version), name


@pytest.mark.parametrize(
    "name", ["pyproject.toml", "constraints.txt", "environment.yml", "Makefile", ".ci/run"]
)
def test_no_package_index_is_prescribed(name: str) -> None:
    text = (ROOT / name).read_text()
    assert not re.search(r"https?://|--(extra-)?index-url|--find-links", text)


def test_the_version_is_the_same_everywhere() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == medgan.__version__
    assert f"## [{medgan.__version__}]" in (ROOT / "CHANGELOG.md").read_text()


def test_the_continuous_integration_script_can_be_run() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", script], check=True)


def test_make_without_a_target_names_every_target() -> None:
    text = subprocess.run(["make"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert re.findall(r"^  (\w+)", text, re.M) == [
        "help",
        "install",
        "demo",
        "test",
        "lint",
        "docs",
        "notebooks",
        "clean",
    ]


def test_the_package_says_that_it_is_typed() -> None:
    assert (ROOT / "medgan" / "py.typed").exists()
