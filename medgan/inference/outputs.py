"""Where translations go: one place for each source, inside the target, none twice."""

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Literal

from medgan.errors import OutputError
from medgan.inference.choice import Chosen
from medgan.io import split_suffix
from medgan.io.batch.job import ENDINGS, Format, Options
from medgan.io.batch.naming import confined, sanitised
from medgan.io.batch.outputs import output_name
from medgan.volumes import Modality

To = Literal["same", Format]

_FORMATS: dict[str, Format] = {
    ".nii": "nifti",
    ".nii.gz": "nifti",
    ".mha": "mha",
    ".mhd": "mha",
    ".nrrd": "nrrd",
}


def format_of(name: str) -> Format | None:
    """The format of the file of a volume by the ending of its name; None for others."""
    return _FORMATS.get(split_suffix(name)[1])


def format_for(chosen: Chosen, to: To) -> Format:
    """The format of a result: the one asked for, or that of its source."""
    if to != "same":
        return to
    return format_of(chosen.source.name) or "dicom"


def place_of(chosen: Chosen, to: To, root: Path, target: Modality) -> str:
    """The place of a result, relative to the folder of results.

    A series becomes the folder ``synthetic_ct`` (or ``_mr``) in the place of its study, so that
    results laid over their sources give whole studies; where that would be among the slices of
    the series, it lies beside their folder and begins with its name. A series that becomes a file
    is named by pseudonyms of study and series. A file keeps its place and name, and changes its
    ending.

    Args:
        chosen: what is translated.
        to: the format asked for.
        root: the folder that was searched.
        target: modality of the result.
    """
    source, kind = chosen.source, format_for(chosen, to)
    made = f"synthetic_{target.lower()}"
    if source.entry is None:
        stem, suffix = split_suffix(source.name)
        ending = suffix if to == "same" else ENDINGS[kind]
        return str(PurePosixPath(source.name).with_name(f"{stem}{ending}"))
    if kind != "dicom":
        return output_name(source, root, f"{{study}}/{{series}}_{made}{{part}}", Options(kind))
    part = f"_{sanitised(source.part)}" if source.part else ""
    name = f"{chosen.prefix}{made}{part}{chosen.mark}"
    return str((chosen.study or PurePosixPath()) / name)


def require_apart(places: Mapping[str, str], target: Path, sources: Iterable[Path]) -> None:
    """Refuse results that would replace each other or a source, or lie within each other.

    Args:
        places: of results, relative to the target, by the label of their source.
        target: folder of the results.
        sources: all files that are read.

    Raises:
        OutputError: so they would, or they would leave the target.
    """
    read = {path.resolve() for path in sources}
    makers: dict[Path, str] = {}
    for label, place in places.items():
        path = confined(target, PurePosixPath(place)).resolve()
        if path in read:
            raise OutputError(
                "the result would replace a source", where=place, remedy="Name another place"
            )
        first = makers.setdefault(path, label)
        if first != label:
            raise OutputError(
                "two sources would become the same result",
                where=place,
                measured=f"{first} and {label}",
                remedy="Rename one of them, or translate them one by one",
            )
    for path, label in makers.items():
        outer = next((parent for parent in path.parents if parent in makers), None)
        if outer:
            raise OutputError(
                "one result would lie within another",
                measured=f"{makers[outer]} and {label}",
                remedy="Rename one of them, or translate them one by one",
            )
