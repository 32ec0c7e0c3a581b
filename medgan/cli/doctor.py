"""``medgan doctor``: whether this machine is ready."""

import importlib
import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import typer
from packaging.requirements import Requirement
from rich.markup import escape

from medgan.cli.codecs import check_codecs
from medgan.cli.console import JsonTarget, emit_json, result_console
from medgan.cli.findings import Check
from medgan.cli.installed import check_extras, requirements
from medgan.cli.surroundings import check_mlflow, check_programs, check_runs

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
    "threadpoolctl": "threadpoolctl",
    "torch": "torch",
    "typer": "typer",
}
"""Distribution -> module, for every dependency."""

MEMORY_GB = 4.0
"""Free memory below which training the default network may be killed."""
CPU_TABLE = Path("/proc/cpuinfo")
DISK_GB = 5.0
"""Free disk below which runs and the cache of prepared scans may not fit."""
_COLOURS = {"ok": "green", "note": "cyan", "warn": "yellow", "fail": "red"}


def check_python() -> Check:
    """Which interpreter runs; one too old for medgan cannot get here."""
    return Check(
        "python", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    )


def check_dependency(distribution: str) -> Check:
    """Whether a dependency is new enough and can be imported, which its files do not prove.

    Args:
        distribution: a key of `MODULES`.
    """
    remedy = f"pip install {distribution}"
    try:
        importlib.import_module(MODULES[distribution])
        found = version(distribution)
    except Exception as error:  # a broken binary may raise anything
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        return Check(distribution, "fail", reason, remedy)
    wanted = requirements().get(distribution, Requirement(distribution)).specifier
    if not wanted.contains(found, prereleases=True):
        return Check(distribution, "fail", f"{found}, needed {wanted}", remedy)
    return Check(distribution, "ok", found)


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
    if native_bf16(device) is False:
        slower = "Try training.precision fp32, which may be faster here"
        return Check("bf16", "note", f"works on {device}, which emulates it", slower)
    return Check("bf16", "ok", f"works on {device}")


def native_bf16(device: str) -> bool | None:
    """Whether the hardware computes in bfloat16 by itself; None where it does not tell.

    Args:
        device: "cuda" or "cpu".
    """
    import torch

    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if not CPU_TABLE.exists():
        return None
    # avx512_bf16 and amx_bf16 of x86, bf16 of Arm
    return "bf16" in CPU_TABLE.read_text(encoding="utf-8", errors="replace")


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
    broken = set()
    for distribution in MODULES:
        check = check_dependency(distribution)
        if check.status != "ok":
            broken.add(distribution)
        yield check
    if "torch" not in broken:
        yield check_device()
        yield check_bf16()
    if not broken & {"numpy", "pydicom"}:
        yield from check_codecs()
    yield from check_extras()
    yield check_programs()
    rest: tuple[Callable[[], Check], ...] = (
        check_memory,
        check_disk,
        check_cache,
        check_runs,
        check_mlflow,
    )
    for function in rest:
        yield function()


def command(json: JsonTarget = None) -> None:
    """Check whether this machine is ready, and say how to mend what is not.

    Libraries and their versions, device, codecs, extras, other programs, memory, disk, the folders
    that are written to, and the MLflow server that MLFLOW_TRACKING_URI names.

    Exits with 1 when a check fails. A warning (medgan works, but slowly or not for long) and a note
    (an optional part is not there) are no failures.

    Example: medgan doctor
    """
    out = result_console(json)
    checks = []
    for check in all_checks():
        checks.append(check)
        status = f"[{_COLOURS[check.status]}]{check.status:<5}[/]"
        out.print(f"{status} {check.name:<19} {escape(check.detail)}", highlight=False)
        if check.remedy:
            out.print(f"{'':<26}{escape(check.remedy)}.", highlight=False)
    ready = all(check.status != "fail" for check in checks)
    emit_json({"ready": ready, "checks": checks}, json)
    if not ready:
        raise typer.Exit(1)
