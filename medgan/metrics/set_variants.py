"""Distances as a publication printed them, beside medgan's own and never in their place."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from medgan.errors import ConfigError
from medgan.metrics.aggregates import STD_DDOF
from medgan.metrics.distribution import checked, fid, kid_blocks

KidVariant = Literal["standard", "attentiongan2019"]

ATTENTIONGAN: KidVariant = "attentiongan2019"
ATTENTIONGAN_FEATURES = "inception"
ATTENTIONGAN_BLOCK = 10
ATTENTIONGAN_KID_SCALE = 100.0
ATTENTIONGAN_FID_SCALE = 0.01

_ORDER_STREAM = 43


@dataclass(frozen=True)
class AttentionGanDistances:
    """What the evaluation script in the repository of AttentionGAN prints of two sets.

    All images of both sets take part, and there is no floor: real images are compared with none.

    Attributes:
        kid: mean over the blocks, times 100.
        kid_error: its standard error over the blocks, times 100 ("KID_stddev" in the script); NaN
            where there is only one.
        fid: divided by 100.
        blocks: how many.
    """

    kid: float
    kid_error: float
    fid: float
    blocks: int

    def to_dict(self) -> dict[str, Any]:
        """The same by the keys of the document of ``compare_sets``."""
        return {
            f"kid_{ATTENTIONGAN}": self.kid,
            f"kid_{ATTENTIONGAN}_error": self.kid_error,
            f"fid_{ATTENTIONGAN}": self.fid,
            f"blocks_{ATTENTIONGAN}": self.blocks,
        }


def attentiongan_distances(
    real: ArrayLike, fake: ArrayLike, *, seed: int = 0
) -> AttentionGanDistances:
    """FID and KID by the rule and in the scale of the AttentionGAN authors' evaluation.

    The script takes images in whatever order the file system lists them, which its blocks need to
    be random; here both sets are shuffled.

    Args:
        real: (n, d) features.
        fake: (m, d) features.
        seed: of the order of the images.

    Raises:
        DataError: a block would have fewer than two images of a set.

    Source: Tang et al., AttentionGAN, arXiv:1911.11897 (2019); the script
        ``frechet_kernel_Inception_distance.py`` of its repository, ``max_block_size=10``.
    """
    reals, fakes = checked(real), checked(fake)
    draw = np.random.default_rng([seed, _ORDER_STREAM])
    values = kid_blocks(
        reals[draw.permutation(len(reals))],
        fakes[draw.permutation(len(fakes))],
        largest=ATTENTIONGAN_BLOCK,
    )
    several = len(values) > STD_DDOF
    error = values.std(ddof=STD_DDOF) / np.sqrt(len(values)) if several else np.nan
    return AttentionGanDistances(
        kid=ATTENTIONGAN_KID_SCALE * float(values.mean()),
        kid_error=ATTENTIONGAN_KID_SCALE * float(error),
        fid=ATTENTIONGAN_FID_SCALE * fid(reals, fakes),
        blocks=len(values),
    )


def require_variant(name: str) -> None:
    """Refuse a variant that there is not, rather than measure another one.

    Raises:
        ConfigError: not one of ``KidVariant``.
    """
    if name not in get_args(KidVariant):
        raise ConfigError(
            "unknown variant of KID", measured=name, limit=" or ".join(get_args(KidVariant))
        )


def variant_definition() -> dict[str, Any]:
    """What must stand beside these numbers."""
    return {
        "name": ATTENTIONGAN,
        "largest_block": ATTENTIONGAN_BLOCK,
        "kid_scale": ATTENTIONGAN_KID_SCALE,
        "fid_scale": ATTENTIONGAN_FID_SCALE,
        "images": "all of both sets, in random order",
        "kid_error": "standard error over the blocks",
    }
