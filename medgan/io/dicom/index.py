"""What DICOM images a folder holds, from headers alone."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from pydicom.uid import UID

from medgan.errors import FileError, MedganError
from medgan.io.dicom.decode import native_bytes, require_decoder, truncated
from medgan.io.dicom.errors import DamagedFile, LeftoverImages, ProjectionImage, tag
from medgan.io.dicom.frames import IMAGE_CLASSES, Frame, frames_of
from medgan.io.dicom.grouping import Part, split
from medgan.io.dicom.lattice import Lattice, lattice_of, require_distinct, require_regular
from medgan.io.dicom.parsing import (
    Header,
    faults_of_the_file,
    is_dicom,
    quiet_parsing,
    read_header,
)
from medgan.io.files import files_below


@dataclass(frozen=True)
class SeriesEntry:
    """One candidate volume: images of one geometry within one series, found from headers alone.

    Attributes:
        study_uid: of the study.
        series_uid: of the series.
        part: "" or what sets it apart within its series: "echo 2", "time 3", "b 1000",
            "localizer", "geometry 2".
        modality: "CT" or "MR"; "" where a damaged file does not say.
        paths: the files, each once, in the order of the planes where that is known.
        shape: (columns, rows, planes).
        spacing_mm: along the same axes; None where the planes form no regular stack.
        description: SeriesDescription; it may identify the patient and is never logged.
        contrast: "T1", "T2", "PD", "FLAIR", "contrast" (agent in CT) or "", from the headers.
        problem: why ``read_series`` would refuse it, as far as headers tell.
        synthetic: whether the headers say that a model made it.
        frames: its images, in the order of the planes where that is known.
        root: the folder searched; errors name files relative to it.
    """

    study_uid: str
    series_uid: str
    part: str
    modality: str
    paths: tuple[Path, ...]
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float] | None
    description: str
    contrast: str
    problem: MedganError | None
    synthetic: bool = False
    frames: tuple[Frame, ...] = field(default=(), repr=False)
    root: Path = field(default=Path(), repr=False)


@dataclass(frozen=True)
class Skipped:
    """A file that is no CT or MR image, and what it is instead."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Index:
    """What was found below ``root``."""

    entries: tuple[SeriesEntry, ...]
    skipped: tuple[Skipped, ...]
    root: Path


def index_folder(path: Path) -> Index:
    """Find the CT and MR volumes in a folder.

    Every file below it is looked at whatever its name; links are not followed. Images are
    grouped by study and series, and split as ``grouping.split`` says.

    Args:
        path: a folder, or one file.

    Returns:
        Entries ordered by study, series and part, those with a problem among them, and folders that
        cannot be read; and the files that are no CT or MR images.

    Raises:
        FileError: no such file or folder.
    """
    path = Path(path)
    if not path.exists():
        raise FileError("no such file or folder", where=path)
    root = path if path.is_dir() else path.parent
    files, faults = files_below(path) if path.is_dir() else ([path], [])
    with quiet_parsing():
        index = _index(files, root)
    unread = tuple(_unreadable(fault, root) for fault in faults)
    return replace(index, entries=unread + index.entries)


def _index(files: Sequence[Path], root: Path) -> Index:
    series: dict[tuple[str, str], list[Frame]] = defaultdict(list)
    entries: list[SeriesEntry] = []
    skipped: list[Skipped] = []
    for file in files:
        found = _look(file, root)
        if isinstance(found, Skipped):
            skipped.append(found)
        elif isinstance(found, MedganError):
            entries.append(_damaged(file, root, found))
        else:
            series[found[0].study_uid, found[0].series_uid].extend(found)
    for frames in series.values():
        entries += [_entry(part, root) for part in split(frames)]
    entries.sort(key=lambda entry: (entry.study_uid, entry.series_uid, entry.part, entry.paths))
    return Index(tuple(entries), tuple(skipped), root)


def _look(path: Path, root: Path) -> list[Frame] | Skipped | MedganError:
    """The images in a file, or what it is instead, or why it cannot be told."""
    where = path.relative_to(root)
    try:
        with faults_of_the_file(where):
            return _images_in(path, where)
    except MedganError as error:
        return error


