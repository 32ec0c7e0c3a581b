"""NIfTI-1 and NIfTI-2 files, plain or gzipped."""

import gzip
import math
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError
from numpy.typing import NDArray

from medgan.errors import FileError, GeometryError
from medgan.io.files import writing
from medgan.io.values import (
    LARGEST_BYTES,
    SYNTHETIC,
    modality_of,
    require_affordable,
    require_finite,
    require_placeable,
    require_plausible,
    stored_values,
    synthetic_mark,
)
from medgan.volumes import Modality, Volume
from medgan.volumes.geometry import Affine, is_sheared

_MM_PER_UNIT = {"unknown": 1.0, "mm": 1.0, "meter": 1000.0, "micron": 0.001}

_SCANNER = 1
"""Source: NIfTI-1 standard, NIFTI_XFORM_SCANNER_ANAT."""

_LARGEST_HEADER = 540
"""Bytes of a NIfTI-2 header; one of NIfTI-1 has 348."""

_PIECE = 1 << 22
"""Voxels scaled at a time."""

_LEVEL = 2
"""Of gzip: four times as fast as the usual 6, and on CT and MR in 16 bits at most 3 % larger."""

_COPY_AGAIN = "Copy the file anew from its source"


def read_nifti(path: Path, modality: Modality | None = None) -> Volume:
    """Read one 3-D NIfTI image.

    The sform places the image where its code is above 0, else the qform; shear is kept. Lengths in
    metres and micrometres become mm; a header without a unit is taken to be in mm, as all common
    tools do. Scaled values become float32, others keep their integer type or become float32.

    Args:
        path: a .nii or .nii.gz file.
        modality: None: "CT" when the minimum is below -500, else "MR".

    Returns:
        The volume; ``synthetic`` where the file's description says so.

    Raises:
        FileError: missing, not NIfTI, truncated, larger than declared limits, colour or complex.
        GeometryError: not 3-D, or placed by neither sform nor qform.
        DataError: NaN or infinite values.
    """
    header, content = _open(path)
    affine = _affine(header, path)
    array = _values(header, content, path)
    require_finite(array, path)
    return Volume(
        array,
        affine,
        modality or modality_of(array),
        synthetic=header["descrip"].item().startswith(SYNTHETIC.encode()),
    )


def write_nifti(volume: Volume, path: Path) -> None:
    """Write a volume as NIfTI-1, atomically.

    sform and qform both hold the affine. A sheared one goes into the sform alone, since a qform
    cannot express it. The description marks a synthetic image and is otherwise empty.

    Args:
        volume: CT is stored as int16 when every value is integral, else float32; MR in its own
            integer type, else float32.
        path: a .nii or .nii.gz file.

    Raises:
        DataError: NaN or infinite values.
        OutputError: the file cannot be written.
    """
    array = stored_values(volume, path)
    # The type is named because nibabel asks for 64-bit integers to be meant.
    image = nib.Nifti1Image(array, None, dtype=array.dtype)
    image.set_sform(volume.affine, _SCANNER)
    image.set_qform(volume.affine, 0 if is_sheared(volume.affine) else _SCANNER)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = synthetic_mark(volume).encode()
    with writing(path) as temporary, temporary.open("wb") as stream:
        if not path.name.lower().endswith(".gz"):
            image.to_stream(stream)
            return
        # Without a name or a time in it: equal images are equal files.
        with gzip.GzipFile("", "wb", _LEVEL, stream, mtime=0) as packed:
            image.to_stream(packed)


def _open(path: Path) -> tuple[nib.Nifti1Header, bytes]:
    """The header and the whole uncompressed file, once the header has been found sane."""
    try:
        with gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb") as stream:
            start = stream.read(_LARGEST_HEADER)
            header = _header(start, path)
            end = int(header["vox_offset"]) + _data_bytes(header)
            require_affordable(end, path)
            require_plausible(end, path.stat().st_size, path, weight=_weight(header))
            stream.seek(0)
            # One byte beyond the end makes gzip verify its checksum.
            content = stream.read(end + 1)
    except FileNotFoundError as error:
        raise FileError("no such file", where=path) from error
    except (OSError, EOFError, zlib.error) as error:
        raise FileError(
            "cannot be read: truncated or damaged", where=path, measured=error, remedy=_COPY_AGAIN
        ) from error
    if len(content) < end:
        raise FileError(
            "is truncated",
            where=path,
            measured=f"{len(content)} bytes",
            limit=f"{end} as its header declares",
            remedy=_COPY_AGAIN,
        )
    return header, content


