"""What one step leaves behind for the judges, and how they learn from it."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from medgan.data.batches import UnpairedBatch
from medgan.methods.judges import Judges, Views
from medgan.networks import Context, Translation
from medgan.networks.build import Generator, has_batch_norm
from medgan.networks.layers import copied

Losses = dict[str, Tensor]


@dataclass(frozen=True)
class GeneratorPass:
    """What the generators' forward passes leave behind.

    Attributes:
        losses: weighted terms by name; "_A" is of G_A.
        fake_A: (B, C, *S), made of real_B.
        fake_B: (B, C, *S), made of real_A.
        foreground_A: (B, 1, *S), the attention that fake_A was made with: 1 where it is new.
        foreground_B: (B, 1, *S), of fake_B.
        batch: what they were made of.
    """

    losses: Losses
    fake_A: Tensor
    fake_B: Tensor
    foreground_A: Tensor
    foreground_B: Tensor
    batch: UnpairedBatch

    @classmethod
    def of(cls, to_A: Translation, to_B: Translation, batch: UnpairedBatch) -> Self:
        """Of the translations of both domains, without losses yet."""
        return cls({}, to_A.image, to_B.image, 1 - to_A.background, 1 - to_B.background, batch)

    def seen_A(self, judges: Judges) -> Tensor:
        """The made images of A as D_B sees them."""
        return judges.view(self.fake_A, self.foreground_A, self.batch.context_B)

    def seen_B(self, judges: Judges) -> Tensor:
        """The made images of B as D_A sees them."""
        return judges.view(self.fake_B, self.foreground_B, self.batch.context_A)


def judge_losses(
    D_A: Judges,
    D_B: Judges,
    batch: UnpairedBatch,
    made: GeneratorPass,
    seen_A: Tensor,
    seen_B: Tensor,
    rng: np.random.Generator,
) -> Losses:
    """The judges' losses on real images and on detached, possibly older made ones.

    Args:
        D_A: of domain B.
        D_B: of domain A.
        batch: real images.
        made: of the same step.
        seen_A: made images of A as D_B sees them, new or older.
        seen_B: made images of B as D_A sees them.
        rng: draws what is random in the judges' views.
    """
    real_B = D_A.view(batch.real_B, made.foreground_B, batch.context_B)
    real_A = D_B.view(batch.real_A, made.foreground_A, batch.context_A)
    return {
        "discriminator_A": D_A.loss(Views(real_B, seen_B), rng),
        "discriminator_B": D_B.loss(Views(real_A, seen_A), rng),
    }


def translate_with_identity(
    generator: Generator, image: Tensor, context: Context, other: Tensor, other_context: Context
) -> tuple[Translation, Tensor]:
    """Translate images of the own domain, and images that should stay as they are.

    Both share one forward pass, which is exact because instance norm treats every image of a
    batch by itself; with batch norm there are two.

    Args:
        generator: the network.
        image: (B, C, *S) of the domain it reads.
        context: of the same.
        other: (B, C', *S) of the domain it writes.
        other_context: of the same.

    Returns:
        The translation of ``image``, and the image made of ``other``.
    """
    channels = image.shape[1]
    other_context = other_context.with_channels(other.shape[1], channels)
    other = copied(other, channels)
    if has_batch_norm(generator):
        return generator(image, context), generator(other, other_context).image
    both = generator(torch.cat((image, other)), Context.of((context, other_context)))
    count = len(image)
    return both.part(slice(count)), both.image[count:]
