"""Slices drawn from masks as a source of images in an augmentation experiment."""

import json
from pathlib import Path
from typing import Any

from medgan.errors import DataError
from medgan.inference.mask_slices import SlicePainter
from medgan.inference.nodule_plan import InsertionPlan
from medgan.inference.slice_writing import SlicePlan, paint_scans
from medgan.io.files import write_json
from medgan.metrics.extractor import FeatureExtractor
from medgan.metrics.features import extractor_named
from medgan.metrics.set_evaluation import LUNG_WINDOW_HU, SetOptions, compare_sets
from medgan.metrics.set_regions import Region
from medgan.recipes.augmentation_config import AugmentationExperiment, ImagesConfig, SourceConfig
from medgan.recipes.augmentation_generator import trained_run
from medgan.recipes.augmentation_images import REGIONS, SPLITS
from medgan.recipes.augmentation_material import Material
from medgan.recipes.augmentation_sources import require_same_source


def compare_slices(
    source: SourceConfig, config: AugmentationExperiment, material: Material, out: Path
) -> dict[str, Any]:
    """Draw slices of the training scans' maps and compare them with slices of the test scans.

    Both lie on the model's grid, the table of the scanner taken away; see ``paint_scans``. What is
    there is not made again, and distances are measured once.

    Args:
        source: of kind "slices".
        config: the experiment.
        material: its scans.
        out: its folder; the slices lie in ``synthetic/<source>/train`` and ``test`` in it.

    Returns:
        What ``synthetic/<source>/summary.json`` holds: ``scans``, ``slices``, ``inserted``,
        ``problems``, ``images`` and ``distances``, these as ``image_distances`` has them.

    Raises:
        TrainingError: the folder holds slices made with other settings.
        MedganError: the model cannot be trained or is none of this kind.
    """
    assert config.images is not None
    folder = out / "synthetic" / source.name
    require_same_source(source, folder)
    painter = SlicePainter.load(trained_run(source, config, out, "data.chest_slices"))
    every, new = config.images.every, InsertionPlan(source.nodules, seed=source.seed)
    drawn = SlicePlan(new, every, source.seed)
    train = paint_scans(painter, material.groups["train"], folder / "train", drawn)
    plain = SlicePlan(None, every, source.seed)
    test = paint_scans(painter, material.groups["test"], folder / "test", plain)
    settings = config.images.model_dump(mode="json")
    summary: dict[str, Any] = {
        "scans": len(train.made),
        "slices": sum(len(scan.slices) for scan in train.made),
        "inserted": sum(len(scan.nodules) for scan in train.made),
        "unknown_origin": 0,
        "problems": [
            {"uid": failure.uid, "what": failure.what}
            for failure in (*train.failures, *test.failures)
        ],
        "images": settings,
        "model_sha256": painter.model.sha256,
    }
    place = folder / "summary.json"
    known = json.loads(place.read_text(encoding="utf-8")) if place.exists() else {}
    if any(known.get(key) != summary[key] for key in ("slices", "images", "model_sha256")):
        extractor = extractor_named(config.images.features)
        summary["distances"] = _distances(folder, extractor, config.images)
    else:
        summary["distances"] = known["distances"]
    write_json(place, summary)
    return summary


def _distances(folder: Path, extractor: FeatureExtractor, settings: ImagesConfig) -> dict[str, Any]:
    low, high = extractor.facts.window_hu or LUNG_WINDOW_HU
    found: dict[str, Any] = {
        "features": {"name": extractor.facts.name, "hash": extractor.facts.hash},
        "window_hu": [low, high],
        "crop_mm": settings.crop_mm,
        "every": settings.every,
    }
    for region in REGIONS:
        try:
            found[region] = _distance(folder, region, extractor, settings)
        except DataError as error:
            found[region] = {"refused": str(error)}
    return found


def _distance(
    folder: Path, region: Region, extractor: FeatureExtractor, settings: ImagesConfig
) -> dict[str, Any]:
    masked = region == "masked"
    options = SetOptions(
        region=region,
        real_masks=folder / "test" / "real_masks" if masked else None,
        fake_masks=folder / "train" / "synthetic_masks" if masked else None,
        crop_mm=settings.crop_mm if masked else None,
        window_hu=None if extractor.facts.window_hu else LUNG_WINDOW_HU,
        splits=SPLITS,
    )
    document = compare_sets(
        folder / "test" / "real", folder / "train" / "synthetic", extractor, options
    )
    return {
        key: value
        for key, value in document.items()
        if value is None or isinstance(value, int | float)
    }
