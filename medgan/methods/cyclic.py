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
from medgan.data.batches import UnpairedBatch, WayName
from medgan.methods.anatomy import anatomy_losses
from medgan.methods.losses import l1, total_variation
from medgan.methods.method import Method
from medgan.methods.passes import (
    GeneratorPass,
    Losses,
    of_way,
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
        self, way: WayName, batch: UnpairedBatch, step: int, rng: np.random.Generator
    ) -> GeneratorPass:
        """The unpaired terms of one generator, weighted; see ``Method``."""
        weights = self.weights
        generator, back, judges = self.side(way)
        source, target = batch.ways(way)
        terms: Losses = {}
        if weights.identity:
            translated, same = translate_with_identity(generator, source, target)
            terms["identity"] = weights.identity * l1(same, target.real)
        else:
            translated = generator(source.real, source.context)
        made = GeneratorPass.of(translated, source)
        rest, reconstruction = _shares(weights, step - self.config.training.warmup_steps)
        if weights.adversarial:
            deceived = judges.deceived(made.seen(judges), rng)
            terms["adversarial"] = rest * weights.adversarial * deceived
        if weights.total_variation:
            variation = total_variation(translated.background)
            terms["total_variation"] = rest * weights.total_variation * variation
        if weights.cycle:
            # a made image has no neighbours, but it lies where its source lies
            cycled = back(translated.image, source.context.without_neighbours()).image
            terms["cycle"] = reconstruction * weights.cycle * l1(cycled, source.real)
        if weights.pixel:
            unchanged = copied(source.real, translated.image.shape[1])
            terms["pixel"] = reconstruction * weights.pixel * l1(translated.image, unchanged)
        terms |= anatomy_losses(weights, source, translated)
        return made.with_losses(of_way(terms, way))


def _shares(weights: LossConfig, step: int) -> tuple[float, float]:
    """Shares of the adversarial side and of the reconstruction, a step after the warm-up."""
    ramp = weights.ramp
    if ramp is None:
        return 1.0, 1.0
    share = ramp.early if step <= ramp.steps else ramp.late
    return 1.0 - share, share
