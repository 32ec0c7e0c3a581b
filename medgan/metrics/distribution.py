"""Distances between two sets of feature vectors: FID and KID.

Both take features, one row an image, from whatever network made them. Neither means anything
by itself: a finite sample of the very same distribution is not at distance 0 (FID), so every value
belongs beside that of real images against real ones, at the same number of images.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medgan.errors import DataError

Features = NDArray[np.floating]

BLOCK_ROWS = 1024
"""Rows read and converted at a time, so that features may lie in a file of any length."""

KID_SUBSETS = 100
"""Source: Binkowski et al., Demystifying MMD GANs, ICLR 2018; the number in every public tool."""


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean and covariance of a set of features, the covariance as a root of it.

    The root has at most max(count, d) rows however many images went in: a QR decomposition folds
    new rows into it, which is as accurate as having kept them all, and squares no numbers.

    Attributes:
        count: of images.
        mean: (d,) float64.
        root: (r, d) float64 with ``root.T @ root == (count - 1) * covariance``.
    """

    count: int
    mean: NDArray[np.float64]
    root: NDArray[np.float64]

    @classmethod
    def of(cls, features: ArrayLike) -> Self:
        """Moments of features in memory or mapped from a file, read block by block.

        Args:
            features: (n, d), any real dtype.

        Raises:
            DataError: not a matrix, empty, or not finite.
        """
        rows = checked(features)
        size = max(BLOCK_ROWS, rows.shape[1])
        moments = cls._of_block(rows[:size])
        for start in range(size, len(rows), size):
            moments = moments.merged(cls._of_block(rows[start : start + size]))
        return moments

    @classmethod
    def _of_block(cls, rows: Features) -> Self:
        values = _finite(rows)
        mean = values.mean(axis=0)
        return cls(len(values), mean, _compact(values - mean))

    def merged(self, other: "Moments") -> Self:
        """Moments of both sets together, exactly; neither needs to be in memory any more.

        Source: Chan, Golub and LeVeque 1983, the update of the scatter matrix, with its root in
            the place of the matrix.
        """
        count = self.count + other.count
        shift = other.mean - self.mean
        between = math.sqrt(self.count * other.count / count) * shift[None]
        root = np.concatenate([self.root, other.root, between])
        return type(self)(count, self.mean + shift * (other.count / count), _compact(root))


def frechet_distance(a: Moments, b: Moments) -> float:
    """Squared Frechet distance of the normal distributions with these moments; FID.

    ``|mu_a - mu_b|^2 + tr(S_a) + tr(S_b) - 2 tr((S_a S_b)^(1/2))``. With roots
    ``S = R^T R`` the last trace is the sum of the singular values of ``R_a R_b^T``: real, without a
    matrix square root and its regularisation, and exact where the covariances are singular (fewer
    images than features).

    Args:
        a: at least two images.
        b: at least two images, the same number of features.

    Raises:
        DataError: fewer than two images, or different numbers of features.

    Source: Dowson and Landau 1982; Heusel et al., NeurIPS 2017, equation 6 (covariances with n-1).
    """
    if min(a.count, b.count) < 2:
        raise DataError("a covariance needs two images", measured=min(a.count, b.count), limit=2)
    require_same_width(a.mean, b.mean)
    root_a, root_b = a.root / math.sqrt(a.count - 1), b.root / math.sqrt(b.count - 1)
    shift = a.mean - b.mean
    common = np.linalg.svd(root_a @ root_b.T, compute_uv=False).sum()
    distance = shift @ shift + np.vdot(root_a, root_a) + np.vdot(root_b, root_b) - 2 * common
    # It is a square; rounding alone makes it negative.
    return max(0.0, float(distance))


def fid(a: ArrayLike, b: ArrayLike) -> float:
    """Frechet distance of two sets of features, (n, d) each; see ``frechet_distance``."""
    return frechet_distance(Moments.of(a), Moments.of(b))


def squared_mmd(a: ArrayLike, b: ArrayLike) -> float:
    """Unbiased estimate of the squared maximum mean discrepancy, kernel ``(x . y / d + 1)^3``.

    Its expectation is 0 for two samples of one distribution, at any number of images; single
    values may be negative.

    Args:
        a: (n, d) features, n >= 2.
        b: (m, d) features, m >= 2.

    Raises:
        DataError: fewer than two images, or different numbers of features.

    Source: Gretton et al., JMLR 2012, equation 3; Binkowski et al., ICLR 2018, section 4 (kernel).
    """
    rows, others = checked(a), checked(b)
    require_same_width(rows[0], others[0])
    n, m = len(rows), len(others)
    if min(n, m) < 2:
        raise DataError("KID needs two images of each set", measured=min(n, m), limit=2)
    within_a = _kernel_sum(rows, rows) - _kernel_diagonal(rows)
    within_b = _kernel_sum(others, others) - _kernel_diagonal(others)
    between = _kernel_sum(rows, others)
    return within_a / (n * (n - 1)) + within_b / (m * (m - 1)) - 2 * between / (n * m)


