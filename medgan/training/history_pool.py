"""Older fakes for the discriminators to remember."""

import numpy as np
import torch
from torch import Tensor


class HistoryPool:
    """Up to ``size`` earlier fakes; half of the time one of them stands in for a new one.

    Source: Shrivastava et al., CVPR 2017, arXiv:1612.07828, section 2.3; swap rule of CycleGAN.

    Args:
        size: images kept; 0 passes every fake through.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.images: list[Tensor] = []

    def exchange(self, fakes: Tensor, rng: np.random.Generator) -> Tensor:
        """Store new fakes and return what the discriminator is to see.

        Args:
            fakes: (B, C, *S), detached.
            rng: draws which are exchanged.

        Returns:
            (B, C, *S), new or older fakes.
        """
        if not self.size:
            return fakes
        seen = []
        for fake in fakes:
            if len(self.images) < self.size:
                self.images.append(fake.clone())
                seen.append(fake)
            elif rng.random() < 0.5:
                index = int(rng.integers(self.size))
                # a pool that was restored from a file lies on the CPU
                seen.append(self.images[index].to(fake.device))
                self.images[index] = fake.clone()
            else:
                seen.append(fake)
        return torch.stack(seen)

    def state(self) -> dict[str, Tensor]:
        """The images as one tensor, or nothing when the pool is empty."""
        return {"images": torch.stack(self.images)} if self.images else {}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Undo ``state``."""
        self.images = list(state["images"].clone()) if state else []
