"""What a generator is told besides the image: slices beside it, where it lies, what is wanted."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

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
        depth: (B,) float: distance below the vertex in units of ``DEPTH_UNIT_MM``, and
            ``UNKNOWN_DEPTH`` where it is not known; None where it is not known of any.
        condition: (B, M, *S) float in [-1, 1]: maps of what is wanted where, such as the mask of a
            nodule, -1 where nothing is; None stands for -1 everywhere.
    """

    neighbours: Tensor | None = None
    depth: Tensor | None = None
    condition: Tensor | None = None

    @classmethod
    def of(cls, parts: Sequence["Context"]) -> "Context":
        """The contexts of several batches as one; all of them know the same."""
        return cls(
            _joined([part.neighbours for part in parts]),
            _joined([part.depth for part in parts]),
            _joined([part.condition for part in parts]),
        )

    def to(self, device: torch.device) -> "Context":
        """The same on a device."""
        parts = (self.neighbours, self.depth, self.condition)
        return Context(*(part if part is None else part.to(device) for part in parts))

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
        return replace(self, neighbours=made.unflatten(0, slices.shape[:2]).flatten(1, 2))

    def without_neighbours(self) -> "Context":
        """The same, for an image that was made and has none."""
        return replace(self, neighbours=None)


def _joined(parts: Sequence[Tensor | None]) -> Tensor | None:
    known = [part for part in parts if part is not None]
    return torch.cat(known) if known else None


DEPTH_UNIT_MM = 100.0

UNKNOWN_DEPTH = -1.0
"""Stands for a depth that is not known: 100 mm above the vertex, where there is nothing to show."""

UNKNOWN = Context()


@dataclass(frozen=True)
class Conditioning:
    """How a generator's first convolution sees image and context.

    Attributes:
        neighbours: N, an even number of slices beside the image.
        position: whether the image is given once more, times its depth below the vertex. The first
            filters are thus linear in the depth, which a norm over the image leaves alone; it
            would take out a channel that holds nothing but the depth.
        conditions: M, maps of what is wanted.
    """

    neighbours: int = 0
    position: bool = False
    conditions: int = 0

    def channels(self, image_channels: int) -> int:
        """Channels of ``stack``."""
        return image_channels * (1 + self.neighbours + self.position) + self.conditions

    def stack(self, image: Tensor, context: Context = UNKNOWN) -> Tensor:
        """Image first, then neighbours, image times depth, and condition.

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
            # not len(image), which an exported network would take for a constant
            unknown = image.new_full(image.shape[:1], UNKNOWN_DEPTH)
            depth = unknown if context.depth is None else context.depth.to(image)
            parts.append(image * depth.reshape(-1, *[1] * (image.ndim - 1)))
        if self.conditions:
            parts.append(condition_of(image, context, self.conditions))
        return torch.cat(parts, dim=1) if len(parts) > 1 else image


def condition_of(image: Tensor, context: Context, maps: int) -> Tensor:
    """The maps of what is wanted beside an image: (B, maps, *S), -1 where none were given."""
    if context.condition is not None:
        return context.condition.to(image)
    return torch.full_like(image[:, :1], -1.0).repeat(1, maps, *[1] * (image.ndim - 2))
