"""What one step leaves behind for the judges, and how they learn from it."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor

from medgan.data.batches import Domain, WayName
from medgan.methods.judges import Judges, Views
from medgan.networks import Context, Translation
from medgan.networks.build import Generator, has_batch_norm
from medgan.networks.layers import copied

Losses = dict[str, Tensor]


@dataclass(frozen=True)
class GeneratorPass:
    """What the forward passes of one generator's objective leave behind.

    Attributes:
        losses: weighted terms by name.
        fake: (B, C, *S), what it made.
        foreground: (B, 1, *S), the attention that it was made with: 1 where it is new.
        source: what it was made of.
    """

    losses: Losses
    fake: Tensor
    foreground: Tensor
    source: Domain

    @classmethod
    def of(cls, made: Translation, source: Domain) -> Self:
        """Of a translation, without losses yet."""
        return cls({}, made.image, 1 - made.background, source)

    def with_losses(self, losses: Losses) -> Self:
        """The same with the terms that it costs."""
        return replace(self, losses=losses)

    def seen(self, judges: Judges) -> Tensor:
        """What was made, as the judges of its domain see it."""
        return judges.view(self.fake, self.foreground, self.source.context)

    def detached(self) -> Self:
        """The same, of which no gradient is asked any more."""
        return replace(
            self,
            losses={name: value.detach() for name, value in self.losses.items()},
            fake=self.fake.detach(),
            foreground=self.foreground.detach(),
        )


def of_way(terms: Losses, way: WayName) -> Losses:
    """Terms under names that say which generator's they are."""
    return {f"{name}_{way}": value for name, value in terms.items()}


def judge_loss(
    judges: Judges, real: Domain, made: GeneratorPass, seen: Tensor, rng: np.random.Generator
) -> Tensor:
    """The judges' loss on real images and on detached, possibly older made ones.

    Args:
        judges: of the domain.
        real: images of it.
        made: of the same step.
        seen: made images as the judges see them, new or older.
        rng: draws what is random in the judges' views.
    """
    return judges.loss(Views(judges.view(real.real, made.foreground, real.context), seen), rng)


def translate_with_identity(
    generator: Generator, source: Domain, target: Domain
) -> tuple[Translation, Tensor]:
    """Translate images of the own domain, and images that should stay as they are.

    Both share one forward pass, which is exact because instance norm treats every image of a
    batch by itself; with batch norm there are two.

    Args:
        generator: the network.
        source: images of the domain it reads.
        target: images of the domain it writes.

    Returns:
        The translation of ``source``, and the image made of ``target``.
    """
    image = source.real
    channels = image.shape[1]
    other_context = target.context.with_channels(target.real.shape[1], channels)
    other = copied(target.real, channels)
    if has_batch_norm(generator):
        return generator(image, source.context), generator(other, other_context).image
    both = generator(torch.cat((image, other)), Context.of((source.context, other_context)))
    count = len(image)
    return both.part(slice(count)), both.image[count:]
