"""Contrastive translation of unpaired images: CUT, in both directions at once.

G_A translates domain A to B, G_B back; the judges D_A tell real from made B, D_B real from made A.
There is no cycle: patches of the result must be recognisable as those of the source.

    L_G = adversarial * (GAN(D_A(fake_B)) + GAN(D_B(fake_A)))
        + contrastive * 0.5 * (NCE(fake_B, real_A) + NCE(idt_B, real_B)
                             + NCE(fake_A, real_B) + NCE(idt_A, real_A))
        + the terms of the background, of structure and of phantoms, as in ``cyclic``

    L_D = 0.5 * (GAN(D(real), 1) + GAN(D(fake), 0))   for each judge

NCE compares 256 places of five layers of the generator's own encoder. With a ResNet generator,
weights 1 and 1 and no pool this is the published CUT, run once each way.

Source: Park et al., CUT, ECCV 2020, arXiv:2007.15651, equations 4 to 6.
"""

import numpy as np
import torch
from torch import Tensor

from medgan.data.batches import UnpairedBatch
from medgan.methods.anatomy import anatomy_losses
from medgan.methods.contrast import draw_positions, patch_nce
from medgan.methods.method import Method
from medgan.methods.passes import (
    GeneratorPass,
    translate_with_identity,
)
from medgan.networks import AttentionGenerator, Context
from medgan.networks.build import Generator
from medgan.networks.layers import copied
from medgan.networks.projection import Projection
from medgan.networks.resnet_generator import ResnetGenerator

LAYERS = (0, 4, 8, 12, 16)
"""Of encoder and blocks, as published; those that a shallower network has."""

PLACES = 256

Featured = AttentionGenerator | ResnetGenerator


class Contrastive(Method[Featured]):
    """The terms of the formula above, and the heads that patches are compared through."""

    def build_helpers(self) -> tuple[Projection, Projection]:
        """The projections of both encoders' features."""
        depth = len(self.G_A.encoder) + len(self.G_A.blocks)
        self.layers = tuple(layer for layer in LAYERS if layer < depth)
        self.F_A = Projection(self.G_A.feature_channels(self.layers))
        self.F_B = Projection(self.G_B.feature_channels(self.layers))
        return self.F_A, self.F_B

    def checked(self, generator: Generator) -> Featured:
        """One whose encoder can be asked; the configuration refuses the others."""
        assert isinstance(generator, Featured)
        return generator

    def generator_pass(
        self, batch: UnpairedBatch, step: int, rng: np.random.Generator
    ) -> GeneratorPass:
        """The unpaired terms, weighted; see ``Method``. The step does not matter."""
        real_A, real_B, weights = batch.real_A, batch.real_B, self.weights
        of_A, of_B = (real_A, batch.context_A), (real_B, batch.context_B)
        to_B, idt_B = translate_with_identity(self.G_A, *of_A, *of_B)
        to_A, idt_A = translate_with_identity(self.G_B, *of_B, *of_A)
        made = GeneratorPass.of(to_A, to_B, batch)
        nce = 0.5 * weights.contrastive
        made.losses.update(
            adversarial_A=weights.adversarial * self.D_A.deceived(made.seen_B(self.D_A), rng),
            adversarial_B=weights.adversarial * self.D_B.deceived(made.seen_A(self.D_B), rng),
            contrastive_A=nce * self._contrast("A", to_B.image, real_A, batch.context_A, rng),
            contrastive_B=nce * self._contrast("B", to_A.image, real_B, batch.context_B, rng),
            contrastive_identity_A=nce * self._contrast("A", idt_B, real_B, batch.context_B, rng),
            contrastive_identity_B=nce * self._contrast("B", idt_A, real_A, batch.context_A, rng),
        )
        made.losses.update(anatomy_losses(weights, batch, to_B, to_A))
        return made

    def _contrast(
        self, way: str, result: Tensor, source: Tensor, context: Context, rng: np.random.Generator
    ) -> Tensor:
        """The NCE of a result and its source in the encoder of G_A or G_B, mean over layers."""
        generator, heads = (self.G_A, self.F_A) if way == "A" else (self.G_B, self.F_B)
        channels = generator.channels[0]
        known = context.without_neighbours()
        of_result = generator.features(copied(result, channels), known, self.layers)
        with torch.no_grad():
            of_source = generator.features(copied(source, channels), known, self.layers)
        positions = draw_positions([f.shape[2:] for f in of_source], PLACES, rng)
        positions = [places.to(result.device) for places in positions]
        queries, keys = heads(of_result, positions), heads(of_source, positions)
        terms = [patch_nce(q, k) for q, k in zip(queries, keys, strict=True)]
        return torch.stack(terms).mean()
