"""Two folders of images, one real and one not: their distances as one document."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

from medgan.errors import ConfigError
from medgan.metrics.aggregates import STD_DDOF, counted, jsonable
from medgan.metrics.extractor import ExtractorFacts, FeatureExtractor
from medgan.metrics.image_sets import ImageSet, open_set
from medgan.metrics.set_centres import AnnotationCentres, MaskCentres
from medgan.metrics.set_comparison import SPLITS, SetComparison, compare_features
from medgan.metrics.set_features import SetFeatures, extract_set, one_kind
from medgan.metrics.set_regions import CROP_MM, Kind, Plane, Region, RegionRule
from medgan.metrics.set_variants import (
    ATTENTIONGAN,
    ATTENTIONGAN_FEATURES,
    KidVariant,
    attentiongan_distances,
    require_variant,
    variant_definition,
)
from medgan.volumes import Modality

HEAD_WINDOW_HU = (-1000.0, 2000.0)
LUNG_WINDOW_HU = (-1000.0, 400.0)
"""Around annotations, which are those of nodules in the lung."""

_SCALING = {
    "MR": "0 to the 99.5th percentile inside the body",
    "picture": "0 to the largest value of the file's type",
}


@dataclass(frozen=True)
class SetOptions:
    """How two sets are compared.

    Attributes:
        region: what is taken out of each image; see ``RegionRule``.
        real_masks: folder of masks with the names of the real images, for crops.
        fake_masks: likewise of the fake ones.
        annotations: CSV of findings in the manner of LUNA16, instead of masks.
        crop_mm: side of a crop; None: 50.
        window_hu: HU shown as 0 and 1; None: that of the extractor if it has one, else of the lung
            with annotations and of the head without.
        modality: of volumes; None: told from the values.
        people: whether images show people, one of whom several images may show; False: natural
            pictures, each of which stands by itself.
        patients: how to tell the patient from a name; see ``open_set``.
        splits: divisions of the real set, at least ten.
        kid_subset: images in each KID subset; None: 1000, or all that are compared where fewer.
        kid_variant: "attentiongan2019": besides, what that publication's script prints.
        seed: of all draws.
    """

    region: Region = "full"
    real_masks: Path | None = None
    fake_masks: Path | None = None
    annotations: Path | None = None
    crop_mm: float | None = None
    window_hu: tuple[float, float] | None = None
    modality: Modality | None = None
    people: bool = True
    patients: str | None = None
    splits: int = SPLITS
    kid_subset: int | None = None
    kid_variant: KidVariant = "standard"
    seed: int = 0

    def __post_init__(self) -> None:
        require_variant(self.kid_variant)


def compare_sets(
    real: Path, fake: Path, extractor: FeatureExtractor, options: SetOptions | None = None
) -> dict[str, Any]:
    """FID, KID, precision and recall of a folder of fakes, with their real-versus-real floor.

    Features go to temporary files, so that the number of images does not fill the memory.

    Args:
        real: folder of real images; see ``open_set``.
        fake: folder of the others.
        extractor: see ``medgan.metrics.features.extractor_named``.
        options: None: whole slices, ten splits.

    Returns:
        A document ready for JSON: the numbers, ``floor_`` and the same for real against real
        images, counts, ``features``, ``region``, ``warnings`` and, for three planes, each of them
        under ``planes``, with means above and the smallest counts. A variant of KID adds
        ``kid_variant``, what it is, and its numbers, whose keys end with its name. ``people``
        is there, and false, where images show none.

    Raises:
        FileError: a folder, mask or annotation file is missing or unreadable.
        DataError: too few images or patients, mixed modalities, or no image in the region.
        GeometryError: a mask or an annotation does not fit its image.
        ConfigError: options that contradict each other or the extractor.
    """
    chosen = options or SetOptions()
    rules = _rules(extractor, chosen)
    sets = [
        open_set(folder, modality=chosen.modality, patients=chosen.patients)
        for folder in (real, fake)
    ]
    with TemporaryDirectory(prefix="medgan-features-") as folder:
        reals, fakes = (
            extract_set(images, rule, extractor, Path(folder) / name)
            for images, rule, name in zip(sets, rules, ("real", "fake"), strict=True)
        )
        kind = one_kind({reals.kind, fakes.kind})
        if kind != "CT" and chosen.window_hu is not None:
            raise ConfigError("only CT has a window in HU", measured=kind)
        compared = _compare(reals, fakes, chosen)
        published = _published(reals, fakes, chosen)
    warnings = _warnings(sets, reals, fakes, compared, people=chosen.people)
    if published and extractor.facts.name != ATTENTIONGAN_FEATURES:
        warnings.append(
            f"{ATTENTIONGAN} was published with {ATTENTIONGAN_FEATURES} features: with "
            f"{extractor.facts.name} its numbers compare with no published table"
        )
    rows = {plane: _row(found) | published.get(plane, {}) for plane, found in compared.items()}
    document = _document(rows, extractor.facts, rules[0], kind, warnings)
    return document if chosen.people else {**document, "people": False}


def _compare(
    reals: SetFeatures, fakes: SetFeatures, options: SetOptions
) -> dict[Plane, SetComparison]:
    return {
        plane: compare_features(
            rows.matrix(),
            fakes.planes[plane].matrix(),
            rows.known_patients(),
            splits=options.splits,
            kid_subset=options.kid_subset,
            seed=options.seed,
        )
        for plane, rows in reals.planes.items()
        if plane in fakes.planes
    }


def _published(
    reals: SetFeatures, fakes: SetFeatures, options: SetOptions
) -> dict[Plane, dict[str, Any]]:
    if options.kid_variant != ATTENTIONGAN:
        return {}
    return {
        plane: attentiongan_distances(
            rows.matrix(), fakes.planes[plane].matrix(), seed=options.seed
        ).to_dict()
        for plane, rows in reals.planes.items()
        if plane in fakes.planes
    }


def _document(
    rows: Mapping[Plane, dict[str, Any]],
    facts: ExtractorFacts,
    rule: RegionRule,
    kind: Kind,
    warnings: list[str],
) -> dict[str, Any]:
    summary = _summary(list(rows.values()))
    published = f"kid_{ATTENTIONGAN}" in summary
    document = {
        **summary,
        **({"kid_variant": variant_definition()} if published else {}),
        "std_ddof": STD_DDOF,
        "features": {
            "name": facts.name,
            "hash": facts.hash,
            "window": rule.window_hu if kind == "CT" else _SCALING[kind],
            "resizing": facts.resizing,
        },
        "region": rule.region,
        **({"crop_mm": rule.crop_mm} if rule.region == "masked" else {}),
        **({"planes": rows} if rule.region == "planes" else {}),
        "warnings": warnings,
    }
    valid: dict[str, Any] = jsonable(document)
    return valid


def _row(found: SetComparison) -> dict[str, Any]:
    row = asdict(found)
    floor = {f"floor_{name}": value for name, value in row.pop("floor").items()}
    return {**row.pop("distances"), **floor, **row}


def _summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Means of the measures over the planes; of counts the smallest."""
    summary = dict(rows[0])
    for name, value in rows[0].items():
        values = [row[name] for row in rows]
        if isinstance(value, float):
            summary[name] = fmean(values)
        elif isinstance(value, int):
            summary[name] = min(values)
    return summary


