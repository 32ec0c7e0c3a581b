"""Attention maps that a translation left beside its results."""

from collections.abc import Sequence
from pathlib import Path

from medgan.errors import DataError, FileError
from medgan.io import SUFFIXES, read_volume, split_suffix
from medgan.metrics.aggregates import counted
from medgan.volumes.volume import Volume

ENDING = "_attention"
"""What is added to a result's name, as ``medgan translate --save-attention`` does."""

_ROUNDING = 1e-3


def attention_files(path: Path, names: Sequence[str]) -> dict[str, Path]:
    """The attention map of each case.

    Args:
        path: of a single case the map itself; else a folder of ``<name>_attention`` or ``<name>``,
            in which other files are ignored.
        names: of the cases.

    Raises:
        FileError: the path is missing, or is a file where there are several cases.
        DataError: a case has no map.
    """
    if not path.exists():
        raise FileError("no such file or folder", where=path)
    if not path.is_dir():
        if len(names) > 1:
            raise FileError(
                "one attention map for several cases",
                where=path,
                measured=f"{len(names)} cases",
                remedy="Name the folder that holds a map for each case",
            )
        return {names[0]: path}
    stems = {
        split_suffix(file)[0]: file
        for file in sorted(path.iterdir())
        if file.name.lower().endswith(SUFFIXES)
    }
    found = {name: stems.get(f"{name}{ENDING}", stems.get(name)) for name in names}
    missing = [name for name, file in found.items() if file is None]
    if missing:
        raise DataError(
            f"no attention map for {counted(len(missing), 'case')}: {', '.join(missing)}",
            where=path,
            remedy=f"Maps are called as the results, with {ENDING} before the suffix",
        )
    return {name: file for name, file in found.items() if file is not None}


def read_attention(path: Path) -> Volume:
    """An attention map: the share of the source that was copied into the result, 0 to 1.

    Raises:
        FileError: as ``read_volume``.
        DataError: values outside 0 to 1.
    """
    volume = read_volume(path, modality="MR")
    low, high = float(volume.array.min()), float(volume.array.max())
    if low < -_ROUNDING or high > 1 + _ROUNDING:
        raise DataError(
            "not an attention map", where=path, measured=f"{low:.4g} to {high:.4g}", limit="0 to 1"
        )
    return volume
