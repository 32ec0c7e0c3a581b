"""A translation as files of volumes: the image and, beside it, the maps that explain it."""

import errno
import os
from pathlib import Path

from medgan.inference.translator import VolumeTranslation
from medgan.io import split_suffix, write_volume
from medgan.io.files import output_errors
from medgan.volumes import Volume


def maps_of(result: VolumeTranslation) -> dict[str, Volume]:
    """What goes beside the image, by name.

    These are contrast_2, contrast_3, ... of models that write several contrasts; and, where they
    were asked for, attention, disagreement, content_1, content_2, ...
    """
    maps = {"attention": result.attention, "disagreement": result.disagreement}
    found = {f"contrast_{k}": other for k, other in enumerate(result.others, 2)}
    found |= {name: values for name, values in maps.items() if values is not None}
    return found | {f"content_{k}": content for k, content in enumerate(result.contents, 1)}


def write_files(result: VolumeTranslation, target: Path) -> None:
    """Write the image as ``target`` and the maps beside it as ``<name>_<map>``.

    The image is written last, because its presence says that all is done.

    Raises:
        OutputError: a file cannot be written.
    """
    stem, suffix = split_suffix(target)
    write_maps(result, target.with_name(stem), suffix)
    write_volume(result.image, target)


def write_maps(result: VolumeTranslation, base: Path, suffix: str) -> None:
    """Write the maps as files of volumes, ``<base>_<map><suffix>``.

    Raises:
        OutputError: a file cannot be written.
    """
    for name, values in maps_of(result).items():
        write_volume(values, base.with_name(f"{base.name}_{name}{suffix}"))


def make_folder_of(path: Path) -> None:
    """Make the folder that a result goes into.

    Raises:
        OutputError: it cannot be made; a file may be in the way.
    """
    with output_errors(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except FileExistsError as error:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from error
