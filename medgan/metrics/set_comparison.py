"""The distance of two image sets beside that of real images from real ones, at one set size.

A distance estimated from few images is large even where nothing is wrong, so it is taken at the
same number of images as its floor: in every split the real patients fall into two halves; the fakes
are compared with images of the first half, and images of the second half with the same ones.
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medgan.errors import ConfigError, DataError
from medgan.metrics.aggregates import STD_DDOF
from medgan.metrics.distribution import KID_SUBSETS, Features, checked, fid, kid
from medgan.metrics.manifolds import precision_recall

SPLITS = 10
"""Fewest splits: the standard deviation over ten is known to about a quarter of itself."""

KID_SUBSET = 1000
"""Largest subset by default, as in Binkowski et al., ICLR 2018."""

MIN_COMPARED = 10
"""Fewer images at a time, or in a KID subset, are refused: KID would be chance alone.

Its standard deviation falls as the number of images rises, and at 10 the neighbourhoods of
precision and recall already hold a third of the other images.
"""

_SPLIT_STREAM = 41

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Distances:
    """Distances of one set from the real one: means, and standard deviations (ddof 1).

    Attributes:
        fid: mean over the splits.
        fid_std: over the splits.
        fid_low: 2.5th percentile over the splits.
        fid_high: 97.5th percentile.
        kid: mean over the subsets of all splits.
        kid_std: over these subsets; NaN where there is only one.
        kid_low: 2.5th percentile of the splits' means.
        kid_high: 97.5th percentile.
        precision: mean over the splits.
        recall: mean over the splits.
    """

    fid: float
    fid_std: float
    fid_low: float
    fid_high: float
    kid: float
    kid_std: float
    kid_low: float
    kid_high: float
    precision: float
    recall: float


@dataclass(frozen=True)
class SetComparison:
    """What two sets are apart, and how far that could be chance.

    Attributes:
        distances: fakes from real images.
        floor: real images from real images of other patients, at the same number.
        n_real: images.
        n_fake: images.
        n_compared: images of either set in every distance.
        dimension: features of an image.
        splits: how often the real set was divided.
        kid_subset: images in each KID subset.
        split_by: "patient", or "image" where patients are not known.
        n_patients: in the real set, where known.
        seed: of all draws.
    """

    distances: Distances
    floor: Distances
    n_real: int
    n_fake: int
    n_compared: int
    dimension: int
    splits: int
    kid_subset: int
    split_by: str
    n_patients: int | None
    seed: int


def compare_features(
    real: ArrayLike,
    fake: ArrayLike,
    patients: Sequence[Hashable] | None = None,
    *,
    splits: int = SPLITS,
    kid_subset: int | None = None,
    seed: int = 0,
) -> SetComparison:
    """Distances of fakes from real images, and of real images from one another.

    Both are taken at the largest number of images that every split allows: the smaller of the
    fakes and of half the real images, less where patients cannot be divided evenly.

    Args:
        real: (n, d) features, in memory or mapped from a file.
        fake: (m, d) features.
        patients: whom each real image shows, (n,); None: unknown, every image by itself.
        splits: at least ten.
        kid_subset: images in each KID subset; None: 1000, or all that are compared where fewer.
        seed: of splits and draws.

    Raises:
        DataError: too few patients, fewer than 10 images at a time or in a KID subset, or fewer
            images than a KID subset.
        ConfigError: too few splits.
    """
    reals, fakes = checked(real), checked(fake)
    if splits < SPLITS:
        raise ConfigError("too few splits of the real set", measured=splits, limit=SPLITS)
    groups = list(range(len(reals)) if patients is None else patients)
    draws = [np.random.default_rng([seed, _SPLIT_STREAM, index]) for index in range(splits)]
    halves = [split_in_half(groups, draw) for draw in draws]
    size = min(len(fakes), *(min(len(first), len(second)) for first, second in halves))
    _require_enough(size, len(reals), len(fakes))
    subset = min(KID_SUBSET, size) if kid_subset is None else kid_subset
    if subset < MIN_COMPARED:
        raise DataError(
            "too few images in a KID subset",
            measured=subset,
            limit=f"at least {MIN_COMPARED}",
        )
    found, floor = _Values(), _Values()
    for (first, second), draw in zip(halves, draws, strict=True):
        reference = _drawn(reals, first, size, draw)
        for results, rows, indices in (
            (found, fakes, np.arange(len(fakes))),
            (floor, reals, second),
        ):
            results.add(reference, _drawn(rows, indices, size, draw), subset, splits, draw)
    return SetComparison(
        distances=found.result(),
        floor=floor.result(),
        n_real=len(reals),
        n_fake=len(fakes),
        n_compared=size,
        dimension=reals.shape[1],
        splits=splits,
        kid_subset=subset,
        split_by="image" if patients is None else "patient",
        n_patients=None if patients is None else len(set(patients)),
        seed=seed,
    )


def split_in_half(groups: Sequence[Hashable], draw: np.random.Generator) -> tuple[Indices, Indices]:
    """Divide images into two halves that share no patient.

    Patients come in random order, each to the half that has fewer images by then: the halves are
    as even as the largest patient allows.

    Args:
        groups: whom each image shows.
        draw: where the order comes from.

    Returns:
        Indices of the images in each half, ascending.

    Raises:
        DataError: fewer than two patients.
    """
    members: dict[Hashable, list[int]] = {}
    for index, group in enumerate(groups):
        members.setdefault(group, []).append(index)
    if len(members) < 2:
        raise DataError(
            "a real-versus-real floor needs two patients",
            measured=len(members),
            limit=2,
            remedy="Add real images of other patients",
        )
    patients = list(members.values())
    halves: tuple[list[int], list[int]] = ([], [])
    for index in draw.permutation(len(patients)):
        min(halves, key=len).extend(patients[index])
    first, second = (np.array(sorted(half), dtype=np.int64) for half in halves)
    return first, second


class _Values:
    """Values of one kind of comparison, split after split."""

    def __init__(self) -> None:
        self._fid: list[float] = []
        self._kid: list[list[float]] = []
        self._precision: list[float] = []
        self._recall: list[float] = []

    def add(
        self, real: Features, fake: Features, subset: int, splits: int, draw: np.random.Generator
    ) -> None:
        self._fid.append(fid(real, fake))
        seed = int(draw.integers(2**32))
        subsets = math.ceil(KID_SUBSETS / splits)
        self._kid.append(kid(real, fake, subset=subset, subsets=subsets, seed=seed).tolist())
        shares = precision_recall(real, fake)
        self._precision.append(shares.precision)
        self._recall.append(shares.recall)

    def result(self) -> Distances:
        kids = [value for of_split in self._kid for value in of_split]
        fid_low, fid_high = _middle(self._fid)
        kid_low, kid_high = _middle([_mean(of_split) for of_split in self._kid])
        return Distances(
            fid=_mean(self._fid),
            fid_std=_std(self._fid),
            fid_low=fid_low,
            fid_high=fid_high,
            kid=_mean(kids),
            kid_std=_std(kids),
            kid_low=kid_low,
            kid_high=kid_high,
            precision=_mean(self._precision),
            recall=_mean(self._recall),
        )


def _drawn(rows: Features, indices: Indices, size: int, draw: np.random.Generator) -> Features:
    return rows[np.sort(draw.choice(indices, size, replace=False))]


def _require_enough(size: int, n_real: int, n_fake: int) -> None:
    if size < MIN_COMPARED:
        raise DataError(
            "too few images to compare sets",
            measured=f"{size} at a time, of {n_real} real and {n_fake} fake ones",
            limit=f"at least {MIN_COMPARED}: the smaller of the fakes and of half the real images",
            remedy="Give more images, of more patients",
        )


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


def _middle(values: Sequence[float]) -> tuple[float, float]:
    """The bounds of the middle 95 %."""
    low, high = np.percentile(values, (2.5, 97.5))
    return float(low), float(high)


def _std(values: Sequence[float]) -> float:
    return float(np.std(values, ddof=STD_DDOF)) if len(values) > STD_DDOF else math.nan
