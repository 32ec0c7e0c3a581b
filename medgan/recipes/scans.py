"""The scans of a training: where they lie, how they are read, what a training gets of them."""

import hashlib
import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from medgan.config import PairConfig, ScanConfig, TrainConfig
from medgan.data.augmentation import SliceAugmentation
from medgan.data.batches import Batches, Images
from medgan.data.cache import prepare_cached
from medgan.data.contrasts import contrast_remarks
from medgan.data.patches import UnpairedPatches
from medgan.data.phantom_patches import PhantomPatches
from medgan.data.phantom_slices import PhantomSlices
from medgan.data.plausibility import implausible
from medgan.data.preparation import prepare_channels
from medgan.data.registration import register_deformable, register_rigid
from medgan.data.slices import Scan, UnpairedSlices
from medgan.data.split import require_disjoint, split_patients
from medgan.data.statistics import DomainStatistics, Side, domain_statistics, phantom_statistics
from medgan.errors import ConfigError, FileError
from medgan.io import read_volume
from medgan.io.files import content_sha256
from medgan.phantoms.from_ct import ScannedAnatomy, anatomy_of
from medgan.recipes.material import Material
from medgan.training.validation import ScanValidator
from medgan.volumes import Modality, Volume
from medgan.volumes.geometry import Grid
from medgan.volumes.resampling import resample

DATA_VARIABLE = "MEDGAN_DATA"

_log = logging.getLogger(__name__)


def scan_material(config: TrainConfig) -> Material:
    """Batches, validation and provenance of a training on scans.

    Raises:
        MedganError: scans missing, unusable, or among the evaluation pairs too.
    """
    data, settings = config.data, config.data.phantoms
    source_modality, target_modality = config.modalities
    pairs = [scan for pair in config.evaluation for scan in (pair.source, pair.target)]
    training = [path for scan in data.source + data.target for path in scan_paths(config, scan)]
    evaluation = [path for scan in pairs for path in scan_paths(config, scan)]
    require_disjoint({"training": training, "evaluation": evaluation})
    source, target = (
        split_patients(group, data.validation_share, config.training.seed)
        for group in (data.source, data.target)
    )
    source_scans = prepared_scans(config, source.training, source_modality)
    target_scans = prepared_scans(config, target.training, target_modality)
    ct_scans = target.training if config.target == "CT" else source.training
    learned_from: tuple[ScanConfig, ...] = ()
    unpaired, phantoms = None, None
    library = PhantomPatches if config.network.spatial_dims == 3 else PhantomSlices
    if config.uses_phantoms:
        anatomies: list[ScannedAnatomy] = []
        if settings.scanned_share:
            scans = [read_scan(config, scan, "CT") for scan in ct_scans]
            anatomies = [anatomy_of(ct, seed) for seed, ct in enumerate(scans)]
            learned_from = ct_scans
        phantoms = library.training(settings, config.preparation, config.network, anatomies)
    if config.uses_scans:
        unpaired = _unpaired(config, source_scans, target_scans)
        learned_from = source.training + target.training
    # few scans are too few to spare any: then those trained on are judged, which needs no pairs
    validator = ScanValidator(
        config,
        library.validation(settings, config.preparation, config.network),
        prepared_scans(config, source.validation, source_modality) or source_scans,
        prepared_scans(config, target.validation, target_modality) or target_scans,
    )
    provenance = {
        "scans": len(learned_from),
        "phantom_heads": settings.heads if config.uses_phantoms else 0,
        "data_sha256": _fingerprint(training),
        "steps": config.training.steps,
    }
    source_scans, target_scans = (source_scans, target_scans) if config.uses_scans else ((), ())
    domains = _domains(config, source_scans, target_scans)
    return Material(Batches(config, unpaired, phantoms), validator, provenance, domains)


def _domains(
    config: TrainConfig, source: Sequence[Scan], target: Sequence[Scan]
) -> dict[Side, DomainStatistics]:
    """Figures of the scans that are trained on, or else of phantoms."""
    sides: tuple[Side, Side] = ("source", "target")
    return {
        side: domain_statistics(scans)
        if scans
        else phantom_statistics(modality, config.data.phantoms, config.preparation)
        for side, modality, scans in zip(sides, config.modalities, (source, target), strict=True)
    }


