"""Random views of what a discriminator sees, real and fake alike.

From few scans a discriminator learns the scans by heart. Shown only moved and cut ones it cannot,
and because fakes are treated in the same way and gradients pass through, generators do not learn to
move and cut.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

AIR = -1.0
"""What moves in from outside, and fills the hole; 0, as published, would be bone in CT."""

SHIFT_SHARE = 1 / 8
"""Largest shift as a share of each axis. Source: Zhao et al. 2020, section 3.2."""

HOLE_SHARE = 1 / 4
"""Edge of the hole as a share of each axis; 1/2 in the paper."""


@dataclass(frozen=True)
class DifferentiableAugmentation:
    """One drawn view, applied to every batch that a discriminator compares.

    Attributes:
        shift: by how many voxels images move along each spatial axis.
        hole: first voxel of the hole along each spatial axis, after the shift.
        mirrored_axis: spatial axis that is turned round, if one is.

    Source: Zhao et al., Differentiable Augmentation for Data-Efficient GAN Training, NeurIPS 2020,
    arXiv:2006.10738. Mirroring is added to it; brightness and contrast are left out, because HU
    mean something, and so does an attention.
    """

    shift: tuple[int, ...]
    hole: tuple[int, ...]
    mirrored_axis: int | None = None

    @classmethod
    def draw(
        cls,
        rng: np.random.Generator,
        shape: Sequence[int],
        *,
        mirror_axis: int = 0,
    ) -> Self:
        """Draw a view.

        Args:
            rng: determines the view.
            shape: (B, C, *S) of the images; only the spatial sizes S matter.
            mirror_axis: spatial axis to turn round half of the time; the first is left to right in
                axial slices and volumes, the second in pictures.
        """
        sizes = shape[2:]
        reach = [int(size * SHIFT_SHARE) for size in sizes]
        room = [size - hole for size, hole in zip(sizes, _hole_sizes(sizes), strict=True)]
        return cls(
            shift=tuple(int(rng.integers(-limit, limit + 1)) for limit in reach),
            hole=tuple(int(rng.integers(0, last + 1)) for last in room),
            mirrored_axis=mirror_axis if rng.random() < 0.5 else None,
        )

    def __call__(self, images: Tensor) -> Tensor:
        """Apply the view to every image and channel alike.

        Args:
            images: (B, C, *S) float in [-1, 1], spatial sizes as drawn for.

        Returns:
            (B, C, *S), differentiable in ``images``.
        """
        if self.mirrored_axis is not None:
            images = images.flip(2 + self.mirrored_axis)
        # negative padding cuts off what leaves on the other side; the last axis comes first
        margins = [margin for step in reversed(self.shift) for margin in (step, -step)]
        moved = functional.pad(images, margins, value=AIR)
        return moved.masked_fill(self._inside_hole(moved), AIR)

    def _inside_hole(self, images: Tensor) -> Tensor:
        sizes = images.shape[2:]
        inside = torch.zeros(sizes, dtype=torch.bool, device=images.device)
        edges = zip(self.hole, _hole_sizes(sizes), strict=True)
        inside[tuple(slice(first, first + size) for first, size in edges)] = True
        return inside


def _hole_sizes(sizes: Sequence[int]) -> list[int]:
    return [int(size * HOLE_SHARE) for size in sizes]
