"""Terms that keep anatomy where it is: the background outside the body, edges of the input."""

from torch import Tensor

from medgan.config import LossConfig
from medgan.data.batches import UnpairedBatch
from medgan.methods.losses import background_loss
from medgan.methods.structure import structure_loss
from medgan.networks import Translation


def anatomy_losses(
    weights: LossConfig, batch: UnpairedBatch, to_B: Translation, to_A: Translation
) -> dict[str, Tensor]:
    """The weighted terms of both directions, those with a weight of 0 left out.

    Args:
        weights: ``background``, ``structure`` and ``structure_weight`` of them.
        batch: real images and bodies.
        to_B: of real_A.
        to_A: of real_B.
    """
    losses = {}
    for name, way, real, body in (
        ("A", to_B, batch.real_A, batch.body_A),
        ("B", to_A, batch.real_B, batch.body_B),
    ):
        if weights.background:
            there = background_loss(way.background, body)
            losses[f"background_{name}"] = weights.background * there
        if weights.structure_weight:
            moved = structure_loss(weights.structure, way.image, real, body)
            losses[f"structure_{name}"] = weights.structure_weight * moved
    return losses
