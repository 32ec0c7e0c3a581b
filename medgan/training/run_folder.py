"""A run folder: everything a training leaves behind."""

import json
import math
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel

from medgan import __version__
from medgan.config import TrainConfig, dump_config, load_config
from medgan.errors import OutputError, TrainingError
from medgan.io.files import make_folder, remove_strays, write_json, write_text, writing
from medgan.training.processes import Processes

_PACKAGES = ("torch", "monai", "numpy", "scipy", "nibabel", "SimpleITK", "accelerate")


class RunFolder:
    """Paths and files of one run.

    ``config.yaml`` (effective), ``environment.json``, ``metrics.jsonl`` (no wall-clock fields),
    ``timing.jsonl``, ``previews/`` and ``checkpoints/{last,best}/``.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.config_path = root / "config.yaml"
        self.metrics = root / "metrics.jsonl"
        self.timing = root / "timing.jsonl"
        self.previews = root / "previews"
        self.state = root / "checkpoints" / "last" / "state.safetensors"
        self.last = root / "checkpoints" / "last"
        self.best = root / "checkpoints" / "best"

    def require_free(self, verb: str = "train") -> None:
        """Refuse a place where a run cannot begin.

        Args:
            verb: of ``medgan``, that continues a run of this kind.

        Raises:
            OutputError: the folder already holds a run, or is a file.
        """
        if self.root.exists() and not self.root.is_dir():
            raise OutputError("is a file", where=self.root, remedy="Name a folder for the run")
        if self.config_path.exists():
            raise OutputError(
                "the folder already holds a run",
                where=self.root,
                remedy=f"`medgan {verb} --resume {self.root}` continues it; or name another folder",
            )

    def create(self, config: BaseModel) -> None:
        """Begin a run.

        Raises:
            OutputError: as ``require_free``, or the folder cannot be made.
        """
        self.require_free()
        for folder in (self.previews, self.last, self.best):
            make_folder(folder)
        write_json(self.root / "environment.json", environment())
        write_text(self.config_path, dump_config(config))

    def config(self) -> TrainConfig:
        """The effective configuration of the run.

        Raises:
            TrainingError: not a run folder.
        """
        if not self.config_path.is_file():
            raise TrainingError("not a run folder: no config.yaml", where=self.root)
        return load_config(self.config_path)

    def append(self, log: Path, record: Mapping[str, Any]) -> None:
        """Add one line to ``metrics`` or ``timing``; what is not finite becomes null.

        Raises:
            OutputError: the disk is full or not writable.
        """
        finite = {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in record.items()
        }
        try:
            with log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(finite) + "\n")
        except OSError as error:
            raise OutputError("cannot write", where=log, measured=error.strerror) from error

    def cut_back(self, step: int) -> None:
        """Forget what was logged of later steps, and files half-written when the run was killed."""
        remove_strays(self.root)
        for log in (self.metrics, self.timing):
            if not log.exists():
                continue
            kept = []
            for line in log.read_text(encoding="utf-8").splitlines():
                try:
                    record = json.loads(line)
                except json.JSONDecodeError:
                    break
                if record["step"] > step:
                    break
                kept.append(line + "\n")
            with writing(log) as temporary:
                temporary.write_text("".join(kept), encoding="utf-8")


def environment() -> dict[str, Any]:
    """Versions and hardware, without anything that names the machine or its user."""
    packages = {}
    for name in _PACKAGES:
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = "absent"
    return {
        "medgan": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "threads": torch.get_num_threads(),
        "processes": Processes().share.of,
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "packages": packages,
    }
