"""The phantom anchor: what generators learn from phantoms of randomised contrast, supervised."""

from torch import Tensor, nn

from medgan.config import TrainConfig
from medgan.data.batches import PhantomBatch, WayName
from medgan.methods.losses import background_loss, balanced_l1, l1
from medgan.methods.tissue import tissue_loss


def phantom_losses(
    config: TrainConfig, generator: nn.Module, way: WayName, pairs: PhantomBatch, step: int
) -> dict[str, Tensor]:
    """The supervised terms of a generator, weighted.

    Args:
        config: weights, and which way leads to CT.
        generator: G_A or G_B.
        way: "A" or "B".
        pairs: phantoms with their truth.
        step: counted from 1.

    Returns:
        "phantom_A" or "phantom_B", and where their weights say so "phantom_tissue" of the generator
        that makes CT, and "phantom_background_A" or "phantom_background_B".
    """
    losses = config.losses
    weight = anchor_weight(config, step)
    source, context, truth, modality = (
        (pairs.source, pairs.source_context, pairs.source_truth, config.target)
        if way == "A"
        else (pairs.target, pairs.target_context, pairs.target_truth, config.source)
    )
    made = generator(source, context)
    found = {}
    if context.condition is None:
        found[f"phantom_{way}"] = weight * l1(made.image, truth)
    else:
        # what is wanted fills little of the image
        found[f"phantom_{way}"] = weight * balanced_l1(made.image, truth, pairs.body)
    if losses.tissue and modality == "CT":
        found["phantom_tissue"] = losses.tissue * tissue_loss(
            made.image, truth, config.preparation.window_hu, pairs.body
        )
    if losses.background:
        there = background_loss(made.background, pairs.body)
        found[f"phantom_background_{way}"] = losses.background * there
    return found


def anchor_weight(config: TrainConfig, step: int) -> float:
    """Weight of the supervised L1: constant, or after the warm-up linear to ``phantom_end``."""
    losses, training = config.losses, config.training
    if losses.phantom_end is None or step <= training.warmup_steps:
        return losses.phantom
    done = (step - training.warmup_steps) / (training.steps - training.warmup_steps)
    return losses.phantom + done * (losses.phantom_end - losses.phantom)
