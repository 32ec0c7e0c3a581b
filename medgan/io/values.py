"""What every format shares about voxel values: their kind, their limits, what is stored."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medgan import __version__
from medgan.errors import DataError, FileError, GeometryError
from medgan.io.files import shown
from medgan.volumes import Modality, Volume
from medgan.volumes.geometry import Affine

LARGEST_BYTES = 4 * 2**30
"""Uncompressed voxel data a reader accepts: several times any clinical CT, and no decompression
bomb."""

LARGEST_UNPACKED = 256 * 2**20
"""Bytes that compressed data may unpack to however small it is."""

LARGEST_EXPANSION = 100
"""Bytes for a compressed one beyond that; real scans stay below 20, masks below 1000."""

SMALLEST_MM, LARGEST_MM = 1e-6, 1e6
"""Voxels of a nanometre to positions a kilometre away: beyond, a header is damaged, and products of
such numbers overflow."""

_SMALLEST_DETERMINANT = 1e-6
"""Of the voxel axes as unit vectors: below, two are parallel within a thousandth of a degree."""

CT_BELOW = -500
"""An image that reaches below this is CT when nothing else is said: only air in HU does."""

SYNTHETIC = "SYNTHETIC"
"""First word of the NIfTI description, and in capitals the key, that mark a synthetic image."""


def modality_of(array: NDArray[Any]) -> Modality:
    """Tell CT from MR by the minimum: below -500 it is CT. A CT without air must be declared."""
    return "CT" if array.min() < CT_BELOW else "MR"


def synthetic_mark(volume: Volume) -> str:
    """The words that tell a reader of the file that a model made it; empty for a real scan."""
    return f"{SYNTHETIC} {volume.modality} medgan {__version__}" if volume.synthetic else ""


def require_openable(path: Path) -> None:
    """Refuse a name that ends the whole process in SimpleITK, which takes UTF-8 only.

    Raises:
        FileError: the path is not UTF-8.
    """
    if shown(path) != str(path):
        raise FileError(
            "cannot be opened: its name is not UTF-8",
            where=shown(path),
            remedy="Rename the file or its folder",
        )


def require_affordable(size: int, where: object) -> None:
    """Refuse before reading what would not fit.

    Args:
        size: bytes of voxel data the header declares, uncompressed.
        where: the file.

    Raises:
        FileError: more than ``LARGEST_BYTES``.
    """
    if size > LARGEST_BYTES:
        raise FileError(
            "declares more voxel data than is accepted",
            where=where,
            measured=f"{size / 2**30:.3g} GiB",
            limit=f"{LARGEST_BYTES / 2**30:.3g} GiB",
            remedy="Crop or resample the image, or check that its header is not damaged",
        )


def require_plausible(size: int, packed: int, where: object, *, weight: int = 1) -> None:
    """Refuse before unpacking what is so much larger than its file that it is made to fill memory.

    Args:
        size: bytes after unpacking.
        packed: bytes before.
        where: the file.
        weight: memory and time that a byte takes compared with one of a voxel.

    Raises:
        FileError: more than ``LARGEST_UNPACKED`` and ``LARGEST_EXPANSION`` times the file.
    """
    if size > (limit := (LARGEST_UNPACKED + LARGEST_EXPANSION * packed) / weight):
        raise FileError(
            "unpacks to more than is accepted from so small a file",
            where=where,
            measured=f"{size / 2**20:.4g} MiB from {packed} bytes",
            limit=f"{limit / 2**20:.4g} MiB",
            remedy="Save it without compression, or check that it is not damaged",
        )


def require_placeable(affine: Affine, where: object) -> None:
    """Refuse numbers that place no image of a patient.

    Args:
        affine: (4, 4) voxel index -> position in mm.
        where: the file.

    Raises:
        GeometryError: NaN, a voxel size or position out of all bounds, or parallel axes.
    """
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    sizes = np.array([spacing.min(), spacing.max(), np.abs(affine[:3, 3]).max()])
    if not (sizes[0] >= SMALLEST_MM and (sizes <= LARGEST_MM).all()):
        raise GeometryError(
            "has an impossible voxel size or position",
            where=where,
            measured=f"voxels of {sizes[0]:.3g} to {sizes[1]:.3g} mm, {sizes[2]:.3g} mm away",
            limit=f"{SMALLEST_MM:g} to {LARGEST_MM:g} mm",
        )
    determinant = abs(float(np.linalg.det(affine[:3, :3] / spacing)))
    if determinant < _SMALLEST_DETERMINANT:
        raise GeometryError(
            "the affine is singular: its voxel axes are parallel",
            where=where,
            measured=f"determinant {determinant:.3g}",
            limit=f"{_SMALLEST_DETERMINANT:g} for axes of length 1",
        )


def require_finite(array: NDArray[Any], where: object) -> None:
    """Refuse NaN and infinity.

    Raises:
        DataError: with the number of such voxels.
    """
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise DataError(
            "holds voxels that are NaN or infinite",
            where=where,
            measured=f"{np.count_nonzero(~np.isfinite(array))} voxels",
            limit=0,
            remedy="Replace them by the background: -1000 HU in CT, 0 in MR",
        )


def stored_values(volume: Volume, where: str | os.PathLike[str]) -> NDArray[Any]:
    """The values as they go into a file.

    CT becomes int16 when every value is integral and fits, else float32. MR and LABEL keep an
    integer type and are float32 otherwise.

    Returns:
        (X, Y, Z), native byte order, a type that NIfTI, MetaImage and NRRD all know.

    Raises:
        DataError: a value is NaN or infinite.
    """
    array = volume.array
    require_finite(array, where)
    if array.dtype == np.bool_:
        return array.astype(np.uint8)
    if volume.modality == "CT":
        limits = np.iinfo(np.int16)
        fits = limits.min <= array.min() and array.max() <= limits.max
        integral = array.dtype.kind in "iu" or np.array_equal(array, np.rint(array))
        return array.astype(np.int16 if fits and integral else np.float32)
    if array.dtype.kind in "iu":
        return array.astype(array.dtype.newbyteorder("="))
    return array.astype(np.float32)
