"""Which prediction belongs to which reference: files and DICOM series paired by name stem."""

import re
from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from medgan.errors import DataError, FileError
from medgan.io import SUFFIXES
from medgan.metrics.aggregates import counted

KINDS = {
    "prediction": "prediction",
    "mask": "mask",
    "source": "source image",
    "against": "prediction to compare with",
    "predicted_labels": "label map of the prediction",
    "reference_labels": "label map of the reference",
}
"""What a case needs beside its reference, as messages call it."""

_MAP = re.compile(r"(?P<image>.+)_(attention|disagreement|content_\d+)")
"""What ``medgan translate --save-attention`` leaves beside an image."""


@dataclass(frozen=True)
class CaseFiles:
    """The files of one case; those after the reference where they were given.

    Attributes:
        name: stem of the reference.
        prediction: the image to be judged.
        reference: the truth.
        mask: voxels that count.
        source: what was translated.
        against: another model's prediction.
        predicted_labels: segmentation of the prediction.
        reference_labels: segmentation of the reference.
    """

    name: str
    prediction: Path
    reference: Path
    mask: Path | None = None
    source: Path | None = None
    against: Path | None = None
    predicted_labels: Path | None = None
    reference_labels: Path | None = None


def stem(path: Path) -> str:
    """File name without its image suffix, dots kept: ``1.2.840.nii.gz`` is ``1.2.840``."""
    for suffix in SUFFIXES:
        if path.name.lower().endswith(suffix):
            return path.name[: -len(suffix)]
    return path.name


def pair_cases(
    prediction: Path,
    reference: Path,
    mask: Path | None = None,
    source: Path | None = None,
    *,
    against: Path | None = None,
    labels: tuple[Path, Path] | None = None,
) -> list[CaseFiles]:
    """The cases of two files or two folders, in order of name.

    A folder that holds nothing but a DICOM series counts as a file, wherever one may stand. Files
    are one case whatever their names. In folders a case is a name stem; every prediction
    needs its reference and every reference one file of each kind given. Spare masks, sources and
    label maps are ignored.

    Args:
        prediction: files, or folders, everywhere.
        reference: the truth.
        mask: voxels that count.
        source: what was translated.
        against: predictions of another model.
        labels: segmentations of the prediction and of the reference.

    Raises:
        FileError: a path is missing, files and folders are mixed, or a folder holds no images.
        DataError: a case lacks a file, or a folder has two files of one stem.
    """
    predicted_labels, reference_labels = labels or (None, None)
    paths = {
        "prediction": prediction,
        "mask": mask,
        "source": source,
        "against": against,
        "predicted_labels": predicted_labels,
        "reference_labels": reference_labels,
    }
    given = {kind: path for kind, path in paths.items() if path is not None}
    if not _are_folders([reference, *given.values()]):
        return [CaseFiles(stem(reference), reference=reference, **given)]
    references = _images(reference)
    images = {kind: _images(folder) for kind, folder in given.items()}
    for kind in ("prediction", "against"):
        unknown = _without_maps(images.get(kind, {}).keys()) - references.keys()
        _require_none(sorted(unknown), "no reference for", reference)
    for kind, found in images.items():
        missing = references.keys() - found.keys()
        _require_none(sorted(missing), f"no {KINDS[kind]} for", given[kind])
    return [
        CaseFiles(name, reference=path, **{kind: found[name] for kind, found in images.items()})
        for name, path in sorted(references.items())
    ]


def _without_maps(names: Set[str]) -> set[str]:
    """Names of images, without the maps that a translation left beside them."""
    return {
        name for name in names if not ((found := _MAP.fullmatch(name)) and found["image"] in names)
    }


def _are_folders(paths: Sequence[Path]) -> bool:
    for path in paths:
        if not path.exists():
            raise FileError("no such file or folder", where=path)
    files = [path for path in paths if not path.is_dir() or _is_series(path)]
    if files and len(files) < len(paths):
        raise FileError(
            "files and folders are mixed",
            where=files[0],
            remedy="Give files everywhere or folders everywhere",
        )
    return not files


def _images(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or not _is_image(path):
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
        raise FileError("no volume in this folder", where=folder, limit=", ".join(SUFFIXES))
    return found


def _is_image(path: Path) -> bool:
    return _is_series(path) if path.is_dir() else path.name.lower().endswith(SUFFIXES)


def _is_series(folder: Path) -> bool:
    """Whether a folder holds DICOM files and neither folders nor files of volumes."""
    # Only here: who evaluates other files need not load pydicom.
    from medgan.io.dicom.parsing import has_prefix

    paths = [path for path in folder.iterdir() if not path.name.startswith(".")]
    if any(path.is_dir() or path.name.lower().endswith(SUFFIXES) for path in paths):
        return False
    return any(has_prefix(path) for path in paths if path.is_file())


def _require_none(missing: Sequence[str], what: str, folder: Path) -> None:
    if missing:
        raise DataError(
            f"{what} {counted(len(missing), 'case')}: {', '.join(missing)}",
            where=folder,
            remedy="Cases pair by file name without suffix; rename, add or remove files",
        )
