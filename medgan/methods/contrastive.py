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

from medgan.data.batches import Domain, UnpairedBatch, WayName
from medgan.methods.anatomy import anatomy_losses
from medgan.methods.contrast import draw_positions, patch_nce
from medgan.methods.method import Method
from medgan.methods.passes import (
    GeneratorPass,
    of_way,
    translate_with_identity,
)
from medgan.networks import AttentionGenerator
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
        self, way: WayName, batch: UnpairedBatch, step: int, rng: np.random.Generator
    ) -> GeneratorPass:
        """The terms of one generator, weighted; see ``Method``. The step does not matter."""
        weights = self.weights
        generator, _, judges = self.side(way)
        source, target = batch.ways(way)
        translated, same = translate_with_identity(generator, source, target)
        made = GeneratorPass.of(translated, source)
        deceived = judges.deceived(made.seen(judges), rng)
        nce = 0.5 * weights.contrastive
        terms = {
            "adversarial": weights.adversarial * deceived,
            "contrastive": nce * self._contrast(way, translated.image, source, rng),
            "contrastive_identity": nce * self._contrast(way, same, target, rng),
        }
        terms |= anatomy_losses(weights, source, translated)
        return made.with_losses(of_way(terms, way))

    def _contrast(
        self, way: WayName, result: Tensor, source: Domain, rng: np.random.Generator
    ) -> Tensor:
        """The NCE of a result and its source in the encoder of G_A or G_B, mean over layers."""
        generator, heads = (self.G_A, self.F_A) if way == "A" else (self.G_B, self.F_B)
        channels = generator.channels[0]
        known = source.context.without_neighbours()
        of_result = generator.features(copied(result, channels), known, self.layers)
        with torch.no_grad():
            of_source = generator.features(copied(source.real, channels), known, self.layers)
        positions = draw_positions([f.shape[2:] for f in of_source], PLACES, rng)
        positions = [places.to(result.device) for places in positions]
        queries, keys = heads(of_result, positions), heads(of_source, positions)
        terms = [patch_nce(q, k) for q, k in zip(queries, keys, strict=True)]
        return torch.stack(terms).mean()
