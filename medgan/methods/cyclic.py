"""Cycle-consistent translation of unpaired images: CycleGAN, AttentionGAN and its first scheme.

G_A translates domain A to B, G_B back; the judges D_A tell real from made B, D_B real from made A.
One step is a generator update followed by an update of the judges on the same images.

    L_G = (1 - r) * ( adversarial * (GAN(D_A(fake_B)) + GAN(D_B(fake_A)))
                    + total_variation * (TV(a_A) + TV(a_B)) )
        + r * ( cycle * (|rec_A - real_A| + |rec_B - real_B|)
              + pixel * (|fake_B - real_A| + |fake_A - real_B|) )
        + identity   * (|G_A(real_B) - real_B| + |G_B(real_A) - real_A|)
        + background * (|a_A - outside_A| + |a_B - outside_B|)
        + structure  * (S(fake_B, real_A) + S(fake_A, real_B))
        + phantom    * (|G_A(phantom_A) - truth_B| + |G_B(phantom_B) - truth_A|)
        + tissue     * Dice(tissues of the CT made of a phantom)

    L_D = 0.5 * (GAN(D(real), 1) + GAN(D(pool(fake)), 0))   for each judge

where a is the background attention. Without a ramp both shares are 1 instead of 1 - r and r. What
the published methods are made of is data: the members of ``configs/compare_methods.yaml``.
Adversarial, cycle and identity with weights 1, 10 and 5 are AttentionGAN's published training; the
terms from ``background`` on are medgan's, the supervised ones on phantoms of randomised contrast,
which keep the translation from turning the contrast round.
"""

import numpy as np

from medgan.config import LossConfig
from medgan.data.batches import UnpairedBatch
from medgan.methods.anatomy import anatomy_losses
from medgan.methods.losses import l1, total_variation
from medgan.methods.method import Method
from medgan.methods.passes import (
    GeneratorPass,
    Losses,
    translate_with_identity,
)
from medgan.networks.build import Generator
from medgan.networks.layers import copied


class Cyclic(Method[Generator]):
    """The terms of the formula above."""

    def checked(self, generator: Generator) -> Generator:
        """Any will do."""
        return generator

    def generator_pass(
        self, batch: UnpairedBatch, step: int, rng: np.random.Generator
    ) -> GeneratorPass:
        """The unpaired terms, weighted; see ``Method``."""
        weights = self.weights
        real_A, real_B = batch.real_A, batch.real_B
        of_A, of_B = (real_A, batch.context_A), (real_B, batch.context_B)
        identity: Losses = {}
        if weights.identity:
            to_B, idt_B = translate_with_identity(self.G_A, *of_A, *of_B)
            to_A, idt_A = translate_with_identity(self.G_B, *of_B, *of_A)
            identity["identity_A"] = weights.identity * l1(idt_B, real_B)
            identity["identity_B"] = weights.identity * l1(idt_A, real_A)
        else:
            to_B, to_A = self.G_A(*of_A), self.G_B(*of_B)
        made = GeneratorPass.of(to_A, to_B, batch)
        losses = made.losses
        rest, reconstruction = _shares(weights, step - self.config.training.warmup_steps)
        if weights.adversarial:
            weight = rest * weights.adversarial
            losses["adversarial_A"] = weight * self.D_A.deceived(made.seen_B(self.D_A), rng)
            losses["adversarial_B"] = weight * self.D_B.deceived(made.seen_A(self.D_B), rng)
        if weights.total_variation:
            weight = rest * weights.total_variation
            losses["total_variation_A"] = weight * total_variation(to_B.background)
            losses["total_variation_B"] = weight * total_variation(to_A.background)
        if weights.cycle:
            weight = reconstruction * weights.cycle
            # a made image has no neighbours, but it lies where its source lies
            rec_A = self.G_B(to_B.image, batch.context_A.without_neighbours()).image
            rec_B = self.G_A(to_A.image, batch.context_B.without_neighbours()).image
            losses["cycle_A"] = weight * l1(rec_A, real_A)
            losses["cycle_B"] = weight * l1(rec_B, real_B)
        if weights.pixel:
            weight = reconstruction * weights.pixel
            losses["pixel_A"] = weight * l1(to_B.image, copied(real_A, to_B.image.shape[1]))
            losses["pixel_B"] = weight * l1(to_A.image, copied(real_B, to_A.image.shape[1]))
        losses.update(identity)
        losses.update(anatomy_losses(weights, batch, to_B, to_A))
        return made


def _shares(weights: LossConfig, step: int) -> tuple[float, float]:
    """Shares of the adversarial side and of the reconstruction, a step after the warm-up."""
    ramp = weights.ramp
    if ramp is None:
        return 1.0, 1.0
    share = ramp.early if step <= ramp.steps else ramp.late
    return 1.0 - share, share
