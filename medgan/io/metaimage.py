"""MetaImage (.mha, .mhd with .raw or .zraw) and NRRD files, and images of SimpleITK.

Both formats and ITK place voxels in LPS; volumes are RAS.
"""

import math
import os
import shutil
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from medgan.errors import FileError, GeometryError, OutputError
from medgan.io.files import output_errors, writing
from medgan.io.values import (
    SYNTHETIC,
    modality_of,
    require_affordable,
    require_finite,
    stored_values,
)
from medgan.volumes import Modality, Volume
from medgan.volumes.geometry import lps_to_ras, ras_to_lps

_SYNTHETIC_KEY = SYNTHETIC.capitalize()
_LARGEST_HEADER = 2**20
_COPY_AGAIN = "Copy the file anew from its source"

_ITEM_BYTES = {
    sitk.sitkUInt8: 1,
    sitk.sitkInt8: 1,
    sitk.sitkUInt16: 2,
    sitk.sitkInt16: 2,
    sitk.sitkUInt32: 4,
    sitk.sitkInt32: 4,
    sitk.sitkUInt64: 8,
    sitk.sitkInt64: 8,
    sitk.sitkFloat32: 4,
    sitk.sitkFloat64: 8,
}

_META_GEOMETRY = {
    "spacing": {"ElementSpacing"},
    "position": {"Offset", "Position", "Origin"},
    "orientation": {"TransformMatrix", "Rotation", "Orientation"},
}
_NRRD_GEOMETRY = {
    "spacing and orientation": {"space directions"},
    "position": {"space origin"},
    "coordinate system": {"space"},
}
_NRRD_SPACES = {"left-posterior-superior", "right-anterior-superior", "left-anterior-superior"}


def as_image(volume: Volume) -> sitk.Image:
    """A SimpleITK image of a volume: same voxels, LPS geometry, shear included."""
    array = volume.array
    if array.dtype == np.bool_:
        array = array.view(np.uint8)
    image = sitk.GetImageFromArray(np.ascontiguousarray(array.T))
    affine = ras_to_lps(volume.affine)
    image.SetSpacing(volume.spacing_mm)
    image.SetDirection((affine[:3, :3] / volume.spacing_mm).ravel().tolist())
    image.SetOrigin(affine[:3, 3].tolist())
    return image


def as_volume(image: sitk.Image, modality: Modality | None = None) -> Volume:
    """A volume of a 3-D scalar SimpleITK image.

    Args:
        image: LPS geometry, as ITK has it.
        modality: None: "CT" when the minimum is below -500, else "MR".
    """
    array = sitk.GetArrayFromImage(image).T
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return Volume(array, lps_to_ras(affine), modality or modality_of(array))


def read_itk(path: Path, modality: Modality | None = None) -> Volume:
    """Read one 3-D scalar MetaImage or NRRD file.

    Args:
        path: a .mha, .mhd or .nrrd file; a detached data file must lie beside it.
        modality: None: "CT" when the minimum is below -500, else "MR".

    Returns:
        The volume, integers in their stored type; ``synthetic`` where the file says so.

    Raises:
        FileError: missing, not of this format, truncated, too large, colour, vector or complex.
        GeometryError: not 3-D, or spacing, position or orientation is not in the header.
        DataError: NaN or infinite values.
    """
    nrrd = _is_nrrd(path)
    data = _nrrd_data(path) if nrrd else _metaimage_data(path)
    reader = sitk.ImageFileReader()
    reader.SetImageIO("NrrdImageIO" if nrrd else "MetaImageIO")
    reader.SetFileName(os.fspath(path))
    try:
        reader.ReadImageInformation()
        _require_complete(data, _declared_bytes(reader, path), path)
        image = reader.Execute()
    except RuntimeError as error:
        raise FileError(
            f"cannot be read as {'NRRD' if nrrd else 'MetaImage'}: truncated or damaged",
            where=path,
            remedy=_COPY_AGAIN,
        ) from error
    volume = as_volume(image, modality)
    require_finite(volume.array, path)
    key = _SYNTHETIC_KEY
    synthetic = image.HasMetaDataKey(key) and image.GetMetaData(key).strip() == "YES"
    array = volume.array
    return volume.with_array(
        array.astype(np.float32) if array.dtype == np.float64 else array, synthetic=synthetic
    )


