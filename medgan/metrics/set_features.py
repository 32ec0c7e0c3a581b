"""The features of a whole set, kept in files so that their number does not fill the memory."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medgan.errors import DataError, MedganError
from medgan.io.pace import paced
from medgan.metrics.extractor import FeatureExtractor
from medgan.metrics.image_sets import ImageSet, SetEntry
from medgan.metrics.set_regions import Kind, Plane, RegionRule, Sample, samples

PICTURES_AT_ONCE = 16

_log = logging.getLogger(__name__)


class FeatureFile:
    """Features in a file that grows, and whom each row shows.

    Args:
        path: a file that does not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._width = 0
        self.patients: list[str | None] = []

    def append(self, features: NDArray[np.float32], patients: Sequence[str | None]) -> None:
        """Add the features (n, d) of n images, and whom they show."""
        self._width = features.shape[1]
        with self._path.open("ab") as file:
            file.write(np.ascontiguousarray(features, dtype=np.float32).tobytes())
        self.patients += patients

    def matrix(self) -> NDArray[np.float32]:
        """All features so far, (n, d), mapped from the file."""
        return np.memmap(self._path, np.float32, "r", shape=(len(self.patients), self._width))

    def known_patients(self) -> list[str] | None:
        """Whom the rows show, or None where that is not known of every one."""
        known = [patient for patient in self.patients if patient is not None]
        return known if len(known) == len(self.patients) else None


@dataclass(frozen=True)
class SetFeatures:
    """Features of a set by plane, and what its images were."""

    planes: dict[Plane, FeatureFile]
    kind: Kind

    def patients(self) -> set[str]:
        """Everybody known to be in the set."""
        return {one for rows in self.planes.values() for one in rows.known_patients() or ()}


def extract_set(
    images: ImageSet, rule: RegionRule, extractor: FeatureExtractor, folder: Path
) -> SetFeatures:
    """Read the images of a set one after another and keep their features.

    Args:
        images: the set.
        rule: what is taken of each image.
        extractor: of the kind of image that the rule yields.
        folder: for the files of features, new; its name stands for the set in errors.

    Raises:
        DataError: no image in this region, or both CT and MR or pictures.
        MedganError: an image cannot be used; the message names it.
    """
    folder.mkdir()
    planes: dict[Plane, FeatureFile] = {}
    waiting: dict[Plane, list[Sample]] = {}
    kinds: set[Kind] = set()

    def flush(plane: Plane) -> None:
        batch = waiting.pop(plane)
        rows = planes.setdefault(plane, FeatureFile(folder / plane))
        features = extractor.extract([sample.image for sample in batch])
        rows.append(features, [sample.patient for sample in batch])

    what = f"{folder.name} set: image"
    for entry in paced(images.entries, _log, what, len(images.entries)):
        for sample in _samples(entry, rule):
            kinds.add(sample.kind)
            waiting.setdefault(sample.plane, []).append(sample)
            if len(waiting[sample.plane]) == (1 if rule.volumes else PICTURES_AT_ONCE):
                flush(sample.plane)
    for plane in list(waiting):
        flush(plane)
    if not planes:
        raise DataError(
            "no image of the set lies in this region",
            where=f"{folder.name} set",
            measured=f"{len(images.entries)} images, region {rule.region}",
            remedy="Check that masks or annotations belong to these images",
        )
    return SetFeatures(planes, one_kind(kinds))


def one_kind(kinds: set[Kind]) -> Kind:
    """The kind that all images are of.

    Raises:
        DataError: there are several.
    """
    if len(kinds) != 1:
        raise DataError(
            "images of several kinds are compared",
            measured=" and ".join(sorted(kinds)),
            limit="one",
            remedy="Where the modality was told wrongly from the values, give it with --modality",
        )
    return next(iter(kinds))


def _samples(entry: SetEntry, rule: RegionRule) -> Iterator[Sample]:
    try:
        yield from samples(entry, rule)
    except MedganError as error:
        if error.where is not None:
            raise
        # A volume knows what is wrong with its values, but not which file it came from.
        raise type(error)(
            error.what,
            where=entry.name,
            measured=error.measured,
            limit=error.limit,
            remedy=error.remedy,
        ) from error
