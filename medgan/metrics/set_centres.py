"""Where crops of images are centred: on the pieces of masks, or on annotated findings."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medgan.errors import DataError, FileError
from medgan.io import SUFFIXES, read_volume, split_suffix
from medgan.metrics.image_sets import SetEntry, name_without_ending
from medgan.volumes import Volume
from medgan.volumes.geometry import apply_affine, lps_to_ras, require_same_grid

Points = NDArray[np.float64]
"""(n, 3) positions in mm, RAS."""


@dataclass(frozen=True)
class MaskCentres:
    """The middle of every connected piece of the masks in a folder."""

    masks: Mapping[str, Path]

    @classmethod
    def of(cls, folder: Path) -> "MaskCentres":
        """Find the masks: volumes that have the names of the images, subfolders included.

        Raises:
            FileError: no such folder, or no volume in it.
        """
        if not folder.is_dir():
            raise FileError("no such folder", where=folder)
        found = {
            name_without_ending(path, folder): path
            for path in sorted(folder.rglob("*"))
            if path.is_file() and split_suffix(path)[1] in SUFFIXES
        }
        if not found:
            raise FileError("no mask in this folder", where=folder, limit=", ".join(SUFFIXES))
        return cls(found)

    def of_image(self, entry: SetEntry, volume: Volume) -> Points:
        """Positions (n, 3) in mm, RAS.

        Raises:
            DataError: the image has no mask.
            GeometryError: the mask lies on another grid.
        """
        if entry.key not in self.masks:
            raise DataError("the image has no mask", where=entry.name)
        mask = read_volume(self.masks[entry.key], modality="LABEL")
        require_same_grid(volume, mask)
        pieces, count = ndimage.label(mask.array != 0, structure=np.ones((3, 3, 3)))
        centres = ndimage.center_of_mass(pieces > 0, pieces, range(1, count + 1))
        return apply_affine(mask.affine, np.reshape(centres, (-1, 3)))


@dataclass(frozen=True)
class AnnotationCentres:
    """The rows of a LUNA16 annotation file."""

    positions: Mapping[str, Points] = field(repr=False)

    @classmethod
    def of(cls, path: Path) -> "AnnotationCentres":
        """Read columns seriesuid, coordX, coordY and coordZ (mm, LPS).

        Raises:
            FileError: not a CSV file with these columns, or a position is not a number.
        """
        import pandas as pd

        columns = ["coordX", "coordY", "coordZ"]
        try:
            table = pd.read_csv(path, usecols=["seriesuid", *columns], dtype={"seriesuid": str})
            world = table[columns].to_numpy(dtype=np.float64)
        except (OSError, ValueError) as error:
            raise FileError(
                "not a file of annotations", where=path, limit=f"seriesuid, {', '.join(columns)}"
            ) from error
        if not np.isfinite(world).all():
            raise FileError("a position is not a finite number", where=path)
        ras = apply_affine(lps_to_ras(np.eye(4)), world)
        return cls(
            {str(uid): ras[rows] for uid, rows in table.groupby("seriesuid").indices.items()}
        )

    def of_image(self, entry: SetEntry, volume: Volume) -> Points:
        """Positions (n, 3) in mm, RAS, of the series that the file is named after; often none."""
        return self.positions.get(entry.key.rsplit("/", 1)[-1], np.empty((0, 3)))