def data_file(path: Path) -> Path:
    """The file that holds the voxels of a MetaImage or NRRD: itself, or one beside it.

    Raises:
        FileError: missing, not of this format, or the data lies elsewhere.
        GeometryError: spacing, position or orientation is not in the header.
    """
    return (_nrrd_data(path) if _is_nrrd(path) else _metaimage_data(path)).path


def write_itk(volume: Volume, path: Path) -> None:
    """Write a volume as MetaImage or NRRD, compressed, atomically.

    Args:
        volume: CT is stored as int16 when every value is integral, else float32; MR in its own
            integer type, else float32. A synthetic one gets the key ``Synthetic`` with ``YES``.
        path: a .mha, .nrrd or .mhd file; beside the last a .zraw of the same name is written.

    Raises:
        DataError: NaN or infinite values.
        OutputError: the file cannot be written.
    """
    image = as_image(volume.with_array(stored_values(volume, path)))
    if volume.synthetic:
        image.SetMetaData(_SYNTHETIC_KEY, "YES")
    if path.suffix.lower() == ".mhd":
        _write_pair(image, path)
    else:
        with writing(path) as temporary:
            _write(image, temporary, path)


def _write_pair(image: sitk.Image, header: Path) -> None:
    """Header and data under final names in a folder of their own, then moved into place."""
    data = header.with_name(header.name[: -len(header.suffix)] + ".zraw")
    with output_errors(header):
        folder = Path(tempfile.mkdtemp(prefix=".", dir=header.parent))
        try:
            _write(image, folder / header.name, header)
            # No header is better than one that describes the data of another image.
            header.unlink(missing_ok=True)
            for path in (data, header):
                with writing(path) as temporary:
                    (folder / path.name).replace(temporary)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _write(image: sitk.Image, path: Path, where: Path) -> None:
    try:
        sitk.WriteImage(image, os.fspath(path), useCompression=True)
        # ITK does not notice a disk that fills up while it writes.
        read_itk(path)
    except (RuntimeError, FileError) as error:
        raise OutputError(
            "cannot be written completely",
            where=where,
            remedy="Check the free space and the permissions of this folder",
        ) from error


@dataclass(frozen=True)
class _Data:
    """Where the voxels of a file are.

    Attributes:
        path: the file that holds them.
        offset: bytes before them.
        compressed: with zlib or gzip.
    """

    path: Path
    offset: int
    compressed: bool


def _is_nrrd(path: Path) -> bool:
    return path.suffix.lower() == ".nrrd"


def _metaimage_data(path: Path) -> _Data:
    start = _start(path)
    text, found, rest = start.partition(b"ElementDataFile")
    fields = _fields(text, "=")
    if not found or "NDims" not in fields:
        raise FileError("is not a MetaImage file", where=path)
    _require_geometry(fields, _META_GEOMETRY, path)
    compressed = fields.get("CompressedData", "").lower() == "true"
    line, _, _ = rest.partition(b"\n")
    name = line.decode("utf-8", "replace").strip().lstrip("=").strip()
    if name.upper() == "LOCAL":
        return _Data(path, len(text) + len(found) + len(line) + 1, compressed)
    return _Data(_beside(path, name), _header_size(fields, path), compressed)


def _header_size(fields: dict[str, str], path: Path) -> int:
    text = fields.get("HeaderSize", "0")
    try:
        # -1 says that the voxels are the end of the file, however long its beginning.
        return max(0, int(text))
    except ValueError as error:
        raise FileError("has a damaged HeaderSize", where=path, measured=text) from error


