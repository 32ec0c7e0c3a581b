"""Hostile input: sound images spoiled in a way that a seed determines."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from byte_changes import ANYWHERE, Change, bytes_flipped
from dicom_changes import DICOM
from hostile_seeds import FORMATS, Seed
from volume_changes import NIFTI, TEXT, elsewhere


@dataclass(frozen=True)
class Mutant:
    """A hostile input.

    Attributes:
        number: which one it is.
        format: one of ``FORMATS``.
        change: name of what was done to it.
        seed: name of the sound image.
        files: content by name.
        main: the file that was spoiled.
        must_be_refused: whether reading it would be a leak of other files.
    """

    number: int
    format: str
    change: str
    seed: str
    files: dict[str, bytes]
    main: str
    must_be_refused: bool

    def write(self, folder: Path) -> Path:
        """Write its files; returns the main one."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in self.files.items():
            (folder / name).write_bytes(content)
        return folder / self.main


def mutant(number: int, seed: int, sound: list[Seed]) -> Mutant:
    """The hostile input of a number; the same for the same seed, whatever ran before.

    Args:
        number: from 0; formats take turns.
        seed: of the whole run.
        sound: from ``hostile_seeds.seeds``.
    """
    rng = np.random.default_rng([seed, number])
    form = FORMATS[number % len(FORMATS)]
    own = [one for one in sound if one.format == form]
    before = own[rng.integers(len(own))]
    changes = CHANGES[form]
    change = changes[rng.integers(len(changes))]
    after = change(rng, before)
    if rng.random() < 0.15:
        after = bytes_flipped(rng, after, 0, len(after.files[after.main]))
    return Mutant(
        number,
        form,
        change.__name__,
        before.name,
        after.files,
        after.main,
        change is elsewhere,
    )


CHANGES: dict[str, tuple[Change, ...]] = {
    "dicom": (*ANYWHERE, *DICOM),
    "nifti": (*ANYWHERE, *NIFTI),
    "metaimage": (*ANYWHERE, *TEXT),
    "nrrd": (*ANYWHERE, *TEXT),
}
"""What may be done to an image of a format, the frequent ones several times."""
