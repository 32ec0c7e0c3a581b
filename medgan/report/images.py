"""The images of one case: what was translated, what became of it, and the truth."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medgan.errors import DataError
from medgan.volumes.geometry import crop, require_same_grid
from medgan.volumes.masks import Mask, body_mask
from medgan.volumes.volume import Volume

MARGIN_MM = 8.0
"""Air left around the patient."""


@dataclass(frozen=True, eq=False)
class CaseImages:
    """Volumes on one grid.

    Attributes:
        name: of the case, in the evaluation as well.
        result: the synthetic image.
        source: what it was made from.
        reference: the truth.
        attention: in [0, 1], share of the source that was copied into the result.
    """

    name: str
    result: Volume
    source: Volume | None = None
    reference: Volume | None = None
    attention: Volume | None = None

    def __post_init__(self) -> None:
        for other in (self.source, self.reference, self.attention):
            if other is not None:
                require_same_grid(other, self.result)

    def body(self) -> Mask:
        """The patient, as the truth shows it, else as the result does; all voxels if neither does.

        Returns:
            (X, Y, Z) bool.
        """
        try:
            return body_mask(self.reference or self.result)
        except DataError:
            return np.ones(self.result.shape, dtype=bool)

    def cropped(self, mask: Mask) -> "CaseImages":
        """The part around a mask, with a margin.

        Args:
            mask: (X, Y, Z) bool, at least one voxel.
        """
        box = _box(mask, self.result.spacing_mm)

        def cut(volume: Volume | None) -> Volume | None:
            return None if volume is None else crop(volume, box)

        return replace(
            self,
            result=crop(self.result, box),
            source=cut(self.source),
            reference=cut(self.reference),
            attention=cut(self.attention),
        )


def _box(mask: NDArray[Any], spacing_mm: tuple[float, float, float]) -> tuple[slice, slice, slice]:
    sides = []
    for axis, spacing in enumerate(spacing_mm):
        others = tuple(i for i in range(3) if i != axis)
        inside = np.flatnonzero(mask.any(axis=others))
        margin = round(MARGIN_MM / spacing)
        sides.append(slice(max(0, int(inside[0]) - margin), int(inside[-1]) + 1 + margin))
    x, y, z = sides
    return x, y, z
