"""How far synthetic scans and nodules are from real ones: FID and KID with their floors."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from medgan.data.luna16 import Luna16Scan, Nodule
from medgan.errors import DataError
from medgan.metrics.aggregates import jsonable
from medgan.metrics.extractor import FeatureExtractor
from medgan.metrics.image_sets import ImageSet, SetEntry, SetImage
from medgan.metrics.set_centres import AnnotationCentres
from medgan.metrics.set_comparison import compare_features
from medgan.metrics.set_evaluation import LUNG_WINDOW_HU
from medgan.metrics.set_features import extract_set
from medgan.metrics.set_regions import Region, RegionRule
from medgan.recipes.augmentation_config import ImagesConfig
from medgan.recipes.augmentation_sources import Source, Synthetic
from medgan.volumes import Volume
from medgan.volumes.geometry import reorient

REGIONS: tuple[Region, ...] = ("full", "masked")

SPLITS = 40
"""Of the test scans: the middle 95 % of as many values is an interval, of ten their range."""


def image_distances(
    test: Sequence[Luna16Scan], source: Source, extractor: FeatureExtractor, settings: ImagesConfig
) -> dict[str, Any]:
    """Distances of a source's scans and of its new nodules from those of the test scans.

    Full: axial slices of whole scans. Masked: crops around the nodules, of synthetic scans around
    the new ones only. The floor is that of test scans against other test scans. The synthetic
    scans show patients of the training scans, so that no patient is on both sides.

    Args:
        test: real scans that nothing has learnt from.
        source: the synthetic ones.
        extractor: of the features.
        settings: what is compared.

    Returns:
        ``features`` (name, hash), ``window_hu``, ``crop_mm``, ``every``; by region ``fid``,
        ``kid``, their floors, ``n_real``, ``n_fake``, ``n_compared``; or ``refused`` and why, where
        there are too few images.

    Raises:
        MedganError: a scan cannot be read.
    """
    found: dict[str, Any] = {
        "features": {"name": extractor.facts.name, "hash": extractor.facts.hash},
        "window_hu": extractor.facts.window_hu or LUNG_WINDOW_HU,
        "crop_mm": settings.crop_mm,
        "every": settings.every,
    }
    for region in REGIONS:
        try:
            found[region] = _distances(region, test, source.scans, extractor, settings)
        except DataError as error:
            found[region] = {"refused": str(error)}
    return dict(jsonable(found))


def _distances(
    region: Region,
    test: Sequence[Luna16Scan],
    synthetic: Sequence[Synthetic],
    extractor: FeatureExtractor,
    settings: ImagesConfig,
) -> dict[str, Any]:
    if region == "full":
        test, synthetic = test[: settings.scans], synthetic[: settings.scans]
    every = settings.every if region == "full" and extractor.facts.takes == "pictures" else 1
    sets = {
        "real": [_entry(scan, scan.uid, every) for scan in test],
        "fake": [_entry(one.scan, one.origin or one.scan.uid, every) for one in synthetic],
    }
    nodules = {scan.uid: scan.nodules for scan in test}
    nodules |= {one.scan.uid: one.inserted for one in synthetic}
    centres = None
    if region == "masked":
        centres = AnnotationCentres({uid: _points(found) for uid, found in nodules.items()})
    rule = RegionRule(
        region,
        extractor.facts.takes == "volumes",
        extractor.facts.window_hu or LUNG_WINDOW_HU,
        centres,
        settings.crop_mm,
    )
    with TemporaryDirectory(prefix="medgan-features-") as folder:
        real, fake = (
            extract_set(ImageSet(tuple(entries)), rule, extractor, Path(folder) / name).planes[
                "axial"
            ]
            for name, entries in sets.items()
        )
        compared = compare_features(
            real.matrix(), fake.matrix(), real.known_patients(), splits=SPLITS
        )
    row = asdict(compared)
    floor = {f"floor_{name}": value for name, value in row.pop("floor").items()}
    return {**row.pop("distances"), **floor, **row}


def _entry(scan: Luna16Scan, patient: str, every: int) -> SetEntry:
    return SetEntry(scan.uid, scan.uid, lambda: SetImage(_thinned(scan.read(), every), patient))


def _thinned(volume: Volume, every: int) -> Volume:
    """Each so many-th axial slice."""
    if every == 1:
        return volume
    upright = reorient(volume)
    affine = upright.affine.copy()
    affine[:, 2] *= every
    return Volume(upright.array[:, :, ::every], affine, volume.modality)


def _points(nodules: Sequence[Nodule]) -> Any:
    """(n, 3) in mm, RAS."""
    lps = np.reshape([nodule.position_mm for nodule in nodules], (-1, 3))
    return lps * (-1, -1, 1)
