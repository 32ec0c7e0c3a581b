"""How each contrast of a scan goes with the others: what it is known by among them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from medgan.data.agreement import shown_by
from medgan.data.preparation import Prepared

TENTHS = 10


def companions(scan: Sequence[Prepared]) -> tuple[NDArray[np.float64], ...]:
    """Where other contrasts are bright while one is dark to bright, and the other way round.

    What is brightest in a T1 is of medium brightness in a T2, what is brightest in a T2 is dark in
    a T1. Brightness is a rank among the voxels of the body that all contrasts show, so that neither
    scale nor gain matters.

    Args:
        scan: its contrasts, on one grid.

    Returns:
        Of every contrast (20,) from 0 to 1: the mean rank of the others in each tenth of its own
        ranks, and its own mean rank in each tenth of theirs; the mean over the others. Nothing of a
        scan of one contrast.
    """
    if len(scan) < 2:
        return ()
    shown = scan[0].mask & np.logical_and.reduce([shown_by(contrast) for contrast in scan])
    values = [contrast.volume.array[shown] for contrast in scan]
    ranks = [rankdata(one) / max(one.size, 1) for one in values]
    return tuple(
        np.mean(
            [
                np.concatenate([_by_tenths(one, other), _by_tenths(other, one)])
                for j, other in enumerate(ranks)
                if j != i
            ],
            axis=0,
        )
        for i, one in enumerate(ranks)
    )


def _by_tenths(ranks: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means of other ranks in the tenths of some; an empty tenth has the middle one."""
    tenth = np.minimum((ranks * TENTHS).astype(int), TENTHS - 1)
    counts = np.bincount(tenth, minlength=TENTHS)
    sums = np.bincount(tenth, others, minlength=TENTHS)
    return np.where(counts > 0, sums / np.maximum(counts, 1), 0.5)
