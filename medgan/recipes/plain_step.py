"""A training step as it is written down first, which medgan's step is measured against."""

from typing import Any

import torch
from torch import Tensor, nn

from medgan.data.batches import UnpairedBatch
from medgan.methods import Losses
from medgan.methods.method import Method
from medgan.recipes.plain_networks import PlainDiscriminator, PlainGenerator

CYCLE, IDENTITY = 10.0, 5.0
"""Weights beside an adversarial one of 1. Source: the published AttentionGAN training code."""

LEARNING_RATE, BETAS = 2e-4, (0.5, 0.999)


class PlainStep:
    """Generators, then discriminators on the same images; no history pool.

    Every translation, cycle and identity is a pass of its own, and so are real and made images in
    the discriminators; layers lie in memory as torch lays them.

    Args:
        channels: of the images of both domains.
        width: feature maps after the first convolutions.
        device: where it runs.
        bf16: autocast of the forward passes.
    """

    def __init__(
        self, channels: int, width: int, *, device: torch.device | str = "cpu", bf16: bool = False
    ) -> None:
        self.G_A, self.G_B = (PlainGenerator(channels, width).to(device) for _ in range(2))
        self.D_A, self.D_B = (PlainDiscriminator(channels, width).to(device) for _ in range(2))
        self.device, self.bf16 = torch.device(device), bf16
        self.generators = nn.ModuleList((self.G_A, self.G_B))
        self.discriminators = nn.ModuleList((self.D_A, self.D_B))
        self.of_generators, self.of_discriminators = (
            torch.optim.Adam(part.parameters(), LEARNING_RATE, betas=BETAS)
            for part in (self.generators, self.discriminators)
        )

    def start_like(self, method: Method[Any]) -> None:
        """Take the weights that a training begins with."""
        self.G_A.load_state_dict(method.G_A.state_dict())
        self.G_B.load_state_dict(method.G_B.state_dict())
        self.D_A.load_state_dict(method.D_A.judges["plain"].state_dict())
        self.D_B.load_state_dict(method.D_B.judges["plain"].state_dict())

    def __call__(self, batch: UnpairedBatch) -> Losses:
        """One step; the losses, by medgan's names, of the weights before it."""
        real_A, real_B = batch.real_A.to(self.device), batch.real_B.to(self.device)
        losses: Losses = {}

        self.discriminators.requires_grad_(False)
        with self._autocast():
            fake_B, fake_A = self.G_A(real_A), self.G_B(real_B)
            losses["cycle_A"] = CYCLE * (self.G_B(fake_B) - real_A).abs().mean()
            losses["cycle_B"] = CYCLE * (self.G_A(fake_A) - real_B).abs().mean()
            losses["identity_A"] = IDENTITY * (self.G_A(real_B) - real_B).abs().mean()
            losses["identity_B"] = IDENTITY * (self.G_B(real_A) - real_A).abs().mean()
            losses["adversarial_A"] = _distance(self.D_A(fake_B), 1.0)
            losses["adversarial_B"] = _distance(self.D_B(fake_A), 1.0)
        self.of_generators.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        self.of_generators.step()

        self.discriminators.requires_grad_(True)
        self.of_discriminators.zero_grad()
        for name, judge, real, fake in (
            ("discriminator_A", self.D_A, real_B, fake_B.detach()),
            ("discriminator_B", self.D_B, real_A, fake_A.detach()),
        ):
            with self._autocast():
                both = _distance(judge(real), 1.0) + _distance(judge(fake), 0.0)
            losses[name] = 0.5 * both
            losses[name].backward()
        self.of_discriminators.step()
        return {name: loss.detach() for name, loss in losses.items()}

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16)


def _distance(score: Tensor, goal: float) -> Tensor:
    return (score.float() - goal).square().mean()
