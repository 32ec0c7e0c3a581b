"""A score of synthetic CT that needs no paired truth: HU by depth below the skin."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.stats import wasserstein_distance

from medgan.errors import DataError

DEPTH_EDGES_MM = np.arange(0.0, 42.0, 2.0)
MIN_VOXELS = 200
QUANTILES = np.linspace(0.005, 0.995, 100)


def depth_profile(
    image: NDArray[np.floating], body: NDArray[np.bool_], spacing_mm: tuple[float, float, float]
) -> NDArray[np.float64]:
    """The distribution of values in shells of equal depth below the body's surface.

    Args:
        image: (X, Y, Z), HU.
        body: (X, Y, Z) bool, airways and sinuses included.
        spacing_mm: voxel size.

    Returns:
        (20, 100): for every 2 mm of depth down to 40 mm, 100 quantiles from 0.5 % to 99.5 %; NaN
        where a shell has fewer than 200 voxels.
    """
    depth = distance_transform_edt(body, sampling=spacing_mm)
    shell = np.digitize(depth[body], DEPTH_EDGES_MM) - 1
    values = image[body]
    profile = np.full((len(DEPTH_EDGES_MM) - 1, len(QUANTILES)), np.nan)
    for index in range(len(profile)):
        inside = values[shell == index]
        if len(inside) >= MIN_VOXELS:
            profile[index] = np.quantile(inside, QUANTILES)
    return profile


def profile_distance(
    results: Sequence[NDArray[np.float64]], references: Sequence[NDArray[np.float64]]
) -> float:
    """How far synthetic profiles lie from real ones: mean Wasserstein-1 distance, in HU.

    Skull lies at another depth than scalp and brain, so a translation that turns the contrast
    round is far off although its overall histogram may be perfect. Other people's heads differ:
    compare with the distance among the real profiles.

    Args:
        results: profiles of synthetic images.
        references: profiles of real ones, of other patients.

    Raises:
        DataError: no shell is filled in both.
    """
    mine, real = _mean(results), _mean(references)
    shared = np.flatnonzero(~np.isnan(mine[:, 0]) & ~np.isnan(real[:, 0]))
    if not len(shared):
        raise DataError("no shell of depth is filled in both sets", remedy="Check the body masks")
    return float(np.mean([wasserstein_distance(mine[s], real[s]) for s in shared]))


def _mean(profiles: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    stacked = np.stack(profiles)
    filled = ~np.isnan(stacked)
    total = np.where(filled, stacked, 0.0).sum(0)
    count = filled.sum(0)
    return np.where(count, total / np.maximum(count, 1), np.nan)
