"""A chest CT of LUNA16, and what readers found in it."""

from dataclasses import dataclass
from pathlib import Path

from medgan.errors import DataError
from medgan.io import read_volume
from medgan.io.luna16 import read_grid
from medgan.metrics.findings import UNKNOWN_DIAMETER_MM
from medgan.volumes import Volume
from medgan.volumes.geometry import require_same_grid
from medgan.volumes.lungs import lung_mask

TRACHEA = 5
"""Label of the trachea in LUNA16's lung masks, in which 3 and 4 are the lungs."""


@dataclass(frozen=True)
class Nodule:
    """A finding in a scan.

    Attributes:
        position_mm: world coordinates of its centre, LPS.
        diameter_mm: of the sphere of its volume; -1 where the file does not say (excluded
            findings).
    """

    position_mm: tuple[float, float, float]
    diameter_mm: float

    @property
    def radius_mm(self) -> float:
        """Half the diameter; 5 mm where it is not known, as in the evaluation of LUNA16."""
        return (self.diameter_mm if self.diameter_mm > 0 else UNKNOWN_DIAMETER_MM) / 2


@dataclass(frozen=True)
class Luna16Scan:
    """A chest CT and what readers found in it.

    Attributes:
        uid: series UID.
        path: the .mhd or .mha file.
        subset: number of its subset; None outside of subsets.
        nodules: to be found.
        excluded: irrelevant findings, neither right nor wrong; some may lie off the scan.
        lung_mask: file with the lungs; None where they are segmented from the image.
    """

    uid: str
    path: Path
    subset: int | None
    nodules: tuple[Nodule, ...]
    excluded: tuple[Nodule, ...]
    lung_mask: Path | None

    def read(self) -> Volume:
        """The image in HU, (X, Y, Z), affine to RAS in mm.

        Raises:
            FileError: missing, damaged or truncated.
            GeometryError: the file does not say where the image lies.
            DataError: NaN or infinite values.
        """
        return read_volume(self.path, modality="CT")

    def lungs(self) -> Volume:
        """The lungs on the grid of the image: LABEL, bool; trachea left out.

        From the mask's file where there is one, else ``medgan.volumes.lungs.lung_mask``.

        Raises:
            FileError: as ``read``, of the mask too.
            GeometryError: the mask lies on another grid than the image.
            DataError: no lung in the mask or the image.
        """
        if self.lung_mask is None:
            return self._segmented()
        mask = read_volume(self.lung_mask, modality="LABEL")
        require_same_grid(read_grid(self.path), mask)
        lungs = (mask.array != 0) & (mask.array != TRACHEA)
        if not lungs.any():
            raise DataError("the mask of the lungs is empty", where=self.lung_mask)
        return mask.with_array(lungs)

    def _segmented(self) -> Volume:
        scan = self.read()
        try:
            return scan.with_array(lung_mask(scan), modality="LABEL")
        except DataError as error:
            raise DataError(
                error.what, where=self.path, measured=error.measured, remedy=error.remedy
            ) from error
