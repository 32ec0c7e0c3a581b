"""Files to and from volumes.

A volume read and written again keeps its values, its geometry and whether it is synthetic. What a
file does not say, or says in contradiction, is refused with a typed error rather than guessed.
"""

import os
from pathlib import Path

from medgan.errors import DataError, FileError, GeometryError
from medgan.io.files import write_json, write_text, writing
from medgan.io.metaimage import read_itk, write_itk
from medgan.io.nifti import read_nifti, write_nifti
from medgan.volumes import Modality, Volume

__all__ = [
    "SUFFIXES",
    "read_volume",
    "split_suffix",
    "write_json",
    "write_text",
    "write_volume",
    "writing",
]

_NIFTI = (".nii", ".nii.gz")
_ITK = (".mha", ".mhd", ".nrrd")

SUFFIXES = (*_NIFTI, *_ITK)
"""Endings of the files that can be read and written."""


def read_volume(
    path: str | os.PathLike[str], *, modality: Modality | None = None, series: str | None = None
) -> Volume:
    """Read a volume from NIfTI, MetaImage, NRRD or DICOM.

    Args:
        path: a .nii, .nii.gz, .mha, .mhd (with its .raw or .zraw beside it) or .nrrd file; a DICOM
            file; or a folder of DICOM series.
        modality: "CT", "MR" or "LABEL". None: as DICOM says; in other files "CT" when the minimum
            is below -500, else "MR".
        series: rule that picks one DICOM series, e.g. "modality=MR,contrast=T1"; None: there is
            only one.

    Returns:
        Array (X, Y, Z): stored integers, or float32 where real or scaled; affine to RAS in mm.

    Raises:
        FileError: missing, unknown ending, damaged, truncated, too large, not scalar.
        GeometryError: not 3-D, irregular, or the file does not say where the image lies.
        DataError: NaN or infinite values; no DICOM series, several, or one of another modality.
        ConfigError: the rule cannot be understood.
    """
    path = Path(path)
    if _is_dicom(path):
        return _read_dicom(path, modality, series)
    read = read_nifti if _known_suffix(path) in _NIFTI else read_itk
    if not path.is_file():
        raise FileError("no such file" if not path.exists() else "is not a file", where=path)
    try:
        return read(path, modality)
    except GeometryError as error:
        if error.where is not None:
            raise
        # A Volume knows what is wrong with its affine, but not which file it came from.
        raise GeometryError(error.what, where=path, measured=error.measured) from error


def write_volume(volume: Volume, path: str | os.PathLike[str]) -> None:
    """Write a volume as NIfTI, MetaImage or NRRD, chosen by the file's ending, atomically.

    CT is stored as int16 when every value is integral, else float32; MR in its own integer type,
    else float32. A synthetic volume says so in the file.

    Args:
        volume: what to write.
        path: a .nii, .nii.gz, .mha, .mhd or .nrrd file, new or to be replaced.

    Raises:
        FileError: unknown ending.
        DataError: NaN or infinite values.
        OutputError: the file cannot be written.
    """
    path = Path(path)
    write = write_nifti if _known_suffix(path) in _NIFTI else write_itk
    write(volume, path)


def split_suffix(path: str | os.PathLike[str]) -> tuple[str, str]:
    """Split a file's name into stem and ending, ``.nii.gz`` in one piece and dotted UIDs whole.

    Returns:
        The name without its ending, and the ending in lower case; it is one of ``SUFFIXES`` where
        the file can be read, else whatever follows the last dot.
    """
    name = Path(path).name
    matching = [suffix for suffix in SUFFIXES if name.lower().endswith(suffix)]
    suffix = max(matching, key=len, default=Path(name).suffix.lower())
    return name[: len(name) - len(suffix)], suffix


def _is_dicom(path: Path) -> bool:
    """Whether this is a folder, or a file that begins as DICOM does."""
    if split_suffix(path)[1] in SUFFIXES:
        return False
    if not path.is_file():
        return path.is_dir()
    from medgan.io.dicom.parsing import is_dicom

    return is_dicom(path)


def _read_dicom(path: Path, modality: Modality | None, rule: str | None) -> Volume:
    # Only here: who reads other files need not load pydicom.
    from medgan.io.dicom import choose, index_folder, read_series

    volume = read_series(choose(index_folder(path).entries, rule)).volume
    if modality not in (None, volume.modality):
        raise DataError(
            "the series is of another modality",
            where=path,
            measured=volume.modality,
            limit=modality,
        )
    return volume


def _known_suffix(path: Path) -> str:
    _, suffix = split_suffix(path)
    if suffix not in SUFFIXES:
        raise FileError(
            "this kind of file is not known",
            where=path,
            measured=suffix or "no ending",
            limit=", ".join(SUFFIXES),
            remedy="Convert it, or correct its ending",
        )
    return suffix
