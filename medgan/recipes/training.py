"""From a configuration to a trained run folder."""

import hashlib
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from medgan.config import PairConfig, ScanConfig, TrainConfig
from medgan.data.batches import Batches
from medgan.data.cache import prepare_cached
from medgan.data.phantom_slices import PhantomSlices
from medgan.data.preparation import Prepared
from medgan.data.registration import register_rigid
from medgan.data.scanned_slices import ScannedSlices
from medgan.data.slices import UnpairedSlices
from medgan.data.split import require_disjoint, split_patients
from medgan.errors import ConfigError, FileError
from medgan.io import read_volume
from medgan.io.files import content_sha256
from medgan.phantoms.from_ct import anatomy_of
from medgan.training.run_folder import RunFolder
from medgan.training.tracking import Tracker
from medgan.training.trainer import Trainer
from medgan.training.validation import Validator
from medgan.volumes import Modality, Volume
from medgan.volumes.geometry import Grid
from medgan.volumes.resampling import resample

DATA_VARIABLE = "MEDGAN_DATA"

OnStep = Callable[[int, dict[str, float]], None]

_log = logging.getLogger(__name__)


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
    run.require_free()
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
        FileError: no such file or folder.
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
    if not path.exists():
        raise FileError("no such file or folder", where=path)
    return path


def _assemble(config: TrainConfig) -> Callable[[RunFolder], Trainer]:
    """Load everything a training needs; what comes back builds the trainer in its folder."""
    data, settings = config.data, config.data.phantoms
    pairs = [scan for pair in config.evaluation for scan in (pair.source, pair.target)]
    training = [scan_path(config, scan) for scan in data.source + data.target]
    evaluation = [scan_path(config, scan) for scan in pairs]
    require_disjoint({"training": training, "evaluation": evaluation})
    source, target = (
        split_patients(group, data.validation_share, config.training.seed)
        for group in (data.source, data.target)
    )
    source_scans = prepared_scans(config, source.training, config.source)
    target_scans = prepared_scans(config, target.training, config.target)
    unpaired = None
    if config.uses_scans:
        unpaired = UnpairedSlices(source_scans, target_scans, match_position=data.match_position)
    phantoms = None
    if config.uses_phantoms:
        scanned = None
        if settings.scanned_share:
            ct_scans = target.training if config.target == "CT" else source.training
            scans = [read_scan(config, scan, "CT") for scan in ct_scans]
            anatomies = [anatomy_of(ct, seed) for seed, ct in enumerate(scans)]
            scanned = {p: ScannedSlices.of(anatomies, p) for p in config.preparation.planes}
        phantoms = PhantomSlices.training(settings, config.preparation, scanned)
    # few scans are too few to spare any: then those trained on are judged, which needs no pairs
    validator = Validator(
        config,
        PhantomSlices.validation(settings, config.preparation),
        prepared_scans(config, source.validation, config.source) or source_scans,
        prepared_scans(config, target.validation, config.target) or target_scans,
    )
    provenance = {
        "scans": len(training),
        "phantom_heads": settings.heads if config.uses_phantoms else 0,
        "data_sha256": _fingerprint(training),
        "steps": config.training.steps,
    }
    batches = Batches(config, unpaired, phantoms)
    return lambda run: Trainer(
        config, run, batches, validator, Tracker(config, run.root), provenance
    )


def prepared_scans(
    config: TrainConfig, scans: Sequence[ScanConfig], modality: Modality
) -> tuple[Prepared, ...]:
    """Scans as the networks see them, from the cache where they are there."""
    return tuple(
        prepare_cached(
            scan_path(config, scan),
            config.preparation,
            modality=modality,
            hu_offset=scan.hu_offset,
            series=scan.series,
        )
        for scan in scans
    )


def read_scan(config: TrainConfig, scan: ScanConfig, modality: Modality) -> Volume:
    """A scan as it is stored, its offset added."""
    volume = read_volume(scan_path(config, scan), modality=modality, series=scan.series)
    if not scan.hu_offset:
        return volume
    return volume.with_array(volume.array.astype(np.float32) + np.float32(scan.hu_offset))


def read_pair(config: TrainConfig, pair: PairConfig) -> dict[Modality, Volume]:
    """Both ends of a pair by modality, on the MR's grid.

    It is always the CT that is moved: never the MR, never a synthetic image.
    """
    ends: dict[Modality, Volume] = {
        config.source: read_scan(config, pair.source, config.source),
        config.target: read_scan(config, pair.target, config.target),
    }
    if pair.register_rigidly:
        ends["CT"] = register_rigid(ends["CT"], ends["MR"]).volume
    else:
        ends["CT"] = resample(ends["CT"], Grid.of(ends["MR"]))
    return ends


def _fingerprint(paths: Sequence[Path]) -> str:
    """One hash of the content of all scans, in order."""
    return hashlib.sha256("".join(map(content_sha256, paths)).encode()).hexdigest()
