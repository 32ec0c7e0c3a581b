"""Where MetaImage and NRRD files keep their voxels, from headers that ITK may be shown.

ITK's parsers trust what they read: a large NDims or a long line makes them write beyond their
arrays. Nothing that has not passed here reaches them.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from medgan.errors import FileError, GeometryError
from medgan.io.values import LARGEST_MM

_LARGEST_HEADER = 2**20
_LONGEST_NAME = 255
"""Bytes of a file's name, on all common file systems."""

_LONGEST_LINE = 400
"""Bytes of a line of an NRRD header; the parser bears 500 and crashes at 1000."""

_META_GEOMETRY = {
    "spacing": {"ElementSpacing"},
    "position": {"Offset", "Position", "Origin"},
    "orientation": {"TransformMatrix", "Rotation", "Orientation"},
}
_MOST_DIMENSIONS = 10
"""Source: MetaIO, metaObject.h: arrays of this length."""

_VECTORS = ("DimSize", "ElementSpacing", "ElementSize", "Offset", "Position", "Origin",
            "CenterOfRotation")  # fmt: skip
_MATRICES = ("TransformMatrix", "Rotation", "Orientation")
"""Fields that hold a number for each dimension, and for each pair of dimensions."""

_NRRD_GEOMETRY = {
    "spacing and orientation": {"space directions"},
    "position": {"space origin"},
    "coordinate system": {"space"},
}
_NRRD_NUMBERS = {"sizes", "space directions", "space origin", "spacings", "measurement frame"}
_NO_BRACKETS = str.maketrans("(),", "   ")
_NRRD_SPACES = {"left-posterior-superior", "right-anterior-superior", "left-anterior-superior"}


@dataclass(frozen=True)
class VoxelData:
    """Where the voxels of a file are.

    Attributes:
        path: the file that holds them.
        offset: bytes before them.
        compressed: with zlib or gzip.
    """

    path: Path
    offset: int
    compressed: bool


def is_nrrd(path: Path) -> bool:
    """Whether a file is NRRD, by its name; else it is MetaImage."""
    return path.suffix.lower() == ".nrrd"


def voxel_data(path: Path) -> VoxelData:
    """Find the voxels of a MetaImage or NRRD file, and refuse a header that is not sound.

    Raises:
        FileError: missing, not of this format, damaged, or the data lies elsewhere.
        GeometryError: spacing, position or orientation is not in the header.
    """
    return _nrrd_data(path) if is_nrrd(path) else _metaimage_data(path)


def _metaimage_data(path: Path) -> VoxelData:
    start = _start(path)
    text, found, rest = start.partition(b"ElementDataFile")
    fields = _fields(text, "=")
    if not found or "NDims" not in fields:
        raise FileError("is not a MetaImage file", where=path)
    _require_geometry(fields, _META_GEOMETRY, path)
    _require_well_formed(text, fields, path)
    compressed = fields.get("CompressedData", "").lower() == "true"
    line, _, _ = rest.partition(b"\n")
    name = line.decode("utf-8", "replace").strip().lstrip("=").strip()
    if name.upper() == "LOCAL":
        return VoxelData(path, len(text) + len(found) + len(line) + 1, compressed)
    return VoxelData(_beside(path, name), _header_size(fields, path), compressed)


def _require_well_formed(text: bytes, fields: dict[str, str], path: Path) -> None:
    """Refuse a header that ITK's parser, which keeps fixed arrays, must not see."""
    keys = [line.partition(b"=")[0].strip() for line in text.splitlines() if b"=" in line]
    dimensions = fields["NDims"]
    if len(set(keys)) < len(keys):
        raise FileError("says something twice in its header", where=path)
    if not dimensions.isdecimal() or not 0 < int(dimensions) <= _MOST_DIMENSIONS:
        raise FileError(
            "has a damaged NDims", where=path, measured=dimensions, limit=_MOST_DIMENSIONS
        )
    count = int(dimensions)
    needed = dict.fromkeys(_VECTORS, count) | dict.fromkeys(_MATRICES, count**2)
    for key in needed.keys() & fields.keys():
        words = fields[key].split()
        if len(words) != needed[key] or not all(map(_is_modest, words)):
            limit = f"{needed[key]} numbers up to {LARGEST_MM:g}"
            raise FileError(f"has a damaged {key}", where=path, limit=limit)


def _is_modest(word: str) -> bool:
    """Whether a word is a number that ITK can compute with: some make it loop for ever."""
    try:
        return abs(float(word)) <= LARGEST_MM
    except ValueError:
        return False


def _header_size(fields: dict[str, str], path: Path) -> int:
    text = fields.get("HeaderSize", "0")
    try:
        # -1 says that the voxels are the end of the file, however long its beginning.
        return max(0, int(text))
    except ValueError as error:
        raise FileError("has a damaged HeaderSize", where=path, measured=text) from error


def _nrrd_data(path: Path) -> VoxelData:
    start = _start(path)
    if not start.startswith(b"NRRD000"):
        raise FileError("is not an NRRD file", where=path)
    text, _, _ = start.replace(b"\r\n", b"\n").partition(b"\n\n")
    _require_short_lines(text, path)
    fields = _fields(text, ":")
    _require_geometry(fields, _NRRD_GEOMETRY, path)
    for key in _NRRD_NUMBERS & fields.keys():
        words = fields[key].translate(_NO_BRACKETS).split()
        if not all(word == "none" or _is_modest(word) for word in words):
            raise FileError(
                f"has a damaged '{key}'", where=path, limit=f"numbers up to {LARGEST_MM:g}"
            )
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
        return VoxelData(_beside(path, name), 0, encoding != "raw")
    end = start.index(b"\n\r\n") + 3 if b"\n\r\n" in start[: len(text) + 99] else len(text) + 2
    return VoxelData(path, end, encoding != "raw")


def _require_short_lines(text: bytes, path: Path) -> None:
    """Refuse long lines but for comments and ``key:=value``, which may be of any length."""
    for line in text.splitlines():
        key, free_text, _ = line.partition(b":=")
        start = key if free_text and b": " not in key else line
        if len(start) > _LONGEST_LINE and not line.startswith(b"#"):
            raise FileError(
                "has too long a line in its header",
                where=path,
                measured=f"{len(start)} bytes",
                limit=_LONGEST_LINE,
            )


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
    if len(os.fsencode(name)) > _LONGEST_NAME or not data.is_file():
        raise FileError("its data file is missing", where=header, measured=name[:_LONGEST_NAME])
    return data
