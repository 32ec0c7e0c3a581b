"""What others install: the wheel, away from the repository, does the whole job."""

import json
import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

import medgan
from medgan.models.catalogue import builtin_names

ROOT = Path(__file__).parents[1]
LARGEST_BYTES = 6_000_000
"""Code, templates and one built-in model."""

SMALL_DEMO = """
import sys
from medgan.cli.main import main
from medgan.recipes import demo
demo.SPACING_MM, demo.MR_SEEDS, demo.CT_SEEDS = (6.0, 6.0, 6.0), range(100, 101), range(200, 201)
main(["demo", "--out", "demo", *sys.argv[1:]])
"""
OVERRIDES = (
    "training.steps=2", "training.warmup_steps=1", "training.validate_every=2",
    "training.checkpoint_every=2", "data.phantoms.heads=1", "data.phantoms.slices=2",
    "data.phantoms.validation_heads=1", "network.width=4", "network.blocks=1",
    "network.contents=2", "network.discriminator_width=4", "preparation.spacing_mm=[6, 6, 6]",
    "preparation.matrix=[48, 48]",
)  # fmt: skip


def build(source: Path, folder: Path) -> Path:
    """The wheel of a source tree, built without an index."""
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    command = [*pip, "--no-index", "--wheel-dir", folder, source]
    subprocess.run(command, check=True, cwd=folder.parent)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return build(ROOT, tmp_path_factory.mktemp("built") / "wheel")


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sdist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", folder]
    subprocess.run(command, check=True, cwd=ROOT, capture_output=True)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        file.extractall(folder, filter="data")
    return folder / archive.name.removesuffix(".tar.gz")


class Away:
    """An environment that holds the wheel and sees the dependencies, but not the repository."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        self.cwd = folder / "work"
        self.cwd.mkdir()
        self.home = folder / "home"
        self.home.mkdir()
        environment = folder / "venv"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
        self.programs = environment / "bin"
        self.packages = Path(sysconfig.get_path("purelib", vars={"base": str(environment)}))
        pip = [sys.executable, "-m", "pip", "--python", str(self.programs / "python"), "install"]
        command = [*pip, "--quiet", "--no-index", "--no-deps", str(wheel)]
        subprocess.run(command, check=True, cwd=self.cwd)
        # a folder named in a .pth file is searched, but the .pth files in it are not read: that
        # is where an installation in development has the path of the repository
        (self.packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")

    def run(self, program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment as a user does who has never heard of this one."""
        kept = {"PATH", "LANG", "OMP_NUM_THREADS", "MPLBACKEND", "MLFLOW_DISABLE_TELEMETRY"}
        environment = {name: value for name, value in os.environ.items() if name in kept}
        return subprocess.run(
            [self.programs / program, *map(str, arguments)],
            cwd=self.cwd,
            env=environment | {"HOME": str(self.home)},
            capture_output=True,
            text=True,
        )


@pytest.fixture(scope="module")
def away(wheel, tmp_path_factory):
    return Away(tmp_path_factory.mktemp("away"), wheel)


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as file:
        return {name: file.read(name) for name in file.namelist()}


def tracked() -> set[str]:
    """The files of the package, configs among them, that are under version control or will be."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    command = [*listing, "medgan", "configs"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    names = {name for name in listed.splitlines() if (ROOT / name).exists()}
    return {f"medgan/{name}" if name.startswith("configs/") else name for name in names}


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="no repository to compare with")
def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    found = {name for name in contents(wheel) if ".dist-info/" not in name}
    assert found == tracked()
    assert {"medgan/py.typed", "medgan/recipes/demo.yaml", "medgan/report/viewer.html.j2"} <= found
    assert wheel.stat().st_size < LARGEST_BYTES


def test_the_sdist_builds_the_same_wheel(wheel, sdist):
    again = contents(build(sdist, sdist.parent / "wheel"))
    assert again == contents(wheel)
    for name in ("tests/test_wheel.py", "configs/mr_to_ct_head.yaml", "constraints.txt", "LICENSE"):
        assert (sdist / name).read_bytes() == (ROOT / name).read_bytes()


def test_the_wheel_says_what_it_is(wheel):
    (metadata,) = (
        text.decode() for name, text in contents(wheel).items() if name.endswith("/METADATA")
    )
    for line in (f"Version: {medgan.__version__}", "License-Expression: Apache-2.0"):
        assert f"\n{line}\n" in metadata


def test_it_is_the_wheel_that_is_tried(away):
    code = "import medgan; print(medgan.__file__)"
    shown = away.run("python", "-c", code)
    assert shown.stdout == f"{away.packages / 'medgan' / '__init__.py'}\n", shown.stderr
    assert away.run("python", "-c", "import sys; print(*sys.path)").stdout.count(str(ROOT)) == (
        sysconfig.get_path("purelib").count(str(ROOT))
    )
    assert away.run("medgan", "--version").stdout == f"medgan {medgan.__version__}\n"


@pytest.mark.slow
def test_demo_and_translate_work_away_from_the_repository(away):
    made = away.run("python", "-c", SMALL_DEMO, *OVERRIDES)
    assert made.returncode == 0, made.stderr
    folder = away.cwd / "demo"
    assert {"metrics.json", "report.html", "run", "synthetic_ct"} <= {
        path.name for path in folder.iterdir()
    }
    scan = folder / "phantoms" / "test_mr" / "head_300.nii.gz"
    for number, model in enumerate((folder / "run", *builtin_names())):
        out = away.cwd / f"ct_{number}.nii.gz"
        translated = away.run("medgan", "translate", model, scan, out)
        assert translated.returncode == 0, translated.stderr
        assert out.exists()


def test_info_and_doctor_work_away_from_the_repository(away):
    shown = away.run("medgan", "info")
    assert shown.returncode == 0, shown.stderr
    assert all(name in shown.stdout for name in builtin_names())
    configs = Path(json.loads(away.run("medgan", "info", "--json", "-").stdout)["configs"])
    assert configs == away.packages / "medgan" / "configs"
    assert (configs / "mr_to_ct_head.yaml").exists()
    found = away.run("medgan", "doctor")
    assert found.returncode == 0, found.stdout + found.stderr
    assert "ok    torch" in found.stdout
