"""What the detector's training minimises."""

import torch
from torch import Tensor
from torch.nn import functional

from medgan.detection.network import CellMaps
from medgan.detection.targets import LEARNS_ABOVE

ALPHA, BETA = 2, 4
"""Exponents of the penalty-reduced focal loss. Source: Law & Deng, CornerNet, section 3.2."""


def heatmap_loss(logit: Tensor, heatmap: Tensor, counts: Tensor) -> Tensor:
    """Penalty-reduced focal loss, summed over cells and divided by the number of nodules.

    ``-(1 - p)^2 log p`` where the heatmap y is 1, ``-(1 - y)^4 p^2 log(1 - p)`` elsewhere.

    Args:
        logit: (B, X, Y, Z), of p.
        heatmap: (B, X, Y, Z) in [0, 1].
        counts: (B, X, Y, Z), weight of each cell.

    Source: Law & Deng, CornerNet, ECCV 2018, equation 1; Zhou et al., arXiv:1904.07850, equation 1.
    """
    probability = logit.sigmoid()
    centre = (heatmap == 1).to(logit.dtype)
    found = -((1 - probability) ** ALPHA) * functional.logsigmoid(logit)
    quiet = -((1 - heatmap) ** BETA) * probability**ALPHA * functional.logsigmoid(-logit)
    total = (counts * (centre * found + (1 - centre) * quiet)).sum()
    return total / centre.sum().clamp(min=1)


def regression_losses(
    maps: CellMaps, heatmap: Tensor, offset: Tensor, log_diameter: Tensor
) -> tuple[Tensor, Tensor]:
    """Mean L1 distance of place (in cells, summed over axes) and of the logarithm of the diameter.

    Cells weigh as much as their heatmap value, those below `LEARNS_ABOVE` nothing.

    Args:
        maps: what the network says.
        heatmap: (B, X, Y, Z).
        offset: (B, 3, X, Y, Z).
        log_diameter: (B, X, Y, Z).
    """
    weight = torch.where(heatmap > LEARNS_ABOVE, heatmap, torch.zeros_like(heatmap))
    total = weight.sum().clamp(min=1)
    place = (weight * (maps.offset - offset).abs().sum(1)).sum() / total
    size = (weight * (maps.log_diameter - log_diameter).abs()).sum() / total
    return place, size
