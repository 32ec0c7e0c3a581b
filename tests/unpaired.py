"""Tiny methods and random batches, for tests that compare them with what is written out by hand."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from medgan.config import TrainConfig, parse_config
from medgan.data.batches import WAYS, PhantomBatch, UnpairedBatch, WayName
from medgan.methods import Losses, Method
from medgan.networks import Context

SIZE = (32, 40)

TINY = {"width": 4, "blocks": 1, "contents": 2, "discriminator_width": 4}


def tiny(*overrides: str, **sections: Any) -> TrainConfig:
    """A configuration with a tiny network, and a phantom contrast for every channel of the MR."""
    network = TINY | sections.pop("network", {})
    contrasts = ["t1"] * network.get("channels", (1, 1))[0]
    document = {
        "name": "tiny",
        "data": {"phantoms": {"contrasts": contrasts}},
        "network": network,
        **sections,
    }
    return parse_config(document, overrides)


def loud(method: nn.Module, factor: float = 8.0) -> nn.Module:
    """Weights so far from zero that every term counts."""
    with torch.no_grad():
        for parameter in method.parameters():
            parameter.mul_(factor)
    return method


class _Random:
    def __init__(self, config: TrainConfig, seed: int, size: tuple[int, ...], count: int) -> None:
        self.config, self.size, self.count = config, size, count
        self.generator = torch.Generator().manual_seed(seed)

    def images(self, channels: int) -> torch.Tensor:
        shape = (self.count, channels, *self.size)
        return torch.rand(shape, generator=self.generator) * 2 - 1

    def bodies(self) -> torch.Tensor:
        return torch.rand((self.count, 1, *self.size), generator=self.generator) < 0.6

    def context(self, channels: int) -> Context:
        neighbours = self.config.network.neighbours
        beside = self.images(neighbours * channels) if neighbours else None
        return Context(beside, torch.rand(self.count, generator=self.generator))


def unpaired_batch(
    config: TrainConfig, seed: int = 4, size: tuple[int, ...] = SIZE, count: int = 2
) -> UnpairedBatch:
    """Noise with the channels, neighbours and depths that the configuration asks for."""
    draw = _Random(config, seed, size, count)
    a, b = config.network.channels
    return UnpairedBatch(
        draw.images(a), draw.images(b), draw.bodies(), draw.bodies(), draw.context(a),
        draw.context(b),
    )  # fmt: skip


def phantom_batch(
    config: TrainConfig, seed: int = 5, size: tuple[int, ...] = SIZE, count: int = 2
) -> PhantomBatch:
    """Likewise, with their truth."""
    draw = _Random(config, seed, size, count)
    a, b = config.network.channels
    return PhantomBatch(
        draw.images(a), draw.images(b), draw.images(b), draw.images(a), draw.bodies(),
        draw.context(a), draw.context(b),
    )  # fmt: skip


class BothPasses:
    """What a step makes in both directions, the losses of it, and those of the judges.

    Attributes:
        of: the pass of either generator.
        losses: of both.
    """

    def __init__(
        self,
        method: Method[Any],
        batch: UnpairedBatch,
        step: int = 1,
        seed: int | Sequence[int] = 0,
    ) -> None:
        self.method, self.batch, self.rng = method, batch, np.random.default_rng(seed)
        self.of = {way: method.generator_pass(way, batch, step, self.rng) for way in WAYS}
        self.losses = self.of["A"].losses | self.of["B"].losses

    def seen(self, way: WayName) -> torch.Tensor:
        """What a generator made, as its judges see it, for them to learn from."""
        return self.of[way].seen(self.method.side(way)[2]).detach()

    def judged(self, **shown: torch.Tensor) -> Losses:
        """The judges' losses on what was made, or on ``A`` and ``B`` in its place."""
        losses = {}
        for way, one in self.of.items():
            seen = shown.get(way, self.seen(way))
            made = one.detached()
            losses |= self.method.discriminator_losses(way, self.batch, made, seen, self.rng)
        return losses


def both_anchors(method: Method[Any], pairs: PhantomBatch, step: int = 1) -> Losses:
    """The supervised terms of both generators."""
    return method.phantom_losses("A", pairs, step) | method.phantom_losses("B", pairs, step)


def gradients(losses: dict[str, torch.Tensor], module: nn.Module) -> list[torch.Tensor]:
    """Of the sum of the losses, for what learns; zero where it does not depend on a parameter."""
    total = torch.stack(list(losses.values())).sum()
    learning = [parameter for parameter in module.parameters() if parameter.requires_grad]
    return list(
        torch.autograd.grad(total, learning, allow_unused=True, materialize_grads=True,
                            retain_graph=True)
    )  # fmt: skip


def assert_same_step(
    ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor], module: nn.Module
) -> None:
    """Equal terms, and equal gradients of their sum."""
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    for mine, other in zip(gradients(ours, module), gradients(theirs, module), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-3, atol=1e-4)
