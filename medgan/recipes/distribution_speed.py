"""How long FID and KID take from features, beside the textbook's square root of a matrix."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from medgan.metrics.distribution import fid, squared_mmd
from medgan.recipes.measuring import in_new_process, in_turns, peak_memory_mb

Features = NDArray[np.float64]


@dataclass(frozen=True)
class Setup:
    """Sets of random features that lie apart.

    Attributes:
        images: in each of the two sets.
        features: of each image.
    """

    images: int = 2500
    features: int = 2048

    def sets(self) -> tuple[Features, Features]:
        """Both, (images, features) each."""
        return (
            normal(self.images, self.features, 1),
            1.2 * normal(self.images, self.features, 2) + 0.1,
        )


@dataclass(frozen=True)
class DistributionSpeed:
    """FID and KID of two sets, in turns.

    Attributes:
        setup: the sets.
        rounds: of which the median counts.
        fid: the exact one.
        fid_sqrtm: by ``scipy.linalg.sqrtm`` of the product of the covariances.
        relative_difference: of the two.
        kid: over all images.
        seconds_fid: of the exact FID.
        seconds_sqrtm: of the other one.
        ratio: of the latter to the former.
        seconds_kid: of KID.
        quartiles_fid: of ``seconds_fid``.
        quartiles_sqrtm: of ``seconds_sqrtm``.
        quartiles_kid: of ``seconds_kid``.
        peak_memory_mb: of a process that makes the sets and computes medgan's two, 2^20 bytes.
    """

    setup: Setup
    rounds: int
    fid: float
    fid_sqrtm: float
    relative_difference: float
    kid: float
    seconds_fid: float
    seconds_sqrtm: float
    ratio: float
    seconds_kid: float
    quartiles_fid: tuple[float, float]
    quartiles_sqrtm: tuple[float, float]
    quartiles_kid: tuple[float, float]
    peak_memory_mb: float


def measure(setup: Setup = Setup(), *, rounds: int = 3) -> DistributionSpeed:
    """Compute FID in both ways, and KID, in turns.

    Args:
        setup: the sets.
        rounds: at least 1.

    Raises:
        DataError: fewer than two images.
        OutputError: not enough memory.
    """
    a, b = setup.sets()
    exact, root, kernel = fid(a, b), fid_by_square_root(a, b), squared_mmd(a, b)
    seconds = in_turns(
        {
            "fid": lambda: fid(a, b),
            "sqrtm": lambda: fid_by_square_root(a, b),
            "kid": lambda: squared_mmd(a, b),
        },
        rounds,
    )
    return DistributionSpeed(
        setup=setup,
        rounds=rounds,
        fid=exact,
        fid_sqrtm=root,
        relative_difference=abs(exact / root - 1),
        kid=kernel,
        seconds_fid=seconds["fid"].median,
        seconds_sqrtm=seconds["sqrtm"].median,
        ratio=seconds["sqrtm"].median / seconds["fid"].median,
        seconds_kid=seconds["kid"].median,
        quartiles_fid=seconds["fid"].quartiles,
        quartiles_sqrtm=seconds["sqrtm"].quartiles,
        quartiles_kid=seconds["kid"].quartiles,
        peak_memory_mb=in_new_process(memory, setup),
    )


def memory(setup: Setup) -> float:
    """Peak memory of FID and KID in this process, which must be new; 2^20 bytes."""
    a, b = setup.sets()
    fid(a, b)
    squared_mmd(a, b)
    return peak_memory_mb()


def normal(images: int, features: int, seed: int) -> Features:
    """Features of the standard normal distribution, (images, features)."""
    return np.random.default_rng(seed).standard_normal((images, features))


def fid_by_square_root(a: Features, b: Features) -> float:
    """FID as its formula stands, from covariances and the square root of their product.

    Args:
        a: (n, d), at least two rows.
        b: (m, d), likewise.

    Source: Heusel et al., NeurIPS 2017, equation 6.
    """
    of_a, of_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    shift = a.mean(axis=0) - b.mean(axis=0)
    # a product of two covariances has real eigenvalues; rounding adds imaginary parts
    common = np.trace(linalg.sqrtm(of_a @ of_b)).real
    return float(shift @ shift + np.trace(of_a) + np.trace(of_b) - 2 * common)
