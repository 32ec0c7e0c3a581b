"""``medgan doctor``: whether this machine is ready."""

import importlib
import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import typer
from rich.markup import escape

from medgan.cli.console import JsonTarget, emit_json, result_console

MODULES = {
    "accelerate": "accelerate",
    "highdicom": "highdicom",
    "ipyniivue": "ipyniivue",
    "jinja2": "jinja2",
    "matplotlib": "matplotlib",
    "mlflow": "mlflow",
    "monai": "monai",
    "nibabel": "nibabel",
    "numpy": "numpy",
    "packaging": "packaging",
    "pandas": "pandas",
    "pillow": "PIL",
    "pydantic": "pydantic",
    "pydicom": "pydicom",
    "pylibjpeg": "pylibjpeg",
    "pylibjpeg-openjpeg": "openjpeg",
    "pylibjpeg-rle": "rle",
    "python-gdcm": "gdcm",
    "PyYAML": "yaml",
    "rich": "rich",
    "safetensors": "safetensors",
    "scikit-image": "skimage",
    "scipy": "scipy",
    "SimpleITK": "SimpleITK",
    "torch": "torch",
    "typer": "typer",
}
"""Distribution -> module, for every dependency."""

MEMORY_GB = 4.0
"""Free memory below which training the default network may be killed."""
DISK_GB = 5.0
"""Free disk below which runs and the cache of prepared scans may not fit."""
_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@dataclass(frozen=True)
class Check:
    """One thing looked at.

    Attributes:
        name: what.
        status: "ok"; "warn": medgan works, but slowly or not for long; "fail": it does not.
        detail: what was found.
        remedy: what to do; empty where nothing is to be done.
    """

    name: str
    status: Literal["ok", "warn", "fail"]
    detail: str
    remedy: str = ""


def check_python() -> Check:
    """Which interpreter runs; one too old for medgan cannot get here."""
    return Check(
        "python", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    )


def check_dependency(distribution: str) -> Check:
    """Whether a dependency can be imported, which finding its files does not prove.

    Args:
        distribution: a key of `MODULES`.
    """
    try:
        importlib.import_module(MODULES[distribution])
        return Check(distribution, "ok", version(distribution))
    except Exception as error:  # a broken binary may raise anything
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        return Check(distribution, "fail", reason, f"pip install -c constraints.txt {distribution}")


def check_device() -> Check:
    """Which device torch computes on."""
    import torch

    threads = f"{torch.get_num_threads()} threads of {os.cpu_count()} processors"
    if torch.cuda.is_available():
        return Check("device", "ok", f"{torch.cuda.get_device_name()}, {threads}")
    if torch.backends.mps.is_available():
        return Check("device", "ok", f"Apple GPU, {threads}")
    return Check(
        "device",
        "warn",
        f"processor only, {threads}",
        "Translation works; to train the published network use a GPU and a CUDA build of torch",
    )


def check_bf16() -> Check:
    """Whether a convolution in bfloat16 works, for ``training.precision: bf16``."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    remedy = "Keep training.precision at fp32"
    try:
        image = torch.ones(1, 1, 8, 8, dtype=torch.bfloat16, device=device)
        sums = torch.nn.functional.conv2d(image, image[..., :3, :3])
    except RuntimeError as error:
        return Check("bf16", "warn", str(error).splitlines()[0], remedy)
    if not bool((sums == 9).all()):
        return Check("bf16", "warn", f"a convolution is wrong on {device}", remedy)
    return Check("bf16", "ok", f"works on {device}")


def free_memory_gb() -> float:
    """Memory that a new process can have, in GB (10^9 bytes)."""
    table = Path("/proc/meminfo")
    if table.exists():
        for line in table.read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024 / 1e9
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9


def check_memory() -> Check:
    """Whether enough memory is free."""
    free = free_memory_gb()
    if free < MEMORY_GB:
        return Check(
            "memory", "warn", f"{free:.1f} GB free", f"Free {MEMORY_GB:g} GB, or use smaller slices"
        )
    return Check("memory", "ok", f"{free:.1f} GB free")


def check_disk() -> Check:
    """Whether enough disk is free where the program was started."""
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    if free < DISK_GB:
        return Check("disk", "warn", f"{free:.1f} GB free here", f"Free {DISK_GB:g} GB")
    return Check("disk", "ok", f"{free:.1f} GB free here")


def check_cache() -> Check:
    """Whether prepared scans can be kept."""
    from medgan.data.cache import default_cache_dir

    folder = default_cache_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return Check("cache", "ok", f"{folder} can be written")
    except OSError as error:
        detail = f"{folder}: {error.strerror}"
        return Check("cache", "fail", detail, "Set MEDGAN_CACHE to a folder you may write to")


def all_checks() -> Iterator[Check]:
    """Every check, in the order in which a failure explains the ones after it."""
    yield check_python()
    torch_works = True
    for distribution in MODULES:
        check = check_dependency(distribution)
        torch_works &= distribution != "torch" or check.status == "ok"
        yield check
    machine: tuple[Callable[[], Check], ...] = (check_memory, check_disk, check_cache)
    for function in ((check_device, check_bf16) if torch_works else ()) + machine:
        yield function()


def command(json: JsonTarget = None) -> None:
    """Check whether this machine is ready: interpreter, libraries, device, memory, disk, cache.

    Exits with 1 when a check fails; a warning is no failure.

    Example: medgan doctor
    """
    out = result_console(json)
    checks = []
    for check in all_checks():
        checks.append(check)
        status = f"[{_COLOURS[check.status]}]{check.status:<5}[/]"
        out.print(f"{status} {check.name:<14}{escape(check.detail)}", highlight=False)
        if check.remedy:
            out.print(f"{'':<20}{escape(check.remedy)}.", highlight=False)
    ready = all(check.status != "fail" for check in checks)
    emit_json({"ready": ready, "checks": checks}, json)
    if not ready:
        raise typer.Exit(1)
