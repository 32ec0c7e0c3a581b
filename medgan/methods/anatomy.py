"""Terms that keep anatomy where it is: the background outside the body, edges of the input."""

from torch import Tensor

from medgan.config import LossConfig
from medgan.data.batches import Domain
from medgan.methods.losses import background_loss
from medgan.methods.structure import structure_loss
from medgan.networks import Translation


def anatomy_losses(weights: LossConfig, source: Domain, made: Translation) -> dict[str, Tensor]:
    """The weighted terms, those with a weight of 0 left out.

    Args:
        weights: ``background``, ``structure`` and ``structure_weight`` of them.
        source: real images and bodies.
        made: of them.
    """
    losses = {}
    if weights.background:
        there = background_loss(made.background, source.body)
        losses["background"] = weights.background * there
    if weights.structure_weight:
        moved = structure_loss(weights.structure, made.image, source.real, source.body)
        losses["structure"] = weights.structure_weight * moved
    return losses
