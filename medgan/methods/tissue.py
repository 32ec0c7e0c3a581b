"""Tissue labels that a synthetic CT must reproduce where the truth is known, as on phantoms."""

import torch
from torch import Tensor

from medgan.metrics.tissues import AIR_BELOW_HU, BONE_ABOVE_HU
from medgan.volumes.intensity import WindowScale

STEP_HU = 25.0
"""Scale of the logistic steps between tissues: from 10 to 90 % within 110 HU.

At twice that, muscle of 60 HU would count as 14 % bone.
"""


def tissue_loss(
    result: Tensor, truth: Tensor, window_hu: tuple[float, float], body: Tensor | None = None
) -> Tensor:
    """One minus the mean soft Dice coefficient of air, soft tissue and bone; mean over the images.

    Both images are turned into memberships by the same logistic steps, so the loss is 0 where they
    are equal and pulls nothing away from the truth; farther than 100 HU from a limit, the truth's
    memberships are its labels to within 2 %. A tissue that the truth lacks is left out: what the
    result wrongly shows of it is missing elsewhere.

    Args:
        result: (B, 1, *S) float in [-1, 1], a synthetic CT.
        truth: (B, 1, *S) float in [-1, 1].
        window_hu: HU at -1 and at +1.
        body: (B, 1, *S) bool; nothing outside it counts. None: everything counts.

    Returns:
        Scalar float32 in [0, 1].

    Source: Milletari et al., V-Net, 3DV 2016, arXiv:1606.04797, section 3, for the soft Dice.
    """
    scale = WindowScale(*window_hu)
    counted = torch.ones_like(truth, dtype=torch.float32) if body is None else body.float()
    true_hu = scale.inverse(truth.float())
    found = _memberships(scale.inverse(result.float())) * counted
    wanted = _memberships(true_hu) * counted
    # each image by itself: a batch costs what its parts cost, whichever process has them
    present = (_labels(true_hu) & (counted > 0)).flatten(2).any(2).float()
    overlap = 2 * (found * wanted).flatten(2).sum(2)
    total = (found.square() + wanted.square()).flatten(2).sum(2)
    missing = 1 - overlap / total.clamp(min=1e-6)
    return ((present * missing).sum(0) / present.sum(0).clamp(min=1)).mean()


def _memberships(hu: Tensor) -> Tensor:
    """(B, 1, *S) HU -> (3, B, 1, *S) in [0, 1]: air, soft tissue, bone; they add up to 1."""
    air = torch.sigmoid((AIR_BELOW_HU - hu) / STEP_HU)
    bone = torch.sigmoid((hu - BONE_ABOVE_HU) / STEP_HU)
    return torch.stack((air, 1 - air - bone, bone))


def _labels(hu: Tensor) -> Tensor:
    """(B, 1, *S) HU -> (3, B, 1, *S) bool: air, soft tissue, bone."""
    air, bone = hu < AIR_BELOW_HU, hu > BONE_ABOVE_HU
    return torch.stack((air, ~air & ~bone, bone))
