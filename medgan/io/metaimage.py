"""MetaImage (.mha, .mhd with .raw or .zraw) and NRRD files, and images of SimpleITK.

Both formats and ITK place voxels in LPS; volumes are RAS.
"""

import math
import os
import shutil
import tempfile
import zlib
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from medgan.errors import FileError, GeometryError, OutputError
from medgan.io.files import output_errors, writing
from medgan.io.itk_headers import VoxelData, is_nrrd, voxel_data
from medgan.io.values import (
    SYNTHETIC,
    modality_of,
    require_affordable,
    require_finite,
    require_openable,
    require_placeable,
    require_plausible,
    stored_values,
)
from medgan.volumes import Modality, Volume
from medgan.volumes.geometry import lps_to_ras, ras_to_lps

_SYNTHETIC_KEY = SYNTHETIC.capitalize()
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
    require_openable(path)
    nrrd, data = is_nrrd(path), voxel_data(path)
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
    require_placeable(volume.affine, path)
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
    return voxel_data(path).path


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
    if min(reader.GetSize()) < 1:
        raise FileError("declares no voxels", where=path, measured=reader.GetSize())
    size: int = math.prod(reader.GetSize()) * _ITEM_BYTES[pixel]
    require_affordable(size, path)
    return size


def _require_complete(data: VoxelData, size: int, path: Path) -> None:
    """Compare what is there with what is declared: ITK can accept less and make up the rest."""
    if data.compressed:
        require_plausible(size, data.path.stat().st_size, path)
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


def _inflated_bytes(data: VoxelData, enough: int) -> int:
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
