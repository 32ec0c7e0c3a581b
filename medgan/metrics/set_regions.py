"""Which part of an image is compared: all of it, three planes, or crops of fixed size in mm."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from medgan.errors import ConfigError, DataError, GeometryError
from medgan.io import read_volume
from medgan.metrics.extractor import Picture
from medgan.metrics.image_sets import SetEntry
from medgan.metrics.set_centres import AnnotationCentres, MaskCentres
from medgan.volumes import Volume
from medgan.volumes.geometry import apply_affine, crop, reorient
from medgan.volumes.intensity import PercentileScale, WindowScale
from medgan.volumes.masks import body_mask

Region = Literal["full", "masked", "planes"]
Plane = Literal["axial", "coronal", "sagittal"]
Kind = Literal["CT", "MR", "picture"]

PLANES: tuple[Plane, ...] = ("axial", "coronal", "sagittal")

CROP_MM = 50.0
"""Side of a crop where none is given: a nodule of 30 mm, the largest so called, with margins."""


@dataclass(frozen=True, eq=False)
class Sample:
    """One thing that an extractor is given.

    Attributes:
        image: a picture, or a CT volume in HU where the extractor takes volumes.
        plane: of a picture cut out of a volume; "axial" for all that is not cut.
        patient: whom it shows, None where that is not known.
        kind: what it was: "CT", "MR" or "picture".
    """

    image: Picture | Volume
    plane: Plane
    patient: str | None
    kind: Kind


@dataclass(frozen=True)
class RegionRule:
    """What is taken out of each image, and how its values become those of a picture.

    Attributes:
        region: all slices, those of three planes, or crops.
        volumes: whether volumes in HU are wanted instead of pictures.
        window_hu: the HU that become 0 and 1.
        centres: of crops.
        crop_mm: their side.
    """

    region: Region
    volumes: bool
    window_hu: tuple[float, float]
    centres: MaskCentres | AnnotationCentres | None = None
    crop_mm: float = CROP_MM

    def __post_init__(self) -> None:
        if self.region == "planes" and self.volumes:
            raise ConfigError("these features are those of volumes, which have no planes")
        if (self.region == "masked") != (self.centres is not None):
            raise ConfigError(
                "masks or annotations belong to the region masked, and it to them",
                measured=self.region,
            )
        if not 0 < self.crop_mm < np.inf:
            raise ConfigError("a crop needs a size", measured=self.crop_mm, limit="above 0 mm")


def samples(entry: SetEntry, rule: RegionRule) -> Iterator[Sample]:
    """Read an image and yield what an extractor is given of it.

    Slices lie as a radiologist looks at them, the patient's right on the left, padded to squares in
    mm with background; those without any contrast (padding of a scan) are left out. CT is windowed;
    MR is scaled so that 0 stays 0 and the 99.5th percentile inside the body becomes 1.

    Raises:
        MedganError: the image cannot be read, or not in this region.
    """
    image = entry.read()
    if not isinstance(image.content, Volume):
        if rule.region != "full" or rule.volumes:
            raise DataError(
                "a picture has no planes, no millimetres and no third dimension",
                where=entry.name,
                limit="region full and features of pictures",
            )
        for picture in image.content:
            yield Sample(picture, "axial", image.patient, "picture")
        return
    kind = image.content.modality
    if kind == "LABEL":
        raise DataError("a label map has no distance", where=entry.name, limit="CT or MR")
    for plane, part in _parts(entry, image.content, rule):
        yield Sample(part, plane, image.patient, kind)


def _parts(
    entry: SetEntry, volume: Volume, rule: RegionRule
) -> Iterator[tuple[Plane, Picture | Volume]]:
    upright = reorient(volume)
    if rule.centres is None and rule.volumes:
        yield "axial", upright
        return
    shown = upright if rule.volumes else upright.with_array(_unit_values(upright, rule.window_hu))
    if rule.centres is not None:
        positions = rule.centres.of_image(entry, volume)
        if isinstance(rule.centres, MaskCentres):
            _require_binary(rule.centres.masks[entry.key])
        for position in positions:
            part = cropped(shown, position, rule.crop_mm, 0.0 if not rule.volumes else None)
            yield "axial", part if rule.volumes else _slice(part, "axial", part.shape[2] // 2)
        return
    for plane in PLANES if rule.region == "planes" else PLANES[:1]:
        for index in range(shown.shape[_NORMAL[plane]]):
            picture = _slice(shown, plane, index)
            if picture.min() < picture.max():
                yield plane, picture


def cropped(
    volume: Volume, position: NDArray[np.float64], side_mm: float, fill: float | None = None
) -> Volume:
    """A cube of whole voxels around a position; nothing is interpolated.

    Args:
        volume: any grid.
        position: (3,) in mm, RAS; the cube's middle, to half a voxel.
        side_mm: to half a voxel.
        fill: beyond the volume; None: its background.

    Raises:
        GeometryError: the position lies outside the volume.
    """
    middle = np.rint(
        apply_affine(np.asarray(np.linalg.inv(volume.affine), np.float64), position)
    ).astype(int)
    if (middle < 0).any() or (middle >= volume.shape).any():
        raise GeometryError(
            "the middle of a crop lies outside its scan",
            measured=f"voxel {middle.tolist()}",
            limit=f"{list(volume.shape)} voxels",
            remedy="Check that masks or annotations belong to these scans",
        )
    sizes = np.maximum(1, np.rint(np.divide(side_mm, volume.spacing_mm))).astype(int)
    starts = middle - sizes // 2
    before = np.maximum(0, -starts)
    after = np.maximum(0, starts + sizes - volume.shape)
    x, y, z = (
        slice(max(0, start), start + size) for start, size in zip(starts, sizes, strict=True)
    )
    part = crop(volume, (x, y, z))
    affine = volume.affine.copy()
    affine[:3, 3] = apply_affine(volume.affine, starts)
    values = np.pad(
        part.array,
        list(zip(before, after, strict=True)),
        constant_values=volume.background if fill is None else fill,
    )
    return Volume(values, affine, volume.modality, volume.frame_of_reference, volume.synthetic)


def _require_binary(path: Path) -> None:
    """Refuse a map of several labels: its touching organs would be one piece."""
    labels = np.unique(read_volume(path, modality="LABEL").array)
    others = int(np.count_nonzero(labels))
    if others > 1:
        raise DataError(
            "a mask has one value besides 0; this is a label map or an image",
            where=path.name,
            measured=f"{others} values besides 0",
            limit="1",
            remedy="Give masks of what is compared and nothing else",
        )


_NORMAL: dict[Plane, int] = {"axial": 2, "coronal": 1, "sagittal": 0}


def _slice(volume: Volume, plane: Plane, index: int) -> Picture:
    normal = _NORMAL[plane]
    # In RAS the last voxel is the uppermost, foremost and rightmost; a picture begins with it.
    picture = np.flip(np.take(volume.array, index, axis=normal)).T
    columns_mm, rows_mm = (size for axis, size in enumerate(volume.spacing_mm) if axis != normal)
    return _square(picture, rows_mm, columns_mm)


def _square(picture: Picture, rows_mm: float, columns_mm: float) -> Picture:
    rows, columns = picture.shape
    side_mm = max(rows * rows_mm, columns * columns_mm)
    missing = (round(side_mm / rows_mm) - rows, round(side_mm / columns_mm) - columns)
    return np.pad(picture, [(count // 2, count - count // 2) for count in missing])


def _unit_values(volume: Volume, window_hu: tuple[float, float]) -> NDArray[np.float32]:
    scale = (
        WindowScale(*window_hu)
        if volume.modality == "CT"
        else PercentileScale.fit(volume.array, body_mask(volume))
    )
    return np.asarray((scale.forward(volume.array) + 1) / 2, dtype=np.float32)
