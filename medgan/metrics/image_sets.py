"""Sets of images on disk: volumes, DICOM series, pictures and NumPy arrays, and whom they show."""

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medgan.errors import ConfigError, DataError, FileError
from medgan.io import SUFFIXES, read_volume, split_suffix
from medgan.io.pictures import opened
from medgan.metrics.extractor import Picture
from medgan.volumes import Modality, Volume

PICTURES = (".png", ".jpg", ".jpeg")
ARRAYS = (".npy",)

_PREAMBLE, _MAGIC = 128, b"DICM"
"""Source: DICOM PS3.10, 7.1: the file preamble and the prefix after it."""


@dataclass(frozen=True, eq=False)
class SetImage:
    """One image of a set, read.

    Attributes:
        content: a volume, or pictures of one patient (one, or the slices of an array).
        patient: whom it shows, in no form that identifies; None where that is not known.
    """

    content: Volume | tuple[Picture, ...]
    patient: str | None


@dataclass(frozen=True)
class SetEntry:
    """One image of a set, not yet read.

    Attributes:
        name: file below the folder of the set, or the UID of a series.
        key: the name without its ending, by which masks and annotations are found.
        read: reads it; raises FileError, DataError or GeometryError.
    """

    name: str
    key: str
    read: Callable[[], SetImage]


@dataclass(frozen=True)
class ImageSet:
    """The images of a folder, in a fixed order; ``refused``: DICOM series that cannot be read."""

    entries: tuple[SetEntry, ...]
    refused: int = 0


def open_set(
    folder: Path, *, modality: Modality | None = None, patients: str | None = None
) -> ImageSet:
    """Find the images of a set, without reading them.

    Args:
        folder: searched through and through for volumes, DICOM files, .png, .jpg and .npy.
        modality: of volumes that do not say it; None: told from the values.
        patients: regular expression searched in each name below the folder; its first group, or
            all that it matches, names the patient. None: the first folder below ``folder``; for
            DICOM the patient's ID; for a volume itself; else unknown.

    Raises:
        FileError: no such folder, or no image in it.
        ConfigError: not a regular expression.
        DataError: the expression does not match a name.
    """
    if not folder.is_dir():
        raise FileError("no such folder", where=folder)
    rule = _PatientRule(patients)
    readers: dict[str, Callable[[Path], Volume | tuple[Picture, ...]]] = {
        **dict.fromkeys(SUFFIXES, lambda path: read_volume(path, modality=modality)),
        **dict.fromkeys(PICTURES, lambda path: (read_picture(path),)),
        **dict.fromkeys(ARRAYS, read_array),
    }
    entries, with_dicom = [], False
    for path in _files(folder):
        stem, suffix = split_suffix(path)
        if suffix in readers:
            name = path.relative_to(folder).as_posix()
            patient = rule.of(name, stem if suffix in SUFFIXES else None)
            key = name_without_ending(path, folder)
            entries.append(SetEntry(name, key, _file_reader(path, readers[suffix], patient)))
        else:
            with_dicom = with_dicom or _is_dicom(path)
    series = _open_series(folder, rule) if with_dicom else ImageSet(())
    found = ImageSet((*entries, *series.entries), series.refused)
    if not found.entries:
        raise FileError(
            "no image in this folder",
            where=folder,
            limit=f"{', '.join((*SUFFIXES, *PICTURES, *ARRAYS))} and DICOM",
            measured=f"{found.refused} DICOM series that cannot be read" if found.refused else None,
        )
    return found


def name_without_ending(path: Path, folder: Path) -> str:
    """A file's name below a folder, subfolders included, without its ending."""
    return (path.relative_to(folder).parent / split_suffix(path)[0]).as_posix()


