"""The rule of docs/architecture.md: imports go upwards only, and the upper layers stay light."""

import ast
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = (
    "errors",
    "config",
    "volumes",
    "io",
    "phantoms",
    "metrics",
    "networks",
    "data",
    "models",
    "methods",
    "inference",
    "node",
    "training",
    "detection",
    "report",
    "recipes",
    "cli",
    "__main__",
)
TORCH_FREE = ("errors", "config", "volumes", "io", "phantoms", "metrics", "report")
MAY_IMPORT_TORCH = {"medgan.metrics.features", "medgan.metrics.features_astra"}
HEAVY = {
    "torch",
    "monai",
    "numpy",
    "pandas",
    "nibabel",
    "SimpleITK",
    "pydantic",
    "scipy",
    "matplotlib",
    "mlflow",
}
HELP = [sys.executable, "-c", "from medgan.cli.main import main; main(['--help'])"]
HELP_SECONDS = 0.3


def module_name(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


FILES = {module_name(file): file for file in sorted((ROOT / "medgan").rglob("*.py"))}
MODULES = [name for name in FILES if name != "medgan"]


def imported(source: str) -> Iterator[str]:
    """Every module that a source imports, in functions too; ``from a import b`` gives ``a.b``."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{'.' * node.level}{node.module}.{alias.name}" for alias in node.names)


def violations(module: str, source: str) -> list[str]:
    layer = LAYERS.index(module.split(".")[1])
    above = {f"medgan.{name}" for name in LAYERS[: layer + 1]} | {"medgan.__version__"}
    found = []
    for name in imported(source):
        root = name.split(".")[0]
        below = root == "medgan" and ".".join(name.split(".")[:2]) not in above
        heavy = root in {"torch", "monai"} and LAYERS[layer] in TORCH_FREE
        if below or not root or (heavy and module not in MAY_IMPORT_TORCH):
            found.append(name)
    return found


def loaded_by(code: str) -> set[str]:
    """Top-level modules in a fresh interpreter after it ran the code."""
    run = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\nprint('\\n'.join(sys.modules))"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    return {name.split(".")[0] for name in run.stdout.split()}


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_from_its_own_line_or_above(module: str) -> None:
    assert violations(module, FILES[module].read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("medgan.volumes.masks", "from medgan.io import read_volume"),
        ("medgan.volumes.masks", "def f():\n    import medgan.cli.main"),
        ("medgan.io.nifti", "import torch"),
        ("medgan.metrics.pairs", "from monai.metrics import SSIMMetric"),
        ("medgan.io.nifti", "from . import files"),
        ("medgan.errors", "from medgan import Translator"),
    ],
)
def test_the_rule_sees_a_violation(module: str, source: str) -> None:
    assert len(violations(module, source)) == 1


def test_upper_layers_load_neither_torch_nor_monai() -> None:
    modules = [
        name
        for name in MODULES
        if name.split(".")[1] in TORCH_FREE and name not in MAY_IMPORT_TORCH
    ]
    assert not loaded_by(f"import {', '.join(modules)}") & {"torch", "monai"}


def test_the_module_of_a_verb_loads_neither_torch_nor_monai() -> None:
    modules = [name for name in MODULES if name.startswith("medgan.cli.")]
    assert not loaded_by(f"import {', '.join(modules)}") & {"torch", "monai"}


def test_importing_medgan_costs_nothing() -> None:
    assert not loaded_by("import medgan") & HEAVY


def test_help_loads_no_heavy_module() -> None:
    code = "from medgan.cli.main import main\ntry: main(['--help'])\nexcept SystemExit: pass"
    assert not loaded_by(code) & HEAVY


def test_help_answers_at_once() -> None:
    durations = []
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run(HELP, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, env=os.environ)
        durations.append(time.perf_counter() - start)
        if durations[-1] < HELP_SECONDS:
            break
    assert min(durations) < HELP_SECONDS


def test_pipelines_import_medgan_only() -> None:
    # the example for SLURM starts workers, which medgan itself only finds
    allowed = sys.stdlib_module_names | {"medgan", "dask_jobqueue"}
    for file in (ROOT / "pipelines").rglob("*.py"):
        roots = {name.split(".")[0] for name in imported(file.read_text(encoding="utf-8"))}
        assert roots <= allowed, file.name


def test_no_file_is_longer_than_a_reader_bears() -> None:
    lengths = {name: len(file.read_text().splitlines()) for name, file in FILES.items()}
    assert {name: length for name, length in lengths.items() if length > 400} == {}
