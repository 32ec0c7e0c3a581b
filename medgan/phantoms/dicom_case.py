"""One DICOM series or several in a folder, with what a reader must make of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medgan.errors import MedganError
from medgan.phantoms.dicom_slices import (
    COLUMNS,
    INTERCEPT,
    ROWS,
    SLICES,
    Slice,
    Truth,
    Uids,
    rescaled,
    stack,
    truth_of,
    write_slices,
)

VOXELS = ROWS * COLUMNS * SLICES
"""Of a stack; stored values from here on do not occur in the first."""


@dataclass(frozen=True, eq=False)
class Case:
    """A folder of files and what a reader must make of it.

    Attributes:
        name: one of ``CASES``.
        folder: where the files lie.
        volumes: what must be read: each one's voxels at their places with their values.
        errors: what else must be reported, one for each volume that must be refused.
        skipped: number of files that are no images.
        sources: every image written, readable or not, one entry for each stack.
    """

    name: str
    folder: Path
    volumes: tuple[Truth, ...]
    errors: tuple[type[MedganError], ...]
    skipped: int
    sources: tuple[Truth, ...]


@dataclass(frozen=True)
class CaseMaker:
    """Writes the files of one case."""

    name: str
    folder: Path
    modality: str

    def plain(self, images: Sequence[Slice], **options: Any) -> Case:
        """One stack that must be read."""
        self.write(images, **options)
        return self.case(images)

    def refused(self, images: Sequence[Slice], error: type[MedganError]) -> Case:
        """One stack that must be refused."""
        self.write(images)
        return self.case(refused=[(images, error)])

    def uids(self, series: str = "a") -> Uids:
        """UIDs of a series of this case."""
        return Uids(series, f"{self.name} {self.modality}")

    def slices(self, **options: Any) -> list[Slice]:
        """A stack, see ``dicom_slices.stack``; CT values are 1024 below the stored ones."""
        images = stack(**options)
        return rescaled(images, 1, INTERCEPT) if self.modality == "CT" else images

    def write(self, images: Sequence[Slice], series: str = "a", **options: Any) -> list[Path]:
        """Write one file a slice, see ``dicom_slices.write_slices``."""
        return write_slices(images, self.folder, self.modality, self.uids(series), **options)

    def case(
        self,
        *readable: Sequence[Slice],
        refused: Sequence[tuple[Sequence[Slice], type[MedganError]]] = (),
        skipped: int = 0,
    ) -> Case:
        """Say what must come of the files written."""
        volumes = tuple(truth_of(images) for images in readable)
        return Case(
            self.name,
            self.folder,
            volumes,
            tuple(error for _, error in refused),
            skipped,
            (*volumes, *(truth_of(images) for images, _ in refused)),
        )
