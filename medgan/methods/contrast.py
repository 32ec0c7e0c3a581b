"""Patches keep what they hold: the contrastive term of CUT.

A patch of the result must resemble the patch of the source at the same place more than it resembles
any other patch of that source. ``S`` stands for the spatial axes.
"""

from collections.abc import Sequence
from math import prod

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

TEMPERATURE = 0.07
"""Source: Park et al. 2020, arXiv:2007.15651, section 3.3."""


def patch_nce(queries: Tensor, keys: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """Cross-entropy of finding each query's own key among all keys of the same image.

    Args:
        queries: (B, N, D) float of length 1 along D, from the result.
        keys: (B, N, D) float of length 1 along D, from the source at the same positions; no
            gradient flows into them.
        temperature: what similarities are divided by.

    Returns:
        Scalar float32, at least 0; log(N) where queries tell nothing.

    Source: Park et al., Contrastive Learning for Unpaired Image-to-Image Translation, ECCV 2020,
    arXiv:2007.15651, equations 3 and 4.
    """
    # in bfloat16 the similarities would have two digits
    with torch.autocast(queries.device.type, enabled=False):
        similarity = queries.float() @ keys.detach().float().transpose(1, 2)
    own = torch.arange(queries.shape[1], device=queries.device).expand(len(queries), -1)
    return functional.cross_entropy((similarity / temperature).flatten(0, 1), own.flatten())


def draw_positions(
    sizes: Sequence[Sequence[int]], count: int, rng: np.random.Generator
) -> list[Tensor]:
    """Draw places in every layer of features, each at most once.

    Args:
        sizes: spatial sizes S of each layer.
        count: places a layer; all of them, in random order, where there are no more.
        rng: determines the places.

    Returns:
        For every layer (N,) int64, positions in the flattened spatial axes, N at most ``count``.
    """
    return [
        torch.from_numpy(rng.choice(places, min(count, places), replace=False))
        for places in map(prod, sizes)
    ]


def patches_at(features: Tensor, positions: Tensor) -> Tensor:
    """Features at the drawn places: (B, D, *S) and (N,) int64 -> (B, N, D)."""
    return features.flatten(2)[:, :, positions.to(features.device)].transpose(1, 2)
