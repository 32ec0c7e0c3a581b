"""Which volumes of a tree a model is to translate: every file, and one series of every study."""

import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from medgan.errors import ConfigError, DataError, MedganError
from medgan.inference.quality import ENDING
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
        study: of a DICOM series: folder below the one searched where its study's results go.
        mark: "_" and a pseudonym of the study where the folder holds others, too.
        prefix: of the result's name where it must lie beside the folder of its series: that
            folder's name and "_".
    """

    source: Source
    study: PurePosixPath | None = None
    mark: str = ""
    prefix: str = ""


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


@dataclass(frozen=True)
class _Study:
    """Where a study lies, and how its results and errors are named after that."""

    folder: PurePosixPath
    place: PurePosixPath
    prefix: str
    mark: str
    part: str


def choose_sources(
    tree: Tree, modality: Modality, rule: str | None = None, *, within: bool = False
) -> Choice:
    """Choose all files of volumes, and of every study the one series that the model can read.

    Series that a model made are left aside unless the rule says ``synthetic=yes``; the quality
    records of earlier results are passed over in silence.

    Args:
        tree: what there is.
        modality: that the model reads.
        rule: for series, as ``SeriesRule.parse`` reads it.
        within: whether results are laid into the tree itself, beside the series and not among
            their slices.

    Returns:
        A study without such a series, or with several, is among the rest with its error, named by
        its folder; so is a DICOM file that is too damaged to say which study it belongs to.

    Raises:
        ConfigError: the rule is not understood, or asks for another modality.
    """
    wanted = _rule(rule, modality)
    chosen = [Chosen(source) for source in tree.sources if source.entry is None]
    left = [
        Left(leftover.name, reason=leftover.reason)
        for leftover in tree.leftovers
        if not leftover.name.endswith(ENDING)
    ]
    studies: dict[str, list[Source]] = defaultdict(list)
    for source in tree.sources:
        if source.entry and source.entry.study_uid:
            studies[source.entry.study_uid].append(source)
        elif source.entry:
            left.append(Left(source.name, source.part, source.entry.problem))
    originals = {
        uid: _originals(sources, modality) if within else sources
        for uid, sources in studies.items()
    }
    for uid, study in _studies(originals, tree.root, within=within).items():
        sources = studies[uid]
        try:
            entry = _choose(sources, wanted, study)
        except MedganError as error:
            left.append(Left(str(study.folder), study.part, error))
            continue
        for source in sources:
            if source.entry is entry:
                chosen.append(Chosen(source, study.place, study.mark, study.prefix))
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
    return replace(rule, modality=modality, synthetic=rule.synthetic or "no")


def _choose(sources: Sequence[Source], rule: SeriesRule, study: _Study) -> SeriesEntry:
    """The series of one study that fits.

    Raises:
        DataError: the study holds another modality only; none, or several, fit the rule.
    """
    where = f"{study.folder} ({study.part})" if study.part else study.folder
    entries = [source.entry for source in sources if source.entry]
    found = sorted({entry.modality for entry in entries})
    if rule.modality not in found:
        raise DataError(
            "the model reads another modality",
            where=where,
            measured=", ".join(found),
            limit=rule.modality,
            remedy="Choose the other direction, or another model",
        )
    return choose(entries, rule, where=where)


def _originals(sources: list[Source], modality: Modality) -> list[Source]:
    """A study without what translations added to it, or its place would change with the first."""
    return [
        source
        for source in sources
        if source.entry and not (source.entry.synthetic and source.entry.modality != modality)
    ] or sources


def _studies(studies: dict[str, list[Source]], root: Path, *, within: bool) -> dict[str, _Study]:
    """How each study is named, by its UID."""
    folders = {uid: _place(sources, root) for uid, sources in studies.items()}
    counts = Counter(folders.values())
    named = {}
    for uid, sources in studies.items():
        folder, alone = folders[uid], counts[folders[uid]] == 1
        slices_in_it = root / folder in {path.parent for s in sources for path in s.paths}
        beside = within and slices_in_it and folder.name != ""
        named[uid] = _Study(
            folder=folder,
            place=folder.parent if beside else folder,
            prefix=f"{folder.name}_" if beside else "",
            mark="" if alone else f"_{pseudonym(uid)}",
            part="" if alone else f"study {pseudonym(uid)}",
        )
    return named


def _place(sources: Sequence[Source], root: Path) -> PurePosixPath:
    """The innermost folder that holds all files of a study, relative to the one searched."""
    parents = {path.parent for source in sources for path in source.paths}
    return PurePosixPath(Path(os.path.commonpath(parents)).relative_to(root))
