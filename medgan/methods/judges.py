"""The discriminators of a domain, and what they are shown."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from medgan.config import NetworkConfig, TrainConfig
from medgan.methods.differentiable_augmentation import DifferentiableAugmentation
from medgan.methods.losses import least_squares_gan
from medgan.networks.build import build_discriminators, has_batch_norm
from medgan.networks.conditioning import Context, condition_of


@dataclass(frozen=True)
class Views:
    """What the judges of one domain see of it in one step.

    Attributes:
        real: (B, C, *S) images; with guided judges (B, C + 1, *S), the attention last.
        fake: the same of made images; the attention is that with which they were made.
    """

    real: Tensor
    fake: Tensor


class Judges(nn.Module):
    """Tell real images of one domain from made ones.

    Attention-guided judges see the foreground attention beside the image: a made image with the
    attention it was made with, a real one with the same, so that they judge what was changed.

    Args:
        network: which judges there are.
        channels: of the domain's images.
        mirror_axis: move what they see at random, real and made images alike, and turn this axis
            round half of the time; None: show it as it is.

    Source: Tang et al., AttentionGAN, arXiv:1911.11897, section III-B; Zhao et al.,
        arXiv:2006.10738.
    """

    def __init__(
        self, network: NetworkConfig, channels: int, mirror_axis: int | None = None
    ) -> None:
        super().__init__()
        self.conditions = network.conditions
        self.channels = channels + network.conditions
        self.mirror_axis = mirror_axis
        self.judges = build_discriminators(network, channels)
        self.together = not has_batch_norm(self.judges)

    def view(self, image: Tensor, foreground: Tensor, context: Context) -> Tensor:
        """An image as the judges see it, what was wanted and, for guided ones, attention after it.

        Args:
            image: (B, C, *S), real or made.
            foreground: (B, 1, *S), the attention that an image of this step was made with.
            context: of the image, or of what it was made of.

        Returns:
            (B, C + conditions, *S), with guided judges one channel more.
        """
        parts = [image]
        if self.conditions:
            parts.append(condition_of(image, context, self.conditions))
        if "guided" in self.judges:
            parts.append(foreground.detach())
        return torch.cat(parts, dim=1) if len(parts) > 1 else image

    def deceived(self, fake: Tensor, rng: np.random.Generator) -> Tensor:
        """Least-squares loss of a generator whose image is to pass for real; summed over judges."""
        fake = self._augmented((fake,), rng)[0]
        return self._sum(least_squares_gan(score, real=True) for score in self._scores(fake))

    def loss(self, views: Views, rng: np.random.Generator) -> Tensor:
        """Least-squares loss of the judges themselves, halved; summed over them."""
        real, fake = self._augmented((views.real, views.fake), rng)
        if self.together:
            # exact, and faster: without batch norm every image is judged by itself
            both = self._scores(torch.cat((real, fake)))
            scores = [(score[: len(real)], score[len(real) :]) for score in both]
        else:
            scores = list(zip(self._scores(real), self._scores(fake), strict=True))
        return self._sum(
            0.5 * (least_squares_gan(of_real, real=True) + least_squares_gan(of_fake, real=False))
            for of_real, of_fake in scores
        )

    def _scores(self, seen: Tensor) -> list[Tensor]:
        views = {"plain": seen[:, : self.channels], "guided": seen}
        return [judge(views[name]) for name, judge in self.judges.items()]

    def _augmented(
        self, images: tuple[Tensor, ...], rng: np.random.Generator
    ) -> tuple[Tensor, ...]:
        if self.mirror_axis is None:
            return images
        shape = images[0].shape
        view = DifferentiableAugmentation.draw(rng, shape, mirror_axis=self.mirror_axis)
        return tuple(view(image) for image in images)

    @staticmethod
    def _sum(losses: Iterable[Tensor]) -> Tensor:
        return torch.stack(list(losses)).sum()


def build_judges(config: TrainConfig) -> tuple[Judges, Judges]:
    """D_A, of the target domain, and D_B, of the source domain."""
    mirror_axis = None
    if config.training.differentiable_augmentation:
        # left to right: the first axis of slices, the columns of pictures
        mirror_axis = 0 if config.data.images is None else 1
    source, target = config.network.channels
    return (
        Judges(config.network, target, mirror_axis),
        Judges(config.network, source, mirror_axis),
    )