def _unpaired(config: TrainConfig, source: Sequence[Scan], target: Sequence[Scan]) -> Images:
    """Scans as the training draws from them: slices, or patches of volumes."""
    match = config.data.match_position
    if config.network.spatial_dims == 3:
        return UnpairedPatches(source, target, config.preparation, match_position=match)
    views = (
        SliceAugmentation(config.preparation, config.source),
        SliceAugmentation(config.preparation, config.target),
    )
    neighbours = config.network.neighbours
    return UnpairedSlices(source, target, views, match_position=match, neighbours=neighbours)


def scan_paths(config: TrainConfig, scan: ScanConfig) -> list[Path]:
    """Where a scan lies, its further contrasts after it.

    Raises:
        ConfigError: a relative path without ``data.root`` and without MEDGAN_DATA.
        FileError: no such file or folder.
    """
    return [_found(config, path) for path in (scan.path, *scan.also)]


def _found(config: TrainConfig, path: Path) -> Path:
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


def prepared_scans(
    config: TrainConfig, scans: Sequence[ScanConfig], modality: Modality
) -> tuple[Scan, ...]:
    """Scans as the networks see them, from the cache where they are there.

    What is odd about their values is logged, with the number of the scan instead of its name.

    Raises:
        ConfigError: a scan has more or fewer contrasts than the network has channels for it.
        DataError: a scan with values that its modality cannot have.
    """
    wanted = config.network.channels[0 if modality == config.source else 1]
    prepared: list[Scan] = []
    for number, scan in enumerate(scans, 1):
        if 1 + len(scan.also) != wanted:
            raise ConfigError(
                "the number of contrasts differs from the network's channels",
                where=scan.path,
                measured=1 + len(scan.also),
                limit=wanted,
                remedy="Name the other contrasts under `also`, or set network.channels",
            )
        prepared.append(_prepared(config, scan, modality))
        for remark in dict.fromkeys(remark for one in prepared[-1] for remark in one.remarks):
            _log.warning("%s scan %d of %d: %s", modality, number, len(scans), remark)
    for number, remark in contrast_remarks(prepared):
        _log.warning("%s scan %d of %d: %s", modality, number, len(scans), remark)
    return tuple(prepared)


def _prepared(config: TrainConfig, scan: ScanConfig, modality: Modality) -> Scan:
    """One scan as the networks see it."""
    paths = scan_paths(config, scan)
    if not scan.also:
        one = prepare_cached(
            paths[0],
            config.preparation,
            modality=modality,
            hu_offset=scan.hu_offset,
            series=scan.series,
        )
        return (one,)
    contrasts = [read_scan(config, scan, modality)]
    contrasts += [read_volume(path, modality=modality) for path in paths[1:]]
    remarks = [implausible(one, path) for one, path in zip(contrasts, paths, strict=True)]
    prepared = prepare_channels(contrasts, config.preparation)
    return [replace(p, remarks=odd) for p, odd in zip(prepared, remarks, strict=True)]


def read_scan(config: TrainConfig, scan: ScanConfig, modality: Modality) -> Volume:
    """A scan as it is stored, its offset added."""
    volume = read_volume(scan_paths(config, scan)[0], modality=modality, series=scan.series)
    if not scan.hu_offset:
        return volume
    return volume.with_array(volume.array.astype(np.float32) + np.float32(scan.hu_offset))


def read_pair(config: TrainConfig, pair: PairConfig) -> dict[Modality, Volume]:
    """Both ends of a pair by modality, on the MR's grid.

    It is always the CT that is moved: never the MR, never a synthetic image.
    """
    source, target = config.modalities
    ends: dict[Modality, Volume] = {
        source: read_scan(config, pair.source, source),
        target: read_scan(config, pair.target, target),
    }
    ct, mr = ends["CT"], ends["MR"]
    if pair.register_by == "none":
        ends["CT"] = resample(ct, Grid.of(mr))
    else:
        register = {"rigid": register_rigid, "deformable": register_deformable}[pair.register_by]
        moved = register(ct, mr)
        if moved.deformation_mm:
            _log.info("a CT is deformed by %.1f mm on average", moved.deformation_mm)
        ends["CT"] = moved.volume
    return ends


def _fingerprint(paths: Sequence[Path]) -> str:
    """One hash of the content of all scans, in order."""
    return hashlib.sha256("".join(map(content_sha256, paths)).encode()).hexdigest()
