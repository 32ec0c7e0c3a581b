"""The chests of a training from masks to CT: phantoms, LUNA16 folders, what a training gets."""

from medgan.config import ChestSlicesConfig, TrainConfig
from medgan.data.batches import Batches
from medgan.data.chest_slices import ChestPhantoms, ChestSamples, ChestSlices, UnpairedChests
from medgan.data.luna16_scan import Luna16Scan
from medgan.errors import ConfigError
from medgan.recipes.material import Material
from medgan.recipes.nodule_material import fingerprint, training_scans
from medgan.training.chest_validation import ChestValidator
from medgan.volumes.intensity import WindowScale


def chest_material(config: TrainConfig) -> Material:
    """Batches, validation and provenance of a training from masks to CT.

    Raises:
        ConfigError: no ``data.chest_slices``.
        MedganError: a folder without usable scans.
    """
    settings, preparation = chest_settings(config), config.preparation
    scans: list[Luna16Scan] = []
    seen = unpaired = None
    if config.uses_scans:
        scans = training_scans(config, settings)
        seen = _samples(config, ChestSlices.of_scans(scans, settings.slices, preparation))
        unpaired = UnpairedChests(seen)
    phantoms = None
    if config.uses_phantoms:
        library = ChestSlices.training(config.data.phantoms, preparation)
        phantoms = ChestPhantoms(_samples(config, library))
    held_out = _samples(config, ChestSlices.validation(config.data.phantoms, preparation))
    provenance = {
        "scans": len(scans),
        "slices": 0 if seen is None else len(seen.slices.hu),
        "phantom_thoraxes": config.data.phantoms.heads if config.uses_phantoms else 0,
        "data_sha256": fingerprint(scans),
        "steps": config.training.steps,
    }
    return Material(
        Batches(config, unpaired, phantoms),
        ChestValidator(held_out, seen, config.training.seed),
        provenance,
    )


def chest_settings(config: TrainConfig) -> ChestSlicesConfig:
    """What a configuration says of its chests."""
    settings = config.data.chest_slices
    if settings is None:
        raise ConfigError(
            "no chests", where="data.chest_slices", remedy="Set data.chest_slices.roots"
        )
    return settings


def _samples(config: TrainConfig, slices: ChestSlices) -> ChestSamples:
    preparation = config.preparation
    return ChestSamples(slices, WindowScale(*preparation.window_hu), preparation.spacing_mm[0])
