"""From a configuration to a trained run folder."""

import hashlib
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medgan.config import ScanConfig, TrainConfig
from medgan.data.batches import Batches
from medgan.data.cache import prepare_cached
from medgan.data.leaks import require_disjoint
from medgan.data.phantom_slices import PhantomSlices
from medgan.data.preparation import Prepared
from medgan.data.slices import UnpairedSlices
from medgan.errors import ConfigError, FileError
from medgan.training.run_folder import RunFolder
from medgan.training.tracking import Tracker
from medgan.training.trainer import Trainer
from medgan.training.validation import Validator

DATA_VARIABLE = "MEDGAN_DATA"

OnStep = Callable[[int, dict[str, float]], None]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Scans:
    """Prepared scans of both domains and a fingerprint of the files they came from."""

    source: tuple[Prepared, ...]
    target: tuple[Prepared, ...]
    fingerprint: str


def train(config: TrainConfig, out: Path, on_step: OnStep | None = None) -> RunFolder:
    """Begin a training and run it to its end.

    Args:
        config: what to train.
        out: the run folder to make.
        on_step: called after every logged step.

    Raises:
        MedganError: scans missing or unusable, folder taken, training diverged.
    """
    run = RunFolder(out)
    # before the folder is made: a run that cannot begin leaves nothing behind
    trainer_of = _assemble(config)
    run.create(config)
    trainer_of(run).train(on_step)
    return run


def resume(out: Path, on_step: OnStep | None = None) -> RunFolder:
    """Continue a run from its last checkpoint; one that has ended is left as it is.

    Raises:
        MedganError: not a run folder, scans changed or missing, checkpoint damaged.
    """
    run = RunFolder(out)
    trainer = _assemble(run.config())(run)
    trainer.resume()
    trainer.train(on_step)
    return run


def scan_path(config: TrainConfig, scan: ScanConfig) -> Path:
    """Where a scan lies.

    Raises:
        ConfigError: a relative path without ``data.root`` and without MEDGAN_DATA.
        FileError: no such file.
    """
    path = scan.path
    if not path.is_absolute():
        root = config.data.root or os.environ.get(DATA_VARIABLE)
        if root is None:
            raise ConfigError(
                "relative scan paths need a root",
                where=path,
                remedy=f"Set data.root or the environment variable {DATA_VARIABLE}",
            )
        path = Path(root) / path
    if not path.is_file():
        raise FileError("no such file", where=path)
    return path


def _assemble(config: TrainConfig) -> Callable[[RunFolder], Trainer]:
    """Load everything a training needs; what comes back builds the trainer in its folder."""
    pairs = [scan for pair in config.evaluation for scan in (pair.source, pair.target)]
    training = config.data.source + config.data.target
    require_disjoint(
        {
            "training": [scan_path(config, scan) for scan in training],
            "evaluation": [scan_path(config, scan) for scan in pairs],
        }
    )
    scans = load_scans(config)
    unpaired = None
    if config.uses_scans:
        unpaired = UnpairedSlices(
            scans.source, scans.target, match_position=config.data.match_position
        )
    settings, phantoms = config.data.phantoms, None
    if config.uses_phantoms:
        phantoms = PhantomSlices.training(settings, config.preparation)
    validation = PhantomSlices.validation(settings, config.preparation)
    validator = Validator(config, validation, scans.source, scans.target)
    batches = Batches(config, unpaired, phantoms)
    provenance: dict[str, Any] = {
        "scans": len(training),
        "phantom_heads": settings.heads if config.uses_phantoms else 0,
        "data_sha256": scans.fingerprint,
        "steps": config.training.steps,
    }
    return lambda run: Trainer(
        config, run, batches, validator, Tracker(config, run.root), provenance
    )


def load_scans(config: TrainConfig) -> Scans:
    """Prepare every training scan, from the cache where it is there."""
    digest = hashlib.sha256()

    def load(group: Sequence[ScanConfig], modality: Any) -> tuple[Prepared, ...]:
        prepared = []
        for scan in group:
            path = scan_path(config, scan)
            digest.update(path.read_bytes())
            prepared.append(
                prepare_cached(
                    path, config.preparation, modality=modality, hu_offset=scan.hu_offset
                )
            )
        return tuple(prepared)

    source = load(config.data.source, config.source)
    target = load(config.data.target, config.target)
    return Scans(source, target, digest.hexdigest())
