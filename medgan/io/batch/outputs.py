"""Where the results of a batch go: one place for each source, inside the target, none twice."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from pydicom import Dataset, dcmread

from medgan.errors import ConfigError, MedganError, OutputError
from medgan.io import split_suffix
from medgan.io.batch.job import ENDINGS, Options
from medgan.io.batch.naming import (
    DICOM_TEMPLATE,
    FILE_TEMPLATE,
    IDENTIFYING,
    confined,
    fields_of,
    fill,
    pseudonym,
)
from medgan.io.dicom.parsing import quiet_parsing
from medgan.io.studies import Source, Tree

_FROM_HEADER = {**IDENTIFYING, "number": "SeriesNumber"}


def output_name(source: Source, root: Path, template: str | None, options: Options) -> str:
    """The name of a result, relative to the target.

    Args:
        source: what it is made from.
        root: the folder that was searched.
        template: one that ``check_template`` accepts; None takes the default for the source.
        options: their format gives the ending, their key the pseudonyms.
    """
    hidden = source.entry or options.deidentify
    template = template or (DICOM_TEMPLATE if hidden else FILE_TEMPLATE)
    values = _values(source, root, options.key) | _header_values(source, fields_of(template))
    return f"{fill(template, values)}{ENDINGS[options.to]}"


def collisions(
    outputs: Mapping[Source, str], tree: Tree, target: Path
) -> dict[Source, MedganError]:
    """Find the results that would replace each other, or lie within each other.

    Returns:
        Every source concerned, and why it cannot be converted.

    Raises:
        ConfigError: a result would replace a source.
        OutputError: a result would leave the target.
    """
    sources = {path.resolve() for source in tree.sources for path in source.paths}
    makers: dict[Path, list[Source]] = defaultdict(list)
    for source, output in outputs.items():
        path = confined(target, PurePosixPath(output)).resolve()
        if path in sources:
            raise ConfigError("the result would replace a source", where=output)
        makers[path].append(source)
    found: dict[Source, MedganError] = {}
    for path, same in makers.items():
        if len(same) > 1:
            what = "two sources would become the same result"
            found |= dict.fromkeys(same, _collision(what, outputs[same[0]], same))
        outer = next((parent for parent in path.parents if parent in makers), None)
        if outer:
            both = [*makers[outer], *same]
            what = "one result would lie within another"
            found |= dict.fromkeys(both, _collision(what, outputs[both[0]], both))
    return found


def _collision(what: str, output: str, sources: Sequence[Source]) -> MedganError:
    return OutputError(
        what,
        where=output,
        measured=" and ".join(source.name for source in sources[:2]),
        remedy="Tell them apart with --name, e.g. with {study}/{series}{part}",
    )


def _values(source: Source, root: Path, key: bytes | None) -> dict[str, str]:
    place = PurePosixPath(source.name)
    folder = "" if str(place.parent) == "." else str(place.parent)
    entry = source.entry
    return {
        "study": pseudonym(entry.study_uid if entry else folder, key),
        "series": pseudonym(entry.series_uid if entry else source.name, key),
        "modality": entry.modality if entry else "VOLUME",
        "part": source.part,
        "folder": folder,
        "name": (place.name.removesuffix(".dcm") if entry else split_suffix(place)[0]) or root.name,
    }


def _header_values(source: Source, fields: set[str]) -> dict[str, str]:
    """What a template asks of the header, which is read only where it does."""
    wanted = {name: word for name, word in _FROM_HEADER.items() if name in fields}
    if not wanted or source.entry is None:
        return {}
    with quiet_parsing():
        header = dcmread(
            source.paths[0],
            stop_before_pixels=True,
            force=True,
            specific_tags=list(wanted.values()),
        )
        return {name: _text(header, word) for name, word in wanted.items()}


def _text(header: Dataset, keyword: str) -> str:
    """A value as text; empty where it is absent or damaged."""
    try:
        return str(header.get(keyword) or "")
    except Exception:  # a hostile value may raise anything while it is converted
        return ""
