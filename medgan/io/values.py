"""What every format shares about voxel values: their kind, their limits, what is stored."""

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medgan import __version__
from medgan.errors import DataError, FileError
from medgan.volumes import Modality, Volume

LARGEST_BYTES = 4 * 2**30
"""Uncompressed voxel data a reader accepts: several times any clinical CT, and no decompression
bomb."""

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


def require_affordable(size: int, where: str | os.PathLike[str]) -> None:
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


def require_finite(array: NDArray[Any], where: str | os.PathLike[str]) -> None:
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
