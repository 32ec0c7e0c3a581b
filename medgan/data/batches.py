"""The batch of every step: a pure function of the seed and the step number."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from medgan.config import TrainConfig
from medgan.data.augmentation import SliceAugmentation
from medgan.data.phantom_slices import PhantomSlices
from medgan.data.slices import UnpairedSlices

UNPAIRED_STREAM, PHANTOM_STREAM = 1, 2


@dataclass(frozen=True)
class UnpairedBatch:
    """Real slices of the two domains.

    Attributes:
        real_A: (B, 1, X, Y) float32 in [-1, 1], source domain.
        real_B: (B, 1, X, Y) float32 in [-1, 1], target domain.
        body_A: (B, 1, X, Y) bool.
    """

    real_A: Tensor
    real_B: Tensor
    body_A: Tensor


@dataclass(frozen=True)
class PhantomBatch:
    """Supervised samples, each (B, 1, X, Y) float32 in [-1, 1].

    ``source`` is an image of domain A in a random contrast and ``source_truth`` what it should
    become in B; ``target`` and ``target_truth`` are the same for the way back.
    """

    source: Tensor
    source_truth: Tensor
    target: Tensor
    target_truth: Tensor


@dataclass(frozen=True)
class Batch:
    """What one step learns from."""

    unpaired: UnpairedBatch | None
    phantoms: PhantomBatch | None


class Batches:
    """Draws the batch of a step.

    Args:
        config: the training.
        unpaired: slices of real scans, None when phantoms are all there is.
        phantoms: randomised phantoms, None without the anchor.
    """

    def __init__(
        self,
        config: TrainConfig,
        unpaired: UnpairedSlices | None,
        phantoms: PhantomSlices | None,
    ) -> None:
        self.config = config
        self.unpaired = unpaired
        self.phantoms = phantoms
        self._views = [
            SliceAugmentation(config.preparation, modality)
            for modality in (config.source, config.target)
        ]

    def at(self, step: int) -> Batch:
        """The batch of a step, counted from 1; the same whatever was drawn before."""
        training = self.config.training
        warming_up = step <= training.warmup_steps
        samples = range((step - 1) * training.batch, step * training.batch)
        return Batch(
            None if self.unpaired is None or warming_up else self._unpaired(samples),
            None if self.phantoms is None else self._phantoms(samples),
        )

    def _unpaired(self, samples: range) -> UnpairedBatch:
        assert self.unpaired is not None
        drawn = []
        for sample in samples:
            rng = np.random.default_rng([self.config.training.seed, UNPAIRED_STREAM, sample])
            slices = self.unpaired.draw(rng)
            drawn.append([view(s, rng) for view, s in zip(self._views, slices, strict=True)])
        return UnpairedBatch(
            torch.stack([a["image"] for a, _ in drawn]),
            torch.stack([b["image"] for _, b in drawn]),
            torch.stack([a["body"] for a, _ in drawn]),
        )

    def _phantoms(self, samples: range) -> PhantomBatch:
        assert self.phantoms is not None
        seed = self.config.training.seed
        pairs = [
            self.phantoms.draw(np.random.default_rng([seed, PHANTOM_STREAM, sample]))
            for sample in samples
        ]
        to_ct = [torch.stack([torch.from_numpy(p.mr)[None] for p in pairs]),
                 torch.stack([torch.from_numpy(p.ct)[None] for p in pairs])]  # fmt: skip
        to_mr = [torch.stack([torch.from_numpy(p.noisy_ct)[None] for p in pairs]),
                 torch.stack([torch.from_numpy(p.standard_mr)[None] for p in pairs])]  # fmt: skip
        ways = (to_ct, to_mr) if self.config.source == "MR" else (to_mr, to_ct)
        return PhantomBatch(*ways[0], *ways[1])
