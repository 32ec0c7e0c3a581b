"""What a prediction must beat: two answers that need no knowledge of anatomy.

Both are fitted on the very pair they are scored on, which flatters them: a method below them has
learned nothing that the histogram does not tell.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medgan.metrics.pairs import (
    MaskLike,
    PairResult,
    evaluate_pair,
    require_on_grid,
    resolve_mask,
)
from medgan.volumes.volume import Volume

LOOKUP_BINS = 256
"""Quantile bins of the look-up table: as many as 8-bit grey levels, each equally populated."""


def constant_floor(reference: Volume, mask: NDArray[np.bool_]) -> Volume:
    """The constant of least mean absolute error: the median of the reference in the mask.

    Args:
        reference: the truth.
        mask: (X, Y, Z) bool, at least one voxel.

    Returns:
        The reference's grid; float64, the reference's unit; background outside the mask.
    """
    return _filled(reference, mask, np.median(reference.array[mask]))


def lookup_floor(
    source: Volume, reference: Volume, mask: NDArray[np.bool_], bins: int = LOOKUP_BINS
) -> Volume:
    """The intensity look-up table of least mean absolute error on this pair.

    The source's values in the mask are cut into quantile bins (fewer where values repeat); each
    voxel becomes the median of the reference over its bin.

    Args:
        source: the image that was translated, on the reference's grid.
        reference: the truth.
        mask: (X, Y, Z) bool, at least one voxel.
        bins: largest number of bins.

    Returns:
        As ``constant_floor``.

    Raises:
        GeometryError: the grids differ.
    """
    require_on_grid(source, reference, "source image")
    values = source.array[mask]
    # Edges are values that occur: interpolated ones would depend on the scale of the source.
    edges = np.unique(np.quantile(values, np.linspace(0, 1, bins + 1)[1:-1], method="lower"))
    bin_of = np.searchsorted(edges, values, side="right")
    used, bin_of = np.unique(bin_of, return_inverse=True)
    table = ndimage.median(reference.array[mask], labels=bin_of, index=np.arange(used.size))
    return _filled(reference, mask, np.asarray(table)[bin_of])


def floors(
    source: Volume,
    reference: Volume,
    mask: MaskLike | None = None,
    protocol: str = "synthrad2023",
) -> dict[str, PairResult]:
    """Both floors, scored by the protocol of the prediction.

    Args:
        source: the image that was translated, on the reference's grid.
        reference: the truth.
        mask: as for ``evaluate_pair``.
        protocol: as for ``evaluate_pair``.

    Returns:
        ``{"constant": ..., "lookup_table": ...}``.

    Raises:
        MedganError: as ``evaluate_pair``.
    """
    counted = resolve_mask(mask, reference, source=source, protocol=protocol)
    predictions = {
        "constant": constant_floor(reference, counted.voxels),
        "lookup_table": lookup_floor(source, reference, counted.voxels),
    }
    return {
        name: evaluate_pair(prediction, reference, mask=counted, protocol=protocol)
        for name, prediction in predictions.items()
    }


def _filled(reference: Volume, mask: NDArray[np.bool_], values: Any) -> Volume:
    array = np.full(reference.shape, reference.background, dtype=np.float64)
    array[mask] = values
    return reference.with_array(array)
