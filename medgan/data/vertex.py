"""How far below the vertex a slice or patch lies, tilted or not."""

import numpy as np
from numpy.typing import NDArray

from medgan.data.depth import vertex_of
from medgan.phantoms.tissues import Tissue


def crown(labels: NDArray[np.uint8], stride: int = 1) -> NDArray[np.float64]:
    """The highest tissue of every column.

    Args:
        labels: (X, Y, Z) uint8, values of ``Tissue``, third axis upwards.
        stride: look only at every so many columns along X and Y; a head is round.

    Returns:
        (N, 3) float64 voxel indices; empty where the labels end at the top before the head does.

    Raises:
        DataError: there is no tissue.
    """
    tissue = labels[::stride, ::stride] != Tissue.AIR
    if not vertex_of(tissue, 1.0).has_vertex:
        return np.empty((0, 3))
    i, j = np.nonzero(tissue.any(axis=2))
    k = tissue.shape[2] - 1 - tissue[i, j, ::-1].argmax(axis=1)
    return np.column_stack([i * stride, j * stride, k]).astype(np.float64)


def depth_below(
    surface: NDArray[np.float64], up: NDArray[np.float64], middle: NDArray[np.float64]
) -> float | None:
    """Distance from the highest point of a head down to a slice, along the slice's normal.

    Args:
        surface: (N, 3) points of the head's upper surface; none where it is not known.
        up: (3,) what takes a point to its height in mm.
        middle: (3,) a point of the slice.

    Returns:
        mm, negative above the head; None where the vertex is not known.
    """
    if not len(surface):
        return None
    return float((surface @ up).max() - middle @ up)