def read_picture(path: Path) -> Picture:
    """A picture file, 8 or 16 bits a channel, as values from 0 to 1; transparency is dropped.

    Raises:
        FileError: damaged, not a picture, or too large.
    """
    with opened(path) as image:
        grey = image.mode in ("1", "L", "LA", "F") or image.mode.startswith("I")
        if image.mode in ("1", "LA"):
            array = np.asarray(image.convert("L"))
        else:
            array = np.asarray(image if grey else image.convert("RGB"))
    # PIL gives 16 bits as int32 too.
    return _to_unit(array.astype(np.uint16) if array.dtype == np.int32 else array, path)


def read_array(path: Path) -> tuple[Picture, ...]:
    """A NumPy file: a picture (rows, columns[, 3]), or slices of one patient (n, rows, columns).

    Whole numbers count up to the largest of their dtype; real ones must lie from 0 to 1.

    Raises:
        FileError: not a NumPy file, or one with pickled objects.
        DataError: another shape, or values outside 0 to 1.
    """
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise FileError("not a NumPy array of numbers", where=path) from error
    if array.ndim not in (2, 3) or 0 in array.shape:
        raise DataError(
            "not a picture and not slices",
            where=path,
            measured=array.shape,
            limit="(rows, columns), (rows, columns, 3) or (slices, rows, columns)",
        )
    values = _to_unit(array, path)
    return (values,) if values.ndim == 2 or values.shape[2] == 3 else tuple(values)


class _PatientRule:
    def __init__(self, pattern: str | None) -> None:
        try:
            self._pattern = None if pattern is None else re.compile(pattern)
        except re.error as error:
            raise ConfigError("not a regular expression for patients", measured=pattern) from error

    @property
    def given(self) -> bool:
        return self._pattern is not None

    def of(self, name: str, otherwise: str | None) -> str | None:
        if self._pattern is None:
            return name.split("/", 1)[0] if "/" in name else otherwise
        match = self._pattern.search(name)
        if match is None:
            raise DataError(
                "the expression for patients does not match", where=name,
                limit=self._pattern.pattern,
            )  # fmt: skip
        return match.group(1) if self._pattern.groups else match.group()


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        below = path.relative_to(folder).parts
        if path.is_file() and not any(part.startswith(".") for part in below):
            yield path


def _file_reader(
    path: Path, read: Callable[[Path], Volume | tuple[Picture, ...]], patient: str | None
) -> Callable[[], SetImage]:
    return lambda: SetImage(read(path), patient)


def _is_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(_PREAMBLE)
        return file.read(len(_MAGIC)) == _MAGIC


def _open_series(folder: Path, rule: _PatientRule) -> ImageSet:
    # Importing pydicom costs a second, and most sets have no DICOM in them.
    from medgan.io.dicom import SeriesEntry, index_folder, read_series

    def reader(entry: SeriesEntry) -> Callable[[], SetImage]:
        def read() -> SetImage:
            series = read_series(entry)
            if rule.given:
                below = entry.paths[0].relative_to(folder).as_posix()
                return SetImage(series.volume, rule.of(below, None))
            identity = str(series.planes[0].header.get("PatientID") or entry.study_uid)
            return SetImage(series.volume, hashlib.sha256(identity.encode()).hexdigest())

        return read

    entries = index_folder(folder).entries
    readable = [entry for entry in entries if entry.problem is None]
    return ImageSet(
        tuple(SetEntry(entry.series_uid, entry.series_uid, reader(entry)) for entry in readable),
        refused=len(entries) - len(readable),
    )


def _to_unit(array: NDArray[Any], path: Path) -> Picture:
    if array.dtype == np.bool_:
        return array.astype(np.float32)
    if array.dtype.kind == "u":
        return np.divide(array, np.iinfo(array.dtype).max, dtype=np.float32)
    values = array.astype(np.float32)
    if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
        raise DataError(
            "values of a picture lie from 0 to 1",
            where=path,
            measured=f"{array.dtype}, {values.min():g} to {values.max():g}",
            remedy="Store unsigned integers or scaled values, or volumes in HU as .nii.gz or .mha",
        )
    return values
