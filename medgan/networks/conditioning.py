"""What a generator is told besides the image: the slices beside it and where it lies."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from medgan.networks.layers import copied


@dataclass(frozen=True)
class Context:
    """What is known about the images of a batch. ``S`` stands for the spatial axes.

    Attributes:
        neighbours: (B, N * C, *S) float in [-1, 1]: the N nearest slices, half of them below and
            half above, from the lowest to the highest; None where nothing is known of them, which
            a generator takes as N copies of the image.
        depth: (B,) float: distance below the vertex in units of ``DEPTH_UNIT_MM``; None where it
            is not known, which counts as 0.
    """

    neighbours: Tensor | None = None
    depth: Tensor | None = None

    @classmethod
    def of(cls, parts: Sequence["Context"]) -> "Context":
        """The contexts of several batches as one; all of them know the same."""
        neighbours = [part.neighbours for part in parts if part.neighbours is not None]
        depths = [part.depth for part in parts if part.depth is not None]
        return cls(
            torch.cat(neighbours) if neighbours else None, torch.cat(depths) if depths else None
        )

    def to(self, device: torch.device) -> "Context":
        """The same on a device."""
        return Context(*(part if part is None else part.to(device)
                         for part in (self.neighbours, self.depth)))  # fmt: skip

    def with_channels(self, channels: int, wanted: int) -> "Context":
        """The same beside an image whose channels were ``copied`` into so many others.

        Args:
            channels: the image had.
            wanted: channels it has now.
        """
        if self.neighbours is None:
            return self
        slices = self.neighbours.unflatten(1, (-1, channels))
        made = copied(slices.flatten(0, 1), wanted)
        return Context(made.unflatten(0, slices.shape[:2]).flatten(1, 2), self.depth)

    def without_neighbours(self) -> "Context":
        """The same, for an image that was made and has none."""
        return Context(None, self.depth)


DEPTH_UNIT_MM = 100.0
UNKNOWN = Context()


@dataclass(frozen=True)
class Conditioning:
    """How a generator's first convolution sees image and context.

    Attributes:
        neighbours: N, an even number of slices beside the image.
        position: whether one more channel holds the depth below the vertex.
    """

    neighbours: int = 0
    position: bool = False

    def channels(self, image_channels: int) -> int:
        """Channels of ``stack``."""
        return image_channels * (1 + self.neighbours) + self.position

    def stack(self, image: Tensor, context: Context = UNKNOWN) -> Tensor:
        """Image first, then neighbours, then depth.

        Args:
            image: (B, C, *S).
            context: of the same batch.

        Returns:
            (B, ``channels(C)``, *S).
        """
        parts = [image]
        if self.neighbours:
            copies = image.repeat(1, self.neighbours, *[1] * (image.ndim - 2))
            parts.append(copies if context.neighbours is None else context.neighbours)
        if self.position:
            plane = torch.zeros_like(image[:, :1])
            if context.depth is not None:
                plane = plane + context.depth.to(plane).reshape(-1, *[1] * (image.ndim - 1))
            parts.append(plane)
        return torch.cat(parts, dim=1) if len(parts) > 1 else image
