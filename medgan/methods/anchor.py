"""The phantom anchor: what generators learn from phantoms of randomised contrast, supervised."""

from torch import Tensor, nn

from medgan.config import TrainConfig
from medgan.data.batches import PhantomBatch
from medgan.methods.losses import background_loss, balanced_l1, l1
from medgan.methods.tissue import tissue_loss


def phantom_losses(
    config: TrainConfig, forward: nn.Module, backward: nn.Module, pairs: PhantomBatch, step: int
) -> dict[str, Tensor]:
    """The supervised terms of both generators, weighted.

    Args:
        config: weights, and which way leads to CT.
        forward: G_A.
        backward: G_B.
        pairs: phantoms with their truth.
        step: counted from 1.

    Returns:
        "phantom_A" and "phantom_B", and where their weights say so "tissue", "background_A" and
        "background_B" under names of their own.
    """
    losses = config.losses
    weight = anchor_weight(config, step)
    found = {}
    for name, generator, source, context, truth, modality in (
        ("A", forward, pairs.source, pairs.source_context, pairs.source_truth, config.target),
        ("B", backward, pairs.target, pairs.target_context, pairs.target_truth, config.source),
    ):
        made = generator(source, context)
        if context.condition is None:
            found[f"phantom_{name}"] = weight * l1(made.image, truth)
        else:
            # what is wanted fills little of the image
            found[f"phantom_{name}"] = weight * balanced_l1(made.image, truth, pairs.body)
        if losses.tissue and modality == "CT":
            found["phantom_tissue"] = losses.tissue * tissue_loss(
                made.image, truth, config.preparation.window_hu, pairs.body
            )
        if losses.background:
            there = background_loss(made.background, pairs.body)
            found[f"phantom_background_{name}"] = losses.background * there
    return found


def anchor_weight(config: TrainConfig, step: int) -> float:
    """Weight of the supervised L1: constant, or after the warm-up linear to ``phantom_end``."""
    losses, training = config.losses, config.training
    if losses.phantom_end is None or step <= training.warmup_steps:
        return losses.phantom
    done = (step - training.warmup_steps) / (training.steps - training.warmup_steps)
    return losses.phantom + done * (losses.phantom_end - losses.phantom)
