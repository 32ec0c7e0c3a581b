"""Published patches of nodules: chunks of LUNA16 and slices of tumours of the Decathlon."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medgan.data.samples import Image, Mask
from medgan.errors import DataError, FileError
from medgan.io.luna16 import uid_of

NO_NODULE = 2
"""Class of a candidate that is none; 0 and 1 are nodules."""


@dataclass(frozen=True, eq=False)
class Chunk:
    """A box of a LUNA16 scan about a candidate.

    Attributes:
        uid: series UID.
        image: (X, Y, Z) float32, HU clipped to [-1000, 1000]; axes and voxel size of the scan,
            which the file does not record.
        centre: (i, j, k), voxel of the scan in the middle.
        position_mm: world coordinates, LPS.
        diameter_mm: 0 where there is no nodule.
        is_nodule: whether there is one.
    """

    uid: str
    image: Image
    centre: tuple[int, int, int]
    position_mm: tuple[float, float, float]
    diameter_mm: float
    is_nodule: bool


@dataclass(frozen=True, eq=False)
class TumourSlices:
    """Axial slices of lung tumours.

    Attributes:
        images: (N, rows, columns) float32 in [0, 1]; the window is not recorded.
        masks: (N, rows, columns) bool, the tumour.
    """

    images: Image
    masks: Mask


def read_chunks(folder: Path) -> tuple[Chunk, ...]:
    """Read ``<seriesuid>_<k>_<j>_<i>.npz`` and what ``present_candidates.csv`` says of them.

    Args:
        folder: arrays ``ct_chunk`` (Z, Y, X) and ``center_irc`` (slice, row, column); a table
            ``seriesuid, diameter_mm, class, coord_x, coord_y, coord_z``.

    Returns:
        The chunks in the order of their names.

    Raises:
        FileError: no such table or chunk, or not of this kind.
        DataError: a chunk without a row.
    """
    rows = _candidates(folder / "present_candidates.csv")
    paths = sorted(folder.glob("*.npz"))
    if not paths:
        raise FileError("no chunk in this folder", where=folder, limit="*.npz")
    chunks = []
    for path in paths:
        uid = uid_of(path.name.rsplit("_", 3)[0])
        if uid not in rows:
            raise DataError("a chunk has no row in present_candidates.csv", where=path.name)
        chunks.append(_chunk(path, uid, rows[uid]))
    return tuple(chunks)


def read_tumour_slices(path: Path) -> TumourSlices:
    """Read an HDF5 file with ``images`` and ``labels``, both (N, 1, rows, columns).

    Raises:
        FileError: missing, not of this kind, or h5py is not installed.
        DataError: values that are not finite or outside [0, 1].
    """
    try:
        import h5py
    except ImportError as error:
        raise FileError(
            "HDF5 files need h5py", where=path, remedy="pip install 'medgan[lidc]'"
        ) from error
    try:
        with h5py.File(path, "r") as file:
            images, labels = file["images"][()], file["labels"][()]
    except (OSError, KeyError) as error:
        raise FileError("is not an HDF5 file with images and labels", where=path) from error
    if images.ndim != 4 or images.shape != labels.shape or images.shape[1] != 1:
        raise FileError("is not one channel of slices", where=path, measured=images.shape)
    if not ((images >= 0) & (images <= 1)).all():
        raise DataError("an image is not scaled to [0, 1]", where=path)
    return TumourSlices(images[:, 0].astype(np.float32), labels[:, 0] > 0.5)


@dataclass(frozen=True)
class _Candidate:
    position_mm: tuple[float, float, float]
    diameter_mm: float
    is_nodule: bool


def _candidates(path: Path) -> dict[str, _Candidate]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return {
                row["seriesuid"]: _Candidate(
                    (float(row["coord_x"]), float(row["coord_y"]), float(row["coord_z"])),
                    float(row["diameter_mm"]),
                    int(row["class"]) != NO_NODULE,
                )
                for row in csv.DictReader(file)
            }
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise FileError("is not a table of candidates", where=path) from error


def _chunk(path: Path, uid: str, candidate: _Candidate) -> Chunk:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            image: NDArray[np.float32] = arrays["ct_chunk"]
            k, j, i = (int(number) for number in arrays["center_irc"])
    except (OSError, KeyError, ValueError) as error:
        raise FileError("is not a chunk of a scan", where=path) from error
    if image.ndim != 3 or not np.isfinite(image).all():
        raise FileError("is not a chunk of a scan", where=path, measured=image.shape)
    return Chunk(
        uid,
        np.ascontiguousarray(image.T, np.float32),
        (i, j, k),
        candidate.position_mm,
        candidate.diameter_mm,
        candidate.is_nodule,
    )
