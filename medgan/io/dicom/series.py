"""A DICOM series as a volume."""

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydicom import Dataset

from medgan.io.dicom.decode import stored_frames
from medgan.io.dicom.errors import (
    DamagedFile,
    DuplicateSlices,
    GantryTilt,
    MissingSlices,
    VariableSpacing,
)
from medgan.io.dicom.frames import Frame, is_synthetic
from medgan.io.dicom.functional_groups import frame_headers
from medgan.io.dicom.index import SeriesEntry, frame_name, series_name
from medgan.io.dicom.lattice import Lattice, lattice_of, require_aligned
from medgan.io.dicom.parsing import faults_of_the_file, quiet_parsing, read_whole
from medgan.io.dicom.repair import Planes, fill_gaps, merge_duplicates, straighten
from medgan.io.dicom.rescale import StoredSlice, real_values, stored_slice
from medgan.io.values import require_affordable, require_finite, require_plausible
from medgan.volumes import Volume

logger = logging.getLogger(__name__)

REPAIRABLE = (DuplicateSlices, MissingSlices, VariableSpacing, GantryTilt)
"""What ``irregular="resample"`` may mend."""


@dataclass(frozen=True)
class Plane:
    """Where one plane of a volume came from.

    Attributes:
        path: the file.
        header: all of the file but its pixels; one object for all frames of a multi-frame file.
        frame: 1-based number of the frame in a multi-frame file.
    """

    path: Path
    header: Dataset
    frame: int | None = None


@dataclass(frozen=True, eq=False)
class DicomSeries:
    """A volume and the headers it came from.

    Attributes:
        volume: array (X, Y, Z): X along a row (column index), Y down the columns (row index), Z
            along the normal of the planes, which is row direction x column direction; affine to
            RAS in mm.
        planes: where ``volume.array[:, :, k]`` came from; in a repaired volume the nearest plane.
        repairs: what was mended, in words with figures; empty where nothing was.
    """

    volume: Volume
    planes: tuple[Plane, ...]
    repairs: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class _Image:
    plane: Plane
    stored: StoredSlice
    synthetic: bool
    lossy: bool


def read_series(
    entry: SeriesEntry, *, irregular: Literal["error", "resample"] = "error"
) -> DicomSeries:
    """Read one candidate volume.

    Args:
        entry: from ``index_folder``.
        irregular: "resample" merges identical duplicates, interpolates planes where slices are
            missing or lie unevenly, and takes out the shear of a tilted gantry; what was done is
            said in ``repairs``.

    Returns:
        CT in HU: int16 where all values are integral, else float32. MR as rescaled by its header.
        Padding is -1024 HU in CT and 0 in MR. ``volume.synthetic`` where the headers say that a
        model made it.

    Raises:
        GeometryError: the images form no regular stack; see ``medgan.io.dicom.errors``.
        FileError: a file is damaged, cannot be decoded, or is no image of the patient.
        DataError: values in no known unit.
    """
    repair = irregular == "resample" and isinstance(entry.problem, REPAIRABLE)
    if entry.problem is not None and not repair:
        raise entry.problem
    with quiet_parsing():
        return _read(entry, repair)


def _read(entry: SeriesEntry, repair: bool) -> DicomSeries:
    where = series_name(entry.frames, entry.root)
    columns, rows, count = entry.shape
    size = 2 * columns * rows * count
    require_affordable(size, where)
    require_plausible(size, sum(path.stat().st_size for path in entry.paths), where)
    lattice = lattice_of(entry.frames, where)
    images = _images(entry)
    planes = _planes(entry, lattice, images, where)
    if repair:
        planes = _repaired(planes, [frame_name(f, entry.root) for f in entry.frames], where)
    volume = replace(
        planes.volume,
        frame_of_reference=entry.frames[0].frame_of_reference or None,
        synthetic=any(image.synthetic for image in images),
    )
    if lossy := sum(image.lossy for image in images):
        logger.warning("%s: %d of %d images were compressed with losses", where, lossy, len(images))
    return DicomSeries(
        volume, tuple(images[index].plane for index in planes.sources), planes.repairs
    )


def _planes(
    entry: SeriesEntry, lattice: Lattice, images: Sequence[_Image], where: object
) -> Planes:
    modality: Literal["CT", "MR"] = "CT" if entry.modality == "CT" else "MR"
    order = lattice.order
    array = real_values([images[index].stored for index in order], modality)
    require_finite(array, where)
    return Planes(Volume(array, _first_affine(lattice), modality), lattice, order)


def _first_affine(lattice: Lattice) -> Any:
    """The lattice's affine; any invertible one while duplicates still make it singular."""
    if lattice.step @ lattice.normal > 0:
        return lattice.affine
    return replace(lattice, positions=lattice.positions[:1]).affine


def _repaired(planes: Planes, names: list[str], where: object) -> Planes:
    merged = merge_duplicates(planes, where)
    require_aligned(merged.lattice, [names[index] for index in merged.lattice.order], where)
    if len(merged.sources) > 1:
        merged = straighten(fill_gaps(merged, where))
    return merged


def _images(entry: SeriesEntry) -> list[_Image]:
    """Every image of an entry with its stored values, in the entry's order; each file read once."""
    wanted: dict[Path, list[int]] = defaultdict(list)
    for index, frame in enumerate(entry.frames):
        wanted[frame.path].append(index)
    images: dict[int, _Image] = {}
    for path, indices in wanted.items():
        frames = [entry.frames[index] for index in indices]
        images.update(zip(indices, _file_images(path, frames, entry.root), strict=True))
    return [images[index] for index in range(len(entry.frames))]


def _file_images(path: Path, frames: Sequence[Frame], root: Path) -> list[_Image]:
    where = path.relative_to(root)
    with faults_of_the_file(where):
        header = read_whole(path, where)
        first = frames[0]
        found = str(header.get("SOPInstanceUID", "")), (header.get("Rows"), header.get("Columns"))
        if found != (first.instance_uid, first.matrix):
            raise DamagedFile("has changed since the folder was searched", where=where)
        stored = stored_frames(header, [frame.number or 1 for frame in frames], where)
        parts = list(frame_headers(header))
        # The pixels now live in arrays; the header goes on without them.
        del header.PixelData
        synthetic = is_synthetic(header)
        lossy = str(header.get("LossyImageCompression") or "") == "01"
        return [
            _Image(
                Plane(path, header, frame.number),
                stored_slice(values, parts[(frame.number or 1) - 1]),
                synthetic,
                lossy,
            )
            for frame, values in zip(frames, stored, strict=True)
        ]
