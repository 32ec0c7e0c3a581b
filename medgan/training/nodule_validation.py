"""What a training on nodules is judged by: held-out phantoms of one place, without and with one."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import nn

from medgan.data.nodule_phantoms import NodulePhantoms
from medgan.data.samples import Image, Sample
from medgan.training.preview import write_preview
from medgan.training.validation import preview_row, translate_samples
from medgan.volumes.intensity import WindowScale

PREVIEWED = 4
"""Cases on a contact sheet."""


class NoduleValidator:
    """Scores generators on phantoms whose truth is known, noise included.

    The score that chooses the best checkpoint is the mean of both directions' MAE in HU inside the
    region that a nodule may change, plus that outside of it, where nothing should. Lower is better.

    Args:
        phantoms: that training never sees.
        scale: from HU to [-1, 1].
    """

    reason = "MAE on held-out phantoms, in and out of the nodule (HU)"

    def __init__(self, phantoms: NodulePhantoms, scale: WindowScale) -> None:
        pairs = [phantoms.pair(index) for index in range(len(phantoms.places))]
        self.healthy = [pair.healthy for pair in pairs]
        self.diseased = [pair.diseased for pair in pairs]
        self.scale = scale
        self.region = np.stack([sample.body for sample in self.healthy])
        self.inside = np.stack([place.share[None] >= 0.5 for place in phantoms.places])

    @torch.inference_mode()
    def scores(self, forward: nn.Module, backward: nn.Module) -> dict[str, float]:
        """Judge both generators, in HU.

        Returns:
            ``validation_insert_mae_hu``, ``validation_remove_mae_hu`` (in the region that may
            change), ``validation_outside_mae_hu`` (of both), ``validation_nodule_hu_distance``
            (Wasserstein distance between the CT numbers inside made and true nodules) and
            ``validation_score``.
        """
        healthy, diseased = self._hu(self.healthy), self._hu(self.diseased)
        made = self._made(forward, self.healthy)
        back = self._made(backward, self.diseased)
        insert, remove = np.abs(made - diseased), np.abs(back - healthy)
        outside = (insert[~self.region].mean() + remove[~self.region].mean()) / 2
        scores = {
            "validation_insert_mae_hu": insert[self.region].mean(),
            "validation_remove_mae_hu": remove[self.region].mean(),
            "validation_outside_mae_hu": outside,
            "validation_nodule_hu_distance": stats.wasserstein_distance(
                made[self.inside], diseased[self.inside]
            ),
        }
        inside = (insert[self.region].mean() + remove[self.region].mean()) / 2
        scores["validation_score"] = inside + outside
        return {name: float(value) for name, value in scores.items()}

    @torch.inference_mode()
    def preview(self, path: Path, forward: nn.Module) -> None:
        """Middle slices of some cases: healthy, result, background attention, difference."""
        step = max(1, len(self.healthy) // PREVIEWED)
        chosen = self.healthy[::step][:PREVIEWED]
        write_preview(path, [preview_row(forward, sample) for sample in chosen])

    def _hu(self, samples: Sequence[Sample]) -> Image:
        return self.scale.inverse(np.stack([sample.image for sample in samples]))

    def _made(self, network: nn.Module, samples: Sequence[Sample]) -> NDArray[np.float32]:
        made: NDArray[np.float32] = translate_samples(network, samples).numpy()
        return self.scale.inverse(made)
