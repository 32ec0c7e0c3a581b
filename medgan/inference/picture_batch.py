"""A folder of pictures through a model."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from medgan.errors import MedganError, OutputError
from medgan.inference.batch import Row
from medgan.inference.files import make_folder_of
from medgan.inference.pictures import PictureTranslator, translate_file
from medgan.io.files import shown
from medgan.io.pictures import find_pictures

SUFFIX = ".png"
"""Of all results: nothing is lost in it."""


@dataclass(frozen=True, eq=False)
class PictureBatch:
    """Pictures and what each becomes; iterating translates them and yields a row each.

    Attributes:
        translator: of the direction wanted.
        sources: PNG and JPEG files.
        targets: a ``.png`` file for each.
        attention: also write background attention.
        overwrite: translate again what stands already.
    """

    translator: PictureTranslator
    sources: Sequence[Path]
    targets: Sequence[Path]
    attention: bool = False
    overwrite: bool = False

    def __len__(self) -> int:
        return len(self.sources)

    def __iter__(self) -> Iterator[Row]:
        for source, target in zip(self.sources, self.targets, strict=True):
            yield self._row(source, target)

    def _row(self, source: Path, target: Path) -> Row:
        name = shown(source.name)
        if target.exists() and not self.overwrite:
            return Row(name, "skipped", str(target), reason="is there already")
        try:
            make_folder_of(target)
            translate_file(self.translator, source, target, attention=self.attention)
        except MedganError as error:
            return Row(name, "failed", error=str(error).replace(f"{source.parent}/", ""))
        return Row(name, "translated", str(target))


def plan_pictures(
    translator: PictureTranslator,
    source: Path,
    target: Path,
    *,
    attention: bool = False,
    overwrite: bool = False,
) -> PictureBatch:
    """Find pictures and name their results.

    Args:
        translator: of the direction wanted.
        source: PNG or JPEG file, or folder of them.
        target: for a file, the ``.png`` file; for a folder, a folder, where each result has its
            source's name.
        attention: also write background attention, as ``<name>_attention.png``.
        overwrite: translate again what stands already.

    Raises:
        FileError: no such file or folder, or no picture in it.
        OutputError: two results would be one file, a result would replace its source, or the
            target is of the wrong kind.
    """
    sources = (source,) if source.is_file() else find_pictures(source)
    if source.is_file() and not target.is_dir():
        if target.suffix.lower() != SUFFIX:
            raise OutputError("no format ends like this", where=target, limit=SUFFIX)
        targets = [target]
    elif target.is_file():
        raise OutputError("is a file", where=target, remedy="Name a folder for the results")
    else:
        targets = [target / f"{path.stem}{SUFFIX}" for path in sources]
    _require_apart(sources, targets)
    return PictureBatch(translator, sources, targets, attention, overwrite)


def _require_apart(sources: Sequence[Path], targets: Sequence[Path]) -> None:
    originals = {path.resolve() for path in sources}
    taken: dict[Path, Path] = {}
    for source, target in zip(sources, targets, strict=True):
        if target.resolve() in originals:
            raise OutputError(
                "the result would replace a source", where=shown(target.name),
                remedy="Name another folder",
            )  # fmt: skip
        other = taken.setdefault(target, source)
        if other != source:
            raise OutputError(
                f"{shown(other.name)} and {shown(source.name)} would become the same file",
                where=shown(target.name),
                remedy="Rename one of them",
            )