def _warnings(
    sets: list[ImageSet],
    reals: SetFeatures,
    fakes: SetFeatures,
    compared: Mapping[Plane, SetComparison],
    *,
    people: bool,
) -> list[str]:
    found = []
    least = min(compared.values(), key=lambda one: one.n_compared)
    if least.n_compared <= least.dimension:
        found.append(
            f"{least.n_compared} images are compared at a time and each has {least.dimension} "
            "features: FID is mostly the bias of a small set and says nothing without its floor"
        )
    if people and least.n_patients is None:
        found.append(
            "patients are not known: the floor has the same people on both sides and may be too low"
        )
    shared = len(reals.patients() & fakes.patients())
    if shared:
        found.append(
            f"both sets show {counted(shared, 'patient')}: unlike the floor, the distance has them "
            "on both sides and may be too low"
        )
    refused = sum(images.refused for images in sets)
    if refused:
        found.append(f"DICOM series that cannot be read and are left out: {refused}")
    return found


def _rules(extractor: FeatureExtractor, options: SetOptions) -> tuple[RegionRule, RegionRule]:
    """The rule of the real set and that of the fake one."""
    facts = extractor.facts
    masks = (options.real_masks, options.fake_masks)
    if any(masks) != all(masks) or (any(masks) and options.annotations is not None):
        raise ConfigError("crops need masks of both sets, or annotations instead")
    if options.crop_mm is not None and options.region != "masked":
        raise ConfigError("the size of crops belongs to the region masked", measured=options.region)
    if options.window_hu is not None and facts.window_hu is not None:
        raise ConfigError(
            f"{facts.name} features have a window of their own",
            measured=options.window_hu,
            limit=facts.window_hu,
        )
    default = HEAD_WINDOW_HU if options.annotations is None else LUNG_WINDOW_HU
    centres: list[MaskCentres | AnnotationCentres | None] = [
        None if mask is None else MaskCentres.of(mask) for mask in masks
    ]
    if options.annotations is not None:
        centres = [AnnotationCentres.of(options.annotations)] * 2
    first, second = (
        RegionRule(
            options.region,
            facts.takes == "volumes",
            options.window_hu or facts.window_hu or default,
            centre,
            CROP_MM if options.crop_mm is None else options.crop_mm,
        )
        for centre in centres
    )
    return first, second