def kid(
    a: ArrayLike,
    b: ArrayLike,
    *,
    subset: int | None = None,
    subsets: int = KID_SUBSETS,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Kernel inception distance over random subsets; its mean is KID.

    Args:
        a: (n, d) features.
        b: (m, d) features.
        subset: images drawn from each set, without repetition, for each value; None: all of the
            smaller set.
        subsets: how many; where a subset is the whole of both sets there is only one.
        seed: of the draw.

    Returns:
        (subsets,) float64, an unbiased ``squared_mmd`` each.

    Raises:
        DataError: a set has fewer images than a subset, or a subset fewer than two.
    """
    rows, others = checked(a), checked(b)
    fewest = min(len(rows), len(others))
    size = fewest if subset is None else subset
    if not 2 <= size <= fewest:
        raise DataError(
            "KID subsets do not fit the sets",
            measured=f"subsets of {size}",
            limit=f"2 to {fewest} images, the size of the smaller set",
            remedy="Give more images or a smaller subset",
        )
    if size == len(rows) == len(others):
        return np.array([squared_mmd(rows, others)])
    draw = np.random.default_rng(seed)
    return np.array(
        [squared_mmd(_drawn(rows, size, draw), _drawn(others, size, draw)) for _ in range(subsets)]
    )


def kid_blocks(a: ArrayLike, b: ArrayLike, *, largest: int) -> NDArray[np.float64]:
    """Kernel inception distance block by block, every image in one block alone.

    The larger set is cut into as few blocks as hold at most ``largest`` images, the other one into
    as many; within a set they differ by one image at most, the smaller ones first.

    Args:
        a: (n, d) features, in random order.
        b: (m, d) features, in random order.
        largest: images in a block of the larger set.

    Returns:
        (blocks,) float64, an unbiased ``squared_mmd`` each.

    Raises:
        DataError: the sets are so unequal, or ``largest`` so small, that a block has fewer than
            two images of one.

    Source: Zaremba, Gretton and Blaschko, B-tests, NeurIPS 2013 (blocks); their sizes as in
        ``tf.contrib.gan.eval`` of TensorFlow 1.
    """
    rows, others = checked(a), checked(b)
    count = math.ceil(max(len(rows), len(others)) / largest)
    if min(len(rows), len(others)) < 2 * count:
        raise DataError(
            "KID blocks do not fit the sets",
            measured=f"{len(rows)} and {len(others)} images in {count} blocks",
            limit="two images of each set in every block",
            remedy="Give sets of more equal size",
        )
    return np.array(
        [
            squared_mmd(rows[start:stop], others[other_start:other_stop])
            for (start, stop), (other_start, other_stop) in zip(
                pairwise(_block_borders(len(rows), count)),
                pairwise(_block_borders(len(others), count)),
                strict=True,
            )
        ]
    )


def checked(features: ArrayLike) -> Features:
    """The same features, (n, d), or an error that says what is wrong with their shape.

    Raises:
        DataError: not a matrix of numbers, or empty.
    """
    rows = np.asanyarray(features)
    if rows.ndim != 2 or 0 in rows.shape or rows.dtype.kind not in "fiu":
        raise DataError(
            "features are a matrix, one row an image",
            measured=f"{rows.dtype} {rows.shape}",
            limit="(images, features) of real numbers",
        )
    return rows


def require_same_width(a: NDArray[np.generic], b: NDArray[np.generic]) -> None:
    """Refuse two feature vectors, (d,) each, of different lengths.

    Raises:
        DataError: they differ.
    """
    if len(a) != len(b):
        raise DataError(
            "the two sets have different features",
            measured=f"{len(a)} and {len(b)} an image",
            remedy="Take both from one extractor",
        )


def _compact(root: NDArray[np.float64]) -> NDArray[np.float64]:
    """A root of the same matrix with at most d rows."""
    return root if len(root) <= root.shape[1] else np.asarray(np.linalg.qr(root, mode="r"))


def blocks(rows: Features) -> Iterator[NDArray[np.float64]]:
    """Features as float64, a bounded number of rows at a time.

    Raises:
        DataError: a feature is not finite.
    """
    for start in range(0, len(rows), BLOCK_ROWS):
        yield _finite(rows[start : start + BLOCK_ROWS])


def _finite(rows: Features) -> NDArray[np.float64]:
    values = np.asarray(rows, dtype=np.float64)
    if not np.isfinite(values).all():
        raise DataError("a feature is not a finite number")
    return values


def _block_borders(total: int, count: int) -> NDArray[np.int64]:
    size, larger = divmod(total, count)
    return np.cumsum([0] + [size] * (count - larger) + [size + 1] * larger)


def _drawn(rows: Features, size: int, draw: np.random.Generator) -> Features:
    # In the order of the file, which is quicker to read; no distance depends on it.
    return rows[np.sort(draw.choice(len(rows), size, replace=False))]


def _kernel_sum(a: Features, b: Features) -> float:
    width = a.shape[1]
    return math.fsum(
        float(((block @ other.T / width + 1) ** 3).sum())
        for block in blocks(a)
        for other in blocks(b)
    )


def _kernel_diagonal(rows: Features) -> float:
    width = rows.shape[1]
    return math.fsum(
        float(((np.einsum("ij,ij->i", block, block) / width + 1) ** 3).sum())
        for block in blocks(rows)
    )
