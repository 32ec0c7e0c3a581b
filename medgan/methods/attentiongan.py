"""AttentionGAN on unpaired slices, with the phantom anchor beside it.

Four networks: G_A translates domain A to B, G_B back; D_A tells real from fake B, D_B real from
fake A. One step is a generator update followed by a discriminator update on the same fakes.

    L_G = adversarial * (GAN(D_A(fake_B)) + GAN(D_B(fake_A)))
        + cycle       * (|rec_A - real_A| + |rec_B - real_B|)
        + identity    * (|G_A(real_B) - real_B| + |G_B(real_A) - real_A|)
        + phantom     * (|G_A(phantom_A) - truth_B| + |G_B(phantom_B) - truth_A|)

    L_D = 0.5 * (GAN(D(real), 1) + GAN(D(pool(fake)), 0))   for each discriminator

The first three terms with weights 1, 10 and 5 are the published training; the fourth is supervised,
on phantoms of randomised contrast, and keeps the translation from turning the contrast round.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from medgan.config import LossConfig, NetworkConfig
from medgan.data.batches import PhantomBatch, UnpairedBatch
from medgan.methods.losses import l1, least_squares_gan
from medgan.networks import AttentionGenerator, PatchDiscriminator
from medgan.networks.initialisation import initialise

Losses = dict[str, Tensor]


@dataclass(frozen=True)
class GeneratorPass:
    """What the generators' forward passes leave behind for the losses and the monitor."""

    losses: Losses
    fake_A: Tensor
    fake_B: Tensor
    background: Tensor


class AttentionGAN(nn.Module):
    """The four networks and the terms of their objectives; no optimiser, no loop."""

    def __init__(self, network: NetworkConfig, weights: LossConfig) -> None:
        super().__init__()
        self.weights = weights
        self.G_A, self.G_B = (
            AttentionGenerator(
                network.spatial_dims, network.channels, network.contents, network.width,
                network.blocks,
            )
            for _ in range(2)
        )  # fmt: skip
        self.D_A, self.D_B = (
            PatchDiscriminator(network.spatial_dims, network.channels, network.discriminator_width)
            for _ in range(2)
        )
        initialise(self)

    @property
    def generators(self) -> nn.ModuleList:
        """G_A and G_B."""
        return nn.ModuleList((self.G_A, self.G_B))

    @property
    def discriminators(self) -> nn.ModuleList:
        """D_A and D_B."""
        return nn.ModuleList((self.D_A, self.D_B))

    def generator_pass(self, batch: UnpairedBatch) -> GeneratorPass:
        """The unpaired terms, weighted.

        Translation and identity share one forward pass, which is exact because instance norm
        treats every image of a batch by itself. Without identity weight that half is left out.
        """
        real_A, real_B, weights = batch.real_A, batch.real_B, self.weights
        with_identity = weights.identity > 0
        forward = self.G_A(torch.cat((real_A, real_B)) if with_identity else real_A)
        backward = self.G_B(torch.cat((real_B, real_A)) if with_identity else real_B)
        fake_B, fake_A = forward.image[: len(real_A)], backward.image[: len(real_B)]
        rec_A, rec_B = self.G_B(fake_B).image, self.G_A(fake_A).image
        losses = {
            "adversarial_A": weights.adversarial * least_squares_gan(self.D_A(fake_B), real=True),
            "adversarial_B": weights.adversarial * least_squares_gan(self.D_B(fake_A), real=True),
            "cycle_A": weights.cycle * l1(rec_A, real_A),
            "cycle_B": weights.cycle * l1(rec_B, real_B),
        }
        if with_identity:
            idt_B, idt_A = forward.image[len(real_A) :], backward.image[len(real_B) :]
            losses["identity_A"] = weights.identity * l1(idt_A, real_A)
            losses["identity_B"] = weights.identity * l1(idt_B, real_B)
        return GeneratorPass(losses, fake_A, fake_B, forward.background[: len(real_A)])

    def phantom_losses(self, pairs: PhantomBatch, weight: float) -> Losses:
        """The supervised terms, weighted."""
        return {
            "phantom_A": weight * l1(self.G_A(pairs.source).image, pairs.source_truth),
            "phantom_B": weight * l1(self.G_B(pairs.target).image, pairs.target_truth),
        }

    def discriminator_losses(self, batch: UnpairedBatch, fake_A: Tensor, fake_B: Tensor) -> Losses:
        """Both discriminators on real images and on detached, possibly older fakes."""
        return {
            name: 0.5 * (least_squares_gan(s[: len(real)], real=True)
                         + least_squares_gan(s[len(real) :], real=False))
            for name, real, s in (
                ("discriminator_A", batch.real_B, self.D_A(torch.cat((batch.real_B, fake_B)))),
                ("discriminator_B", batch.real_A, self.D_B(torch.cat((batch.real_A, fake_A)))),
            )
        }  # fmt: skip
