"""Agreement of two label maps: overlap (Dice) and distance of surfaces (HD95), class by class."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, distance_transform_edt, find_objects

from medgan.errors import DataError
from medgan.metrics.pairs import require_on_grid
from medgan.volumes.volume import Volume

Mask = NDArray[np.bool_]

PERCENTILE = 95.0
MAX_CLASSES = 1000
"""More different values than this are not classes; TotalSegmentator has 117."""


@dataclass(frozen=True)
class ClassAgreement:
    """One class; ``hd95_mm`` is NaN where the prediction misses it."""

    dice: float
    hd95_mm: float


@dataclass(frozen=True)
class LabelAgreement:
    """Two label maps.

    Attributes:
        classes: by label, every class of the reference but 0.
        spurious_classes: classes of the prediction that the reference does not have.
    """

    classes: Mapping[int, ClassAgreement]
    spurious_classes: int

    @property
    def values(self) -> dict[str, float]:
        """The case as numbers.

        ``dice`` is the mean over the reference's classes, 0 for a missed one. ``hd95`` in mm is
        the mean over those found, and therefore means little without ``missed_classes``.
        """
        found = [each.hd95_mm for each in self.classes.values() if not np.isnan(each.hd95_mm)]
        return {
            "dice": float(np.mean([each.dice for each in self.classes.values()])),
            "hd95": float(np.mean(found)) if found else float("nan"),
            "classes": len(self.classes),
            "missed_classes": len(self.classes) - len(found),
            "spurious_classes": self.spurious_classes,
        }

    def to_dict(self) -> dict[str, Any]:
        """Flat form: the case as numbers and, under ``by_class``, every class by its label."""
        by_class = {
            str(label): {"dice": each.dice, "hd95": each.hd95_mm}
            for label, each in self.classes.items()
        }
        return {**self.values, "by_class": by_class}


def compare_labels(prediction: Volume, reference: Volume) -> LabelAgreement:
    """Dice and HD95 of every class of the reference.

    Args:
        prediction: LABEL, integral values; 0 is background.
        reference: likewise, on the same grid.

    Raises:
        GeometryError: the grids differ.
        DataError: values that are not labels, or a reference without any class.
    """
    require_on_grid(prediction, reference, "predicted label map")
    predicted = _labels(prediction, "predicted label map")
    truth = _labels(reference, "reference label map")
    wanted = _present(truth)
    if not wanted:
        raise DataError("the label map has no class but background", where="reference label map")
    return LabelAgreement(
        {
            label: _agreement(predicted == label, truth == label, reference.spacing_mm)
            for label in wanted
        },
        len(_present(predicted) - wanted),
    )


def dice(prediction: Mask, reference: Mask) -> float:
    """2 |A and B| / (|A| + |B|) of two masks of one shape; NaN where both are empty.

    Source: Dice 1945, doi:10.2307/1932409.
    """
    total = int(prediction.sum()) + int(reference.sum())
    return 2 * int((prediction & reference).sum()) / total if total else float("nan")


def hausdorff95_mm(
    prediction: Mask, reference: Mask, spacing_mm: tuple[float, float, float]
) -> float:
    """95th percentile of the distances between two surfaces, the larger of both directions.

    Distances run from voxel centre to voxel centre; a surface is what an erosion by the six
    neighbours removes, and the image's border counts as outside.

    Args:
        prediction: (X, Y, Z) bool.
        reference: (X, Y, Z) bool.
        spacing_mm: voxel size along X, Y and Z.

    Returns:
        In mm; NaN where one of them is empty.

    Source: Huttenlocher et al. 1993, doi:10.1109/34.232073; the percentile as in MONAI.
    """
    if not prediction.any() or not reference.any():
        return float("nan")
    box = find_objects((prediction | reference).astype(np.uint8))[0]
    first, second = _surface(prediction[box]), _surface(reference[box])
    return max(
        float(np.percentile(distance_transform_edt(~there, sampling=spacing_mm)[here], PERCENTILE))
        for here, there in ((first, second), (second, first))
    )


def _agreement(
    prediction: Mask, reference: Mask, spacing_mm: tuple[float, float, float]
) -> ClassAgreement:
    return ClassAgreement(
        dice(prediction, reference), hausdorff95_mm(prediction, reference, spacing_mm)
    )


def _surface(mask: Mask) -> Mask:
    return mask & ~binary_erosion(mask)


def _labels(volume: Volume, name: str) -> NDArray[Any]:
    array = volume.array
    if not np.array_equal(array, np.round(array)):
        raise DataError(
            "a label map has whole numbers",
            where=name,
            remedy="Resample label maps with the nearest neighbour",
        )
    return array


def _present(labels: NDArray[Any]) -> set[int]:
    found = {int(label) for label in np.unique(labels)} - {0}
    if len(found) > MAX_CLASSES:
        raise DataError(
            "too many different values for a label map",
            measured=len(found),
            limit=MAX_CLASSES,
            remedy="Give segmentations, not images",
        )
    return found
