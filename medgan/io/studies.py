"""What volumes a folder of mixed files holds: NIfTI, MetaImage, NRRD and DICOM series."""

import json
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np

from medgan.errors import FileError, MedganError
from medgan.io import SUFFIXES, split_suffix
from medgan.io.dicom import SeriesEntry, index_folder
from medgan.io.files import files_below, shown
from medgan.io.metaimage import data_file
from medgan.volumes import Modality, Volume

_DETACHED = (".mhd", ".nrrd")
_LARGEST_JSON = 2**20
_MOST_LABELS = 256
_SAME_NEIGHBOURS = 0.5
"""Share of equal neighbours along X, background aside: at most 0.2 in real scans of 8 bits."""


@dataclass(frozen=True)
class Source:
    """One volume that can be read.

    Attributes:
        name: relative to the folder that was searched: a file, or the folder of a DICOM series
            of several files that is alone in it, else the series' first file. What is not UTF-8 in
            it is escaped: the files themselves are ``paths``.
        paths: all files that belong to it, that of a volume first.
        entry: of a DICOM series, or of what cannot be read; None for a file of a volume.
        modality: that the ``.json`` beside a file of a volume names; None where it names none.
    """

    name: str
    paths: tuple[Path, ...]
    entry: SeriesEntry | None = None
    modality: Modality | None = None

    @property
    def part(self) -> str:
        """What sets a volume apart within its DICOM series; mostly empty."""
        return self.entry.part if self.entry else ""


@dataclass(frozen=True)
class Leftover:
    """A file that holds no volume: its name relative to the folder searched, and what it is."""

    name: str
    reason: str


@dataclass(frozen=True)
class Tree:
    """What was found: sources sorted by name, and the rest; ``root`` is what names start from."""

    root: Path
    sources: tuple[Source, ...]
    leftovers: tuple[Leftover, ...]


def find_sources(path: Path, *, without: Path | None = None) -> Tree:
    """Find the volumes in a file or a folder, through and through, from names and headers alone.

    Args:
        path: a file or a folder.
        without: a folder below ``path`` to leave out.

    Raises:
        FileError: no such file or folder.
    """
    if not path.exists():
        raise FileError("no such file or folder", where=path)
    if path.is_file():
        if _is_volume(path):
            return Tree(path.parent, (_file_source(path, path.parent),), ())
        return _dicom(path, path.parent, [], None)
    # What cannot be read is among the entries of the index.
    below, _ = files_below(path)
    files = [file for file in below if _is_volume(file) and file.is_file()]
    return _dicom(path, path, [file for file in files if not _below(file, without)], without)


def likely_modality(volume: Volume) -> Modality:
    """The modality, LABEL where values that say MR look like a mask or a label map.

    Those are few integers from 0 up, and most neighbours are equal.
    """
    array = volume.array
    if volume.modality != "MR" or array.min() < 0 or array.max() >= _MOST_LABELS:
        return volume.modality
    # One plane through the middle would miss a small organ: every voxel counts.
    if array.dtype.kind == "f" and not np.array_equal(array, np.rint(array)):
        return volume.modality
    first, second = array[:-1], array[1:]
    inside = (first != 0) | (second != 0)
    pairs = np.count_nonzero(inside)
    same = np.count_nonzero((first == second) & inside)
    return "LABEL" if pairs and same / pairs >= _SAME_NEIGHBOURS else "MR"


def _dicom(path: Path, root: Path, volumes: Iterable[Path], without: Path | None) -> Tree:
    """The whole tree, once the files of volumes in it are known."""
    index = index_folder(path)
    entries = [
        entry for entry in index.entries if not any(_below(file, without) for file in entry.paths)
    ]
    used = Counter(file.parent for entry in entries for file in set(entry.paths))
    sources = [_file_source(file, root) for file in volumes]
    known = {file for source in sources for file in source.paths}
    for entry in entries:
        parents = {file.parent for file in entry.paths}
        files = len(set(entry.paths))
        alone = files > 1 and len(parents) == 1 and used[min(parents)] == files
        place = min(parents) if alone else entry.paths[0]
        sources.append(Source(_relative(place, root), entry.paths, entry))
    leftovers = [
        Leftover(_relative(item.path, root), item.reason)
        for item in index.skipped
        if item.path not in known and not _below(item.path, without)
    ]
    return Tree(
        root,
        tuple(sorted(sources, key=lambda source: (source.name, source.part))),
        tuple(sorted(leftovers, key=lambda leftover: leftover.name)),
    )


def _file_source(path: Path, root: Path) -> Source:
    paths = [path]
    if split_suffix(path)[1] in _DETACHED:
        # What is wrong with it is said when it is read.
        with suppress(MedganError):
            paths += {data_file(path)} - {path}
    beside = path.with_name(f"{split_suffix(path)[0]}.json")
    modality = _declared_modality(beside)
    if modality:
        paths.append(beside)
    return Source(_relative(path, root), tuple(paths), modality=modality)


def _declared_modality(path: Path) -> Modality | None:
    """The modality in the JSON that medgan and dcm2niix write beside a volume's file."""
    try:
        if path.stat().st_size > _LARGEST_JSON:
            return None
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    found = content.get("Modality") if isinstance(content, dict) else None
    return next((modality for modality in get_args(Modality) if modality == found), None)


def _is_volume(path: Path) -> bool:
    # Some systems put a file of their own, ._scan.nii.gz, beside scan.nii.gz.
    return split_suffix(path)[1] in SUFFIXES and not path.name.startswith(".")


def _below(path: Path, folder: Path | None) -> bool:
    return folder is not None and path.resolve().is_relative_to(folder.resolve())


def _relative(path: Path, root: Path) -> str:
    return shown(path.relative_to(root).as_posix())
