"""What every way to train has in common: two generators, their judges, the anchor."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic, TypeVar

import numpy as np
from torch import Tensor, nn

from medgan.config import TrainConfig
from medgan.data.batches import PhantomBatch, UnpairedBatch, WayName
from medgan.methods.anchor import phantom_losses
from medgan.methods.judges import Judges, build_judges
from medgan.methods.passes import GeneratorPass, Losses, judge_loss
from medgan.networks.build import Generator, build_generators
from medgan.networks.initialisation import freeze_dead_biases, initialise

OneGenerator = TypeVar("OneGenerator", bound=Generator)


class Method(nn.Module, ABC, Generic[OneGenerator]):
    """The networks and the terms of their objectives; no optimiser, no loop.

    Attributes:
        G_A: from the source domain to the target domain.
        G_B: back.
        D_A: judges the target domain.
        D_B: judges the source domain.
        helpers: what is trained with the generators and is of no use after training.
    """

    G_A: OneGenerator
    G_B: OneGenerator

    def __init__(self, config: TrainConfig) -> None:
        super().__init__()
        self.config = config
        self.weights = config.losses
        self.G_A, self.G_B = map(self.checked, build_generators(config.network))
        self.D_A, self.D_B = build_judges(config)
        self.helpers = nn.ModuleList(self.build_helpers())
        initialise(self)
        freeze_dead_biases(self)
        self._judging = [p for p in self.discriminators.parameters() if p.requires_grad]

    def build_helpers(self) -> Sequence[nn.Module]:
        """What ``helpers`` holds; the generators are there already."""
        return ()

    @abstractmethod
    def checked(self, generator: Generator) -> OneGenerator:
        """The generator, of a kind that the method can train."""

    @abstractmethod
    def generator_pass(
        self, way: WayName, batch: UnpairedBatch, step: int, rng: np.random.Generator
    ) -> GeneratorPass:
        """The unpaired terms of one generator's objective, weighted.

        Those of the two have no image in common: each can be differentiated, and its graph
        forgotten, before the other is begun.

        Args:
            way: "A" for G_A, "B" for G_B.
            batch: real images.
            step: counted from 1.
            rng: draws what is random in the terms.
        """

    def side(self, way: WayName) -> tuple[OneGenerator, OneGenerator, Judges]:
        """A generator, the one that leads back, and the judges of what the first makes."""
        if way == "A":
            return self.G_A, self.G_B, self.D_A
        return self.G_B, self.G_A, self.D_B

    @property
    def generators(self) -> nn.ModuleList:
        """G_A and G_B."""
        return nn.ModuleList((self.G_A, self.G_B))

    @property
    def discriminators(self) -> nn.ModuleList:
        """D_A and D_B."""
        return nn.ModuleList((self.D_A, self.D_B))

    def let_judges_learn(self, learn: bool) -> None:
        """Whether the discriminators' parameters are to get gradients."""
        for parameter in self._judging:
            parameter.requires_grad_(learn)

    def phantom_losses(self, way: WayName, pairs: PhantomBatch, step: int) -> Losses:
        """The supervised terms of one generator; see ``phantom_losses`` in ``anchor``."""
        return phantom_losses(self.config, self.side(way)[0], way, pairs, step)

    def discriminator_losses(
        self,
        way: WayName,
        batch: UnpairedBatch,
        made: GeneratorPass,
        seen: Tensor,
        rng: np.random.Generator,
    ) -> Losses:
        """The loss of D_A or D_B; see ``judge_loss`` in ``passes``."""
        loss = judge_loss(self.side(way)[2], batch.ways(way)[1], made, seen, rng)
        return {f"discriminator_{way}": loss}
