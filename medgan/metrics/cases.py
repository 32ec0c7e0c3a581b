"""Which prediction belongs to which reference: files paired by name stem."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from medgan.errors import DataError, FileError
from medgan.io import SUFFIXES


@dataclass(frozen=True)
class CaseFiles:
    """The files of one case; ``mask`` and ``source`` where they were given."""

    name: str
    prediction: Path
    reference: Path
    mask: Path | None = None
    source: Path | None = None


def stem(path: Path) -> str:
    """File name without its image suffix, dots kept: ``1.2.840.nii.gz`` is ``1.2.840``."""
    for suffix in SUFFIXES:
        if path.name.lower().endswith(suffix):
            return path.name[: -len(suffix)]
    return path.name


def pair_cases(
    prediction: Path, reference: Path, mask: Path | None = None, source: Path | None = None
) -> list[CaseFiles]:
    """The cases of two files or two folders, in order of name.

    Two files are one case whatever their names. In folders a case is a name stem; every prediction
    needs its reference and every reference its prediction, mask and source. Spare masks and
    sources are ignored.

    Raises:
        FileError: a path is missing, files and folders are mixed, or a folder holds no images.
        DataError: a case lacks a file, or a folder has two files of one stem.
    """
    given = [path for path in (prediction, reference, mask, source) if path is not None]
    for path in given:
        if not path.exists():
            raise FileError("no such file or folder", where=path)
    if not any(path.is_dir() for path in given):
        return [CaseFiles(stem(reference), prediction, reference, mask, source)]
    if not all(path.is_dir() for path in given):
        raise FileError(
            "files and folders are mixed",
            where=next(path for path in given if not path.is_dir()),
            remedy="Give files everywhere or folders everywhere",
        )
    predictions, references = _images(prediction), _images(reference)
    masks, sources = (None if folder is None else _images(folder) for folder in (mask, source))
    _require_none(sorted(predictions.keys() - references.keys()), "no reference for", reference)
    _require_none(sorted(references.keys() - predictions.keys()), "no prediction for", prediction)
    for images, folder, kind in ((masks, mask, "mask"), (sources, source, "source image")):
        if images is not None:
            _require_none(sorted(references.keys() - images.keys()), f"no {kind} for", folder)
    return [
        CaseFiles(
            name,
            predictions[name],
            references[name],
            None if masks is None else masks[name],
            None if sources is None else sources[name],
        )
        for name in sorted(references)
    ]


def _images(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or not path.name.lower().endswith(SUFFIXES):
            continue
        if stem(path) in found:
            raise DataError(
                "two images of one name stem",
                where=folder,
                measured=f"{found[stem(path)].name}, {path.name}",
                remedy="Keep one of them",
            )
        found[stem(path)] = path
    if not found:
        raise FileError("no images in this folder", where=folder, limit=", ".join(SUFFIXES))
    return found


def _require_none(missing: Sequence[str], what: str, folder: Path | None) -> None:
    if missing:
        raise DataError(
            f"{what} {len(missing)} case(s): {', '.join(missing)}",
            where=folder,
            remedy="Cases pair by file name without suffix; rename, add or remove files",
        )
