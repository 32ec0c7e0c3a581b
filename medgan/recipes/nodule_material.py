"""The lungs of a training on nodules: folders like LUNA16's, and what a training gets of them."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from medgan.config import ChestSlicesConfig, NodulesConfig, ScanConfig, TrainConfig
from medgan.data.batches import Batches
from medgan.data.luna16 import Luna16, Luna16Scan
from medgan.data.nodule_batches import LungPatches, UnpairedNodules
from medgan.data.nodule_phantoms import NodulePhantoms
from medgan.errors import ConfigError
from medgan.io.files import content_sha256
from medgan.io.metaimage import data_file
from medgan.recipes.material import Material
from medgan.recipes.scans import scan_paths
from medgan.training.nodule_validation import NoduleValidator
from medgan.volumes.intensity import WindowScale


def nodule_material(config: TrainConfig) -> Material:
    """Batches, validation and provenance of a training on nodules.

    Raises:
        ConfigError: no ``data.nodules``, or patches that are not cubes.
        MedganError: a folder without usable scans, or scans without nodules.
    """
    settings, preparation = nodule_settings(config), config.preparation
    scale = WindowScale(*preparation.window_hu)
    library = NodulePhantoms.training(config.data.phantoms, preparation)
    scans: list[Luna16Scan] = []
    unpaired = None
    if config.uses_scans:
        scans = training_scans(config, settings)
        seed = config.training.seed
        patches = LungPatches.of(scans, settings.healthy, preparation, seed)
        unpaired = UnpairedNodules(patches, library.places, scale)
    held_out = NodulePhantoms.validation(config.data.phantoms, preparation)
    provenance = {
        "scans": len(scans),
        "nodules": sum(len(scan.nodules) for scan in scans),
        "phantom_thoraxes": config.data.phantoms.heads if config.uses_phantoms else 0,
        "data_sha256": fingerprint(scans),
        "steps": config.training.steps,
    }
    phantoms = library if config.uses_phantoms else None
    return Material(
        Batches(config, unpaired, phantoms), NoduleValidator(held_out, scale), provenance
    )


def nodule_settings(config: TrainConfig) -> NodulesConfig:
    """What a configuration says of its nodules."""
    settings = config.data.nodules
    if settings is None:
        raise ConfigError(
            "no scans with nodules", where="data.nodules", remedy="Set data.nodules.roots"
        )
    return settings


def training_scans(
    config: TrainConfig, settings: NodulesConfig | ChestSlicesConfig
) -> list[Luna16Scan]:
    """The scans of all folders, those that can be used; the log names the others.

    Raises:
        FileError: no such folder, or one without annotations.
        DataError: a folder without a usable scan.
    """
    return [
        scan
        for root in settings.roots
        for folder in scan_paths(config, ScanConfig(path=root))
        for scan in Luna16.open(folder, subsets=settings.subsets).with_lungs().scans
    ]


def fingerprint(scans: Sequence[Luna16Scan]) -> str:
    """One hash of all images, in order."""
    parts: list[Path] = [part for scan in scans for part in (scan.path, data_file(scan.path))]
    return hashlib.sha256("".join(map(content_sha256, parts)).encode()).hexdigest()