def _nrrd_data(path: Path) -> _Data:
    start = _start(path)
    if not start.startswith(b"NRRD000"):
        raise FileError("is not an NRRD file", where=path)
    text, _, _ = start.replace(b"\r\n", b"\n").partition(b"\n\n")
    fields = _fields(text, ":")
    _require_geometry(fields, _NRRD_GEOMETRY, path)
    if fields["space"].lower() not in _NRRD_SPACES:
        raise GeometryError(
            "has an unknown coordinate system", where=path, measured=fields["space"]
        )
    encoding = fields.get("encoding", "").lower()
    skips = {fields.get(f"{unit} skip", "0") for unit in ("line", "byte")}
    if encoding not in {"raw", "gzip", "gz"} or skips != {"0"}:
        raise FileError(
            "is stored in an unsupported way",
            where=path,
            measured=f"encoding {encoding}, skips {sorted(skips)}",
            limit="encoding raw or gzip, nothing skipped",
            remedy="Save it anew with 3D Slicer",
        )
    name = fields.get("data file", fields.get("datafile"))
    if name is not None:
        return _Data(_beside(path, name), 0, encoding != "raw")
    end = start.index(b"\n\r\n") + 3 if b"\n\r\n" in start[: len(text) + 99] else len(text) + 2
    return _Data(path, end, encoding != "raw")


def _start(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(_LARGEST_HEADER)
    except FileNotFoundError as error:
        raise FileError("no such file", where=path) from error
    except OSError as error:
        raise FileError("cannot be opened", where=path, measured=error.strerror) from error


def _fields(text: bytes, separator: str) -> dict[str, str]:
    lines = text.decode("utf-8", "replace").splitlines()
    pairs = (line.partition(separator) for line in lines if not line.startswith("#"))
    return {key.strip(): value.strip() for key, _, value in pairs}


def _require_geometry(fields: dict[str, str], needed: dict[str, set[str]], path: Path) -> None:
    missing = {
        name: keys for name, keys in needed.items() if not any(fields.get(key) for key in keys)
    }
    if missing:
        keys = ", ".join(min(keys) for keys in missing.values())
        raise GeometryError(
            f"does not say where the image lies: {' and '.join(missing)} missing",
            where=path,
            remedy=f"Add to its header: {keys}",
        )


def _beside(header: Path, name: str) -> Path:
    """The data file a header names, which must be a plain name in the header's own folder."""
    plain = Path(name).name
    if Path(name) != Path(plain) or plain in {"..", ""} or "%" in name or name.split()[0] == "LIST":
        raise FileError(
            "names voxel data outside its folder or in several files",
            where=header,
            measured=name,
            limit="one file beside the header",
            remedy="Convert it to .mha or .nii.gz with the tool that wrote it",
        )
    data = header.with_name(name)
    if not data.is_file():
        raise FileError("its data file is missing", where=header, measured=name)
    return data


def _declared_bytes(reader: sitk.ImageFileReader, path: Path) -> int:
    pixel = reader.GetPixelID()
    if reader.GetNumberOfComponents() != 1 or pixel not in _ITEM_BYTES:
        kind = sitk.GetPixelIDValueAsString(pixel)
        raise FileError(
            "is not a scalar image", where=path, measured=kind, limit="integer or real voxels"
        )
    if reader.GetDimension() != 3:
        raise GeometryError(
            "is not one 3-D image", where=path, measured=reader.GetSize(), limit="(X, Y, Z)"
        )
    size: int = math.prod(reader.GetSize()) * _ITEM_BYTES[pixel]
    require_affordable(size, path)
    return size


def _require_complete(data: _Data, size: int, path: Path) -> None:
    """Compare what is there with what is declared: ITK can accept less and make up the rest."""
    if data.compressed:
        measured = _inflated_bytes(data, size)
    else:
        measured = data.path.stat().st_size - data.offset
    if measured < size:
        raise FileError(
            "is truncated",
            where=path,
            measured=f"{measured} bytes of voxels",
            limit=f"{size} as its header declares",
            remedy=_COPY_AGAIN,
        )


def _inflated_bytes(data: _Data, enough: int) -> int:
    either_zlib_or_gzip = 47
    inflate = zlib.decompressobj(either_zlib_or_gzip)
    count = 0
    try:
        with data.path.open("rb") as stream:
            stream.seek(data.offset)
            while count < enough and (chunk := stream.read(2**16)):
                count += len(inflate.decompress(chunk))
    except zlib.error as error:
        raise FileError(
            "its compressed data is damaged", where=data.path, remedy=_COPY_AGAIN
        ) from error
    return count
