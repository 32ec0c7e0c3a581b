"""What a training from masks to CT is judged by: held-out phantoms, and the scans' own maps."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import nn

from medgan.data.chest_slices import ChestSamples
from medgan.data.chest_tissues import IN_NODULE, picture_tissues
from medgan.data.samples import Sample
from medgan.training.preview import write_preview
from medgan.training.validation import preview_row, translate_samples

VALIDATION_STREAM = 4

SCAN_SLICES = 16
"""Slices of scans that are looked at."""

PREVIEWED = 4
"""Cases on a contact sheet."""


class ChestValidator:
    """Scores generators on phantoms whose truth is known, noise included, and on scans.

    The score that chooses the best checkpoint is the MAE in HU inside held-out phantoms plus, where
    scans are trained on, the distance in HU between the CT numbers of slices made of the scans'
    maps and those of the slices themselves. Lower is better.

    Args:
        phantoms: that training never sees.
        scans: that it learns from; None where there are none.
        seed: draws the noise.
    """

    def __init__(self, phantoms: ChestSamples, scans: ChestSamples | None, seed: int) -> None:
        self.scale = phantoms.scale
        rngs = [
            np.random.default_rng([seed, VALIDATION_STREAM, index])
            for index in range(len(phantoms.slices.hu))
        ]
        self.pairs = [phantoms.pair(index, rng) for index, rng in enumerate(rngs)]
        self.tissues = phantoms.slices.tissues
        self.body = phantoms.slices.body
        self.maps: list[Sample] = []
        self.real: NDArray[np.float32] = np.empty(0, np.float32)
        self.real_body = np.empty(0, bool)
        if scans is not None:
            count = min(SCAN_SLICES, len(scans.slices.hu))
            chosen = np.linspace(0, len(scans.slices.hu) - 1, count).round().astype(int).tolist()
            self.maps = [
                scans.mask(index, np.random.default_rng([seed, VALIDATION_STREAM, 1, index]))
                for index in chosen
            ]
            self.real = self._hu([scans.ct(index).image for index in chosen])
            self.real_body = np.stack([sample.body[0] for sample in self.maps])
        self.reason = "MAE on held-out phantoms (HU)"
        if self.maps:
            self.reason += " + distance of CT numbers to those of scans (HU)"

    @torch.inference_mode()
    def scores(self, forward: nn.Module, backward: nn.Module) -> dict[str, float]:
        """Judge both generators.

        Returns:
            ``validation_mae_hu`` inside the body and ``validation_nodule_mae_hu`` in nodules of
            phantoms; ``validation_floor_mae_hu``: the first, of the plain drawing of the map;
            ``validation_map_agreement``: share of the body whose tissue is told rightly on the way
            back; with scans ``validation_hu_distance``: Wasserstein distance of CT numbers inside
            the body; and ``validation_score``.
        """
        sources, targets = (
            [pair.source for pair in self.pairs],
            [pair.target for pair in self.pairs],
        )
        truth, plain = (self._hu([one.image for one in of_side]) for of_side in (targets, sources))
        error = np.abs(self._made(forward, sources) - truth)
        back = picture_tissues(translate_samples(backward, targets).numpy().swapaxes(0, 1))
        nodules = np.isin(self.tissues, IN_NODULE)
        scores = {
            "validation_mae_hu": error[self.body].mean(),
            "validation_floor_mae_hu": np.abs(plain - truth)[self.body].mean(),
            "validation_map_agreement": (back == self.tissues)[self.body].mean(),
        }
        if nodules.any():
            scores["validation_nodule_mae_hu"] = error[nodules].mean()
        score = scores["validation_mae_hu"]
        if self.maps:
            made = self._made(forward, self.maps)
            distance = stats.wasserstein_distance(made[self.real_body], self.real[self.real_body])
            scores["validation_hu_distance"] = distance
            score = score + distance
        scores["validation_score"] = score
        return {name: float(value) for name, value in scores.items()}

    @torch.inference_mode()
    def preview(self, path: Path, forward: nn.Module) -> None:
        """Plain drawings of maps of scans, or else phantoms, results, attention, difference."""
        samples = self.maps or [pair.source for pair in self.pairs]
        step = max(1, len(samples) // PREVIEWED)
        chosen = samples[::step][:PREVIEWED]
        write_preview(path, [preview_row(forward, sample) for sample in chosen])

    def _made(self, network: nn.Module, samples: Sequence[Sample]) -> NDArray[np.float32]:
        return self.scale.inverse(translate_samples(network, samples).numpy()[:, 0])

    def _hu(self, images: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        return self.scale.inverse(np.stack(images)[:, 0])