def _header(start: bytes, path: Path) -> nib.Nifti1Header:
    kinds = (nib.Nifti1Header, nib.Nifti2Header)
    kind = next((kind for kind in kinds if kind.may_contain_header(start)), None)
    if kind is None:
        raise FileError("is not a NIfTI file", where=path)
    try:
        header: nib.Nifti1Header = kind.from_fileobj(BytesIO(start))
        dtype, shape = header.get_data_dtype(), header.get_data_shape()
    except (WrapStructError, HeaderDataError) as error:
        raise FileError("has a damaged header", where=path, measured=error) from error
    if header["magic"].item()[:3] not in (b"n+1", b"n+2"):
        raise FileError("is not a single-file NIfTI", where=path, remedy="Merge header and image")
    offset = float(header["vox_offset"])
    if not header.sizeof_hdr <= offset < LARGEST_BYTES or min(shape, default=0) < 1:
        raise FileError("has a damaged header", where=path, measured=(offset, shape))
    if dtype.kind not in "iuf":
        raise FileError(
            "is not a scalar image", where=path, measured=dtype, limit="integer or real voxels"
        )
    return header


def _data_bytes(header: nib.Nifti1Header) -> int:
    size: int = math.prod(header.get_data_shape()) * header.get_data_dtype().itemsize
    return size


def _weight(header: nib.Nifti1Header) -> int:
    """Bytes in memory for a stored one: scaled values become float32."""
    scaled = float(header["scl_slope"]) not in (0.0, 1.0) or float(header["scl_inter"]) != 0
    return max(1, 4 // header.get_data_dtype().itemsize) if scaled else 1


def _affine(header: nib.Nifti1Header, path: Path) -> Affine:
    try:
        unit = header.get_xyzt_units()[0]
        affine = header.get_sform(coded=True)[0]
        if affine is None:
            affine = header.get_qform(coded=True)[0]
    except (HeaderDataError, KeyError, ValueError) as error:
        raise GeometryError("has an invalid unit or qform", where=path, measured=error) from error
    if affine is None:
        raise GeometryError(
            "does not say where the image lies: the codes of sform and qform are 0",
            where=path,
            remedy="Convert it anew from its DICOM series",
        )
    affine = np.diag([*3 * [_MM_PER_UNIT[unit]], 1.0]) @ np.asarray(affine, dtype=np.float64)
    require_placeable(affine, path)
    return affine


def _values(header: nib.Nifti1Header, content: bytes, path: Path) -> NDArray[Any]:
    """(X, Y, Z) in native byte order: stored integers, or float32 where real or scaled."""
    shape = header.get_data_shape()
    if len(shape) < 3 or any(size != 1 for size in shape[3:]):
        raise GeometryError("is not one 3-D image", where=path, measured=shape, limit="(X, Y, Z)")
    dtype = header.get_data_dtype()
    stored = np.frombuffer(content, dtype, math.prod(shape), int(header["vox_offset"]))
    try:
        slope, intercept = header.get_slope_inter()
    except HeaderDataError as error:
        raise FileError("has an invalid scale factor", where=path, measured=error) from error
    if slope in (None, 1.0) and intercept in (None, 0.0):
        native = dtype.newbyteorder("=") if dtype.kind in "iu" else np.float32
        values = stored.astype(native, copy=False)
    else:
        values = _scaled(stored, float(slope), float(intercept))
    return values.reshape(shape[:3], order="F")


def _scaled(stored: NDArray[Any], slope: float, intercept: float) -> NDArray[np.float32]:
    """In double precision first: an intercept of -1024 must not cost digits.

    Piece by piece, because double precision takes eight times the memory of bytes.
    """
    values = np.empty(len(stored), np.float32)
    for start in range(0, len(stored), _PIECE):
        piece = slice(start, start + _PIECE)
        # What overflows becomes infinite and is refused as such.
        with np.errstate(over="ignore", invalid="ignore"):
            values[piece] = stored[piece] * np.float64(slope) + np.float64(intercept)
    return values
