"""A generator at work on images of any size, its results as maps behind one another."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from medgan.config import NetworkConfig
from medgan.networks import SIZE_MULTIPLE, Context
from medgan.networks.build import Generator

Maps = NDArray[np.float32]
"""(M, X, Y, Z): the result's channels; with details then the background attention, in networks
that have one, and the contents of the first channel."""


@dataclass(frozen=True, eq=False)
class Engine:
    """A generator and how it is run.

    Attributes:
        generator: the network.
        network: its configuration.
        least: images are padded with air to at least this size.
        device: where it runs.
        bf16: half-precision arithmetic in the convolutions.
    """

    generator: Generator
    network: NetworkConfig
    least: tuple[int, ...]
    device: str
    bf16: bool

    @property
    def channels(self) -> int:
        """How many images are the result."""
        return self.generator.channels[1]

    @property
    def contents(self) -> int:
        """How many contents there are besides the result itself."""
        return 0 if self.network.generator == "resnet" else self.generator.contents

    def air(self, shape: tuple[int, ...], *, details: bool) -> Maps:
        """The maps of a volume without a body: air, which is a copy of air."""
        fills = [-1.0] * self.channels
        if details:
            fills += [1.0] * self.network.has_attention + [-1.0] * self.contents
        maps = np.empty((len(fills), *shape), np.float32)
        maps[:] = np.reshape(fills, (-1, *[1] * len(shape)))
        return maps

    @torch.inference_mode()
    def __call__(
        self, images: NDArray[np.float32], context: Context, *, details: bool
    ) -> NDArray[np.float32]:
        """Translate a batch.

        Args:
            images: (B, C, *S) in [-1, 1].
            context: of the same images.
            details: also return what explains them.

        Returns:
            (B, M, *S), see ``Maps``.
        """
        size = images.shape[2:]
        padding = _padding(size, self.least)
        beside = context.neighbours
        padded = Context(None if beside is None else self._padded(beside, padding), context.depth)
        with torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=self.bf16):
            made = self.generator(
                self._padded(torch.from_numpy(images), padding),
                padded.to(torch.device(self.device)),
            )
        maps = [made.image]
        if details and self.network.has_attention:
            maps.append(made.background)
        if details and self.contents:
            maps.append(made.content[:, :, 0])
        inside = [slice(before, before + n) for (before, _), n in zip(padding, size, strict=True)]
        return torch.cat(maps, dim=1).float().cpu().numpy()[(slice(None), slice(None), *inside)]

    def _padded(self, images: Tensor, padding: Sequence[tuple[int, int]]) -> Tensor:
        # torch names the last axis first
        amounts = [amount for sides in reversed(padding) for amount in sides]
        return functional.pad(images, amounts, value=-1.0).to(self.device)


def _padding(size: Sequence[int], least: Sequence[int]) -> list[tuple[int, int]]:
    """Air to add before and after each axis."""
    amounts = []
    for have, want in zip(size, least, strict=True):
        goal = max(have, want)
        extra = goal + (-goal) % SIZE_MULTIPLE - have
        amounts.append((extra // 2, extra - extra // 2))
    return amounts