def _images_in(path: Path, where: Path) -> list[Frame] | Skipped:
    if path.is_symlink():
        return Skipped(path, "a link, which is not followed")
    if not is_dicom(path):
        return Skipped(path, "not DICOM")
    header = read_header(path, where)
    dataset, meta = header.dataset, header.dataset.file_meta
    kind = str(dataset.get("SOPClassUID") or meta.get("MediaStorageSOPClassUID") or "")
    if kind and kind not in IMAGE_CLASSES:
        return Skipped(path, _kind_name(kind))
    if not kind or not dataset.get("SeriesInstanceUID") or not dataset.get("StudyInstanceUID"):
        raise DamagedFile(
            f"lacks {tag('SOPClassUID')}, {tag('StudyInstanceUID')} or {tag('SeriesInstanceUID')}",
            where=where,
            remedy="Copy the file anew from its source",
        )
    frames = frames_of(dataset, IMAGE_CLASSES[kind], path, where)
    if not frames:
        raise DamagedFile(
            f"lacks {tag('PerFrameFunctionalGroupsSequence')}",
            where=where,
            remedy="Copy the file anew from its source",
        )
    late = _pixel_data_problem(header, where) if frames[0].problem is None else None
    return [replace(frame, problem=late) for frame in frames] if late else frames


def _pixel_data_problem(header: Header, where: object) -> MedganError | None:
    """Why the pixels could not be read, as far as can be told without reading them."""
    try:
        if header.dataset.file_meta.TransferSyntaxUID.is_encapsulated:
            require_decoder(header.dataset.file_meta.TransferSyntaxUID, where)
    except MedganError as error:
        return error
    declared = native_bytes(header.dataset)
    if header.pixel_bytes is not None and header.pixel_bytes < declared:
        return truncated(max(0, header.pixel_bytes), declared, where)
    return None


def _kind_name(kind: str) -> str:
    """What an object is, in the standard's words; a foreign UID is not repeated."""
    uid = UID(kind)
    if uid.is_private or uid.name == kind:
        return "an unknown kind of DICOM object"
    return uid.name.removesuffix(" Storage")


def _damaged(path: Path, root: Path, problem: MedganError) -> SeriesEntry:
    return SeriesEntry("", "", "", "", (path,), (0, 0, 0), None, "", "", problem, root=root)


def _unreadable(fault: OSError, root: Path) -> SeriesEntry:
    path = Path(fault.filename)
    problem = FileError(
        "cannot be read",
        where=path.relative_to(root),
        measured=fault.strerror,
        remedy="Check its permissions: what it holds is not known",
    )
    return _damaged(path, root, problem)


def _entry(part: Part, root: Path) -> SeriesEntry:
    frames, lattice, problem = part.frames, None, _own_problem(part, root)
    if problem is None:
        try:
            where = series_name(frames, root)
            lattice = lattice_of(frames, where)
            frames = tuple(frames[index] for index in lattice.order)
            names = [frame_name(frame, root) for frame in frames]
            require_distinct(lattice, names, where)
            require_regular(lattice, names, where)
        except MedganError as error:
            problem = error
    first = frames[0]
    rows, columns = first.matrix
    return SeriesEntry(
        study_uid=first.study_uid,
        series_uid=first.series_uid,
        part=part.name,
        modality=first.modality,
        paths=tuple(dict.fromkeys(frame.path for frame in frames)),
        shape=(columns, rows, len(frames)),
        spacing_mm=_spacing_mm(lattice) if lattice and problem is None else None,
        description=first.description,
        contrast=first.contrast,
        problem=problem,
        synthetic=any(frame.synthetic for frame in frames),
        frames=frames,
        root=root,
    )


def _own_problem(part: Part, root: Path) -> MedganError | None:
    """What is wrong with one of the images, or with their being a volume at all."""
    faulty = next((frame.problem for frame in part.frames if frame.problem), None)
    if faulty is not None:
        return faulty
    first = part.frames[0]
    where = series_name(part.frames, root)
    if first.localizer and first.modality == "CT":
        return ProjectionImage(
            f"is a localizer, a projection and no slice, by {tag('ImageType')}", where=where
        )
    if part.leftover:
        return LeftoverImages(
            "one image fits no stack of its series, by matrix, orientation, spacing, echo or time",
            where=where,
            remedy="Remove it, or export the series again",
        )
    return None


def _spacing_mm(lattice: Lattice) -> tuple[float, float, float]:
    down, along = lattice.spacing
    return along, down, float(np.linalg.norm(lattice.step))


def frame_name(frame: Frame, root: Path) -> str:
    """A file relative to the folder searched, with the number of the frame where it has several."""
    name = str(frame.path.relative_to(root))
    return name if frame.number is None else f"{name} frame {frame.number}"


def series_name(frames: Sequence[Frame], root: Path) -> str:
    """The files of a series for an error: the first, and how many there are."""
    paths = sorted({frame.path for frame in frames})
    name = str(paths[0].relative_to(root))
    return name if len(paths) == 1 else f"{name} and {len(paths) - 1} more"
