"""Which volumes of a tree a model is to translate: every file, and one series of every study."""

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from medgan.errors import ConfigError, DataError, MedganError
from medgan.io.batch.naming import pseudonym
from medgan.io.dicom import SeriesEntry, SeriesRule, choose
from medgan.io.studies import Source, Tree
from medgan.volumes import Modality

ANOTHER_CHOSEN = "another series of the study was chosen"


@dataclass(frozen=True)
class Chosen:
    """A volume to translate.

    Attributes:
        source: what to read.
        study: of a DICOM series: folder of its study below the one searched.
        mark: "_" and a pseudonym of the study where the folder holds others, too.
    """

    source: Source
    study: PurePosixPath | None = None
    mark: str = ""


@dataclass(frozen=True)
class Left:
    """Something that is not translated: why it cannot be, or the reason why it is passed over."""

    name: str
    part: str = ""
    error: MedganError | None = None
    reason: str = ""


@dataclass(frozen=True)
class Choice:
    """What is to be translated, and the rest."""

    chosen: tuple[Chosen, ...]
    left: tuple[Left, ...]


def choose_sources(tree: Tree, modality: Modality, rule: str | None = None) -> Choice:
    """Choose all files of volumes, and of every study the one series that the model can read.

    Args:
        tree: what there is.
        modality: that the model reads.
        rule: for series, as ``SeriesRule.parse`` reads it.

    Returns:
        A study without such a series, or with several, is among the rest with its error; so is a
        DICOM file that is too damaged to say which study it belongs to.

    Raises:
        ConfigError: the rule is not understood, or asks for another modality.
    """
    wanted = _rule(rule, modality)
    chosen = [Chosen(source) for source in tree.sources if source.entry is None]
    left = [Left(leftover.name, reason=leftover.reason) for leftover in tree.leftovers]
    studies: dict[str, list[Source]] = defaultdict(list)
    for source in tree.sources:
        if source.entry and source.entry.study_uid:
            studies[source.entry.study_uid].append(source)
        elif source.entry:
            left.append(Left(source.name, source.part, source.entry.problem))
    places = {uid: _place(sources, tree.root) for uid, sources in studies.items()}
    shared = [place for place in places.values() if list(places.values()).count(place) > 1]
    for uid, sources in studies.items():
        try:
            entry = _choose(sources, wanted)
        except MedganError as error:
            left.append(Left(sources[0].name, sources[0].part, error))
            continue
        mark = f"_{pseudonym(uid)}" if places[uid] in shared else ""
        for source in sources:
            if source.entry is entry:
                chosen.append(Chosen(source, places[uid], mark))
            else:
                left.append(Left(source.name, source.part, reason=ANOTHER_CHOSEN))
    return Choice(tuple(chosen), tuple(left))


def _rule(text: str | None, modality: Modality) -> SeriesRule:
    rule = SeriesRule.parse(text) if text else SeriesRule()
    if rule.modality.upper() not in ("", modality):
        raise ConfigError(
            "the rule asks for a modality that the model does not read",
            where="--series",
            measured=rule.modality,
            limit=modality,
            remedy="Choose the other direction, or another rule",
        )
    return replace(rule, modality=modality)


def _choose(sources: Sequence[Source], rule: SeriesRule) -> SeriesEntry:
    """The series of one study that fits.

    Raises:
        DataError: the study holds another modality only; none, or several, fit the rule.
    """
    entries = [source.entry for source in sources if source.entry]
    found = sorted({entry.modality for entry in entries})
    if rule.modality not in found:
        raise DataError(
            "the model reads another modality",
            where=sources[0].name,
            measured=", ".join(found),
            limit=rule.modality,
            remedy="Choose the other direction, or another model",
        )
    return choose(entries, rule)


def _place(sources: Sequence[Source], root: Path) -> PurePosixPath:
    """The innermost folder that holds all files of a study, relative to the one searched."""
    parents = {path.parent for source in sources for path in source.paths}
    return PurePosixPath(Path(os.path.commonpath(parents)).relative_to(root))
