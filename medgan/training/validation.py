"""What a training is judged by while it runs: held-out phantoms, and real scans without pairs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from medgan.config import TrainConfig
from medgan.data.batches import context_of, stacked
from medgan.data.phantom_patches import PhantomPatches
from medgan.data.phantom_slices import PhantomSlices
from medgan.data.samples import Sample
from medgan.data.slices import Scan, SliceStack, fit_matrix
from medgan.metrics.unpaired import depth_profile, profile_distance
from medgan.networks import SIZE_MULTIPLE
from medgan.training.preview import PreviewRow, write_preview
from medgan.volumes.intensity import WindowScale

VALIDATION_STREAM = 4
PHANTOM_CASES = {2: 24, 3: 6}
SCAN_SLICES = 24
UPPER_HEAD_MM = 110.0
"""Scans end at different levels of the neck; scores look at the part they share."""

BONE_HU = 150.0


class Validator(Protocol):
    """Scores generators on fixed cases.

    Attributes:
        reason: what the score that chooses the best checkpoint is.
    """

    reason: str

    def scores(self, forward: nn.Module, backward: nn.Module) -> dict[str, float]:
        """Judge both generators.

        Returns:
            Keys begin with ``validation_``; ``validation_score`` is the one that chooses: lower
            is better, NaN where nothing can choose.
        """

    def preview(self, path: Path, forward: nn.Module) -> None:
        """Write the fixed cases: source, result, background attention, difference."""


class ScanValidator:
    """Scores generators on held-out phantoms and on real scans.

    The score that chooses the best checkpoint is the MAE in HU on held-out phantoms plus, where
    real scans are trained on, the unpaired depth-profile distance in HU between translated source
    scans and real target scans. Lower is better. Neither needs a paired scan.

    Args:
        config: the training.
        phantoms: anatomies that training never sees.
        source: prepared scans of the source domain.
        target: prepared scans of the target domain.
    """

    def __init__(
        self,
        config: TrainConfig,
        phantoms: PhantomSlices | PhantomPatches,
        source: Sequence[Scan],
        target: Sequence[Scan],
    ) -> None:
        self.config = config
        self.to_ct = config.target == "CT"
        self.cases = [
            phantoms.draw(np.random.default_rng([config.training.seed, VALIDATION_STREAM, case]))
            for case in range(PHANTOM_CASES[config.network.spatial_dims])
        ]
        mr_scans, ct_scans = (source, target) if self.to_ct else (target, source)
        self.scans = self._upper_heads(mr_scans)
        self.spacing_mm = (*config.preparation.spacing_mm[:2], UPPER_HEAD_MM / SCAN_SLICES)
        self.window = WindowScale(*config.preparation.window_hu)
        self.real = [self._profile(head.image[0], head) for head in self._upper_heads(ct_scans)]
        self.reason = "MAE on held-out phantoms (HU)"
        if self.scans and self.real:
            self.reason += " + depth-profile distance to real CT (HU)"

    def _upper_heads(self, scans: Sequence[Scan]) -> list["_UpperHead"]:
        """What is to be compared; scans that begin below the vertex cannot be."""
        network = self.config.network
        stacks = [SliceStack(scan, network.neighbours) for scan in scans]
        matrix = self.config.preparation.matrix
        return [
            _UpperHead(stack, matrix, network.spatial_dims)
            for stack in stacks
            if stack.frame.has_vertex
        ]

    @torch.inference_mode()
    def scores(self, forward: nn.Module, backward: nn.Module) -> dict[str, float]:
        """Judge both generators; keys begin with ``validation_``."""
        to_ct, to_mr = (forward, backward) if self.to_ct else (backward, forward)
        scores = self._phantom_scores(to_ct, to_mr)
        score = scores["validation_phantom_mae_hu"]
        if self.scans and self.real:
            made = [self._profile(head.translated(to_ct), head) for head in self.scans]
            distance = profile_distance(made, self.real)
            scores["validation_profile_distance_hu"] = distance
            score += distance
        return scores | {"validation_score": score}

    def _phantom_scores(self, to_ct: nn.Module, to_mr: nn.Module) -> dict[str, float]:
        mask = np.stack([case.body for case in self.cases])
        truth = self.window.inverse(np.stack([case.ct for case in self.cases]))
        made_ct = translate_samples(to_ct, self._given("MR"))
        result = self.window.inverse(made_ct.numpy())
        bone, found = (truth > BONE_HU) & mask, (result > BONE_HU) & mask
        mr = np.stack([case.standard_mr for case in self.cases])
        made_mr = translate_samples(to_mr, self._given("CT")).numpy()
        inside = np.broadcast_to(mask, mr.shape)
        return {
            "validation_phantom_mae_hu": float(np.abs(result - truth)[mask].mean()),
            "validation_phantom_bone_dice": float(
                2 * (bone & found).sum() / max(bone.sum() + found.sum(), 1)
            ),
            "validation_phantom_mr_correlation": _correlation(made_mr[inside], mr[inside]),
        }

    def _given(self, modality: Literal["MR", "CT"]) -> list[Sample]:
        return [case.given(modality) for case in self.cases]

    def _profile(self, scaled: NDArray[np.float32], head: "_UpperHead") -> NDArray[np.float64]:
        return depth_profile(self.window.inverse(scaled), head.body, self.spacing_mm)

    @torch.inference_mode()
    def preview(self, path: Path, forward: nn.Module) -> None:
        """See ``Validator``."""
        samples = [head.middle for head in self.scans if self.to_ct and head.flat][:2]
        samples += self._given("MR" if self.to_ct else "CT")[:3]
        write_preview(path, [preview_row(forward, sample) for sample in samples])


class _UpperHead:
    """The part of a scan below the vertex that is compared with others: 24 slices of it.

    Attributes:
        image: (C, X, Y, N) float32 in [-1, 1].
        body: (X, Y, N) bool.
        flat: whether it is translated slice by slice.
    """

    def __init__(self, stack: SliceStack, matrix: tuple[int, int], spatial_dims: int) -> None:
        self.flat = spatial_dims == 2
        depths = (np.arange(SCAN_SLICES) + 0.5) * UPPER_HEAD_MM / SCAN_SLICES
        self.chosen = [stack.frame.nearest(depth) for depth in depths]
        self.slices = [_fitted(stack.at(index), matrix) for index in self.chosen]
        self.image = np.stack([view.image for view in self.slices], axis=-1)
        self.body = np.stack([view.body[0] for view in self.slices], axis=-1)
        self.stack, self.matrix = stack, matrix

    @property
    def middle(self) -> Sample:
        """One slice to look at."""
        return self.slices[SCAN_SLICES // 2]

    def translated(self, network: nn.Module) -> NDArray[np.float32]:
        """The result's first channel, (X, Y, N); a network of volumes is given the whole part."""
        if self.flat:
            return translate_samples(network, self.slices)[:, 0].permute(1, 2, 0).numpy()
        lowest = min(self.chosen)
        part = self.stack.images[..., lowest:]
        slices = [fit_matrix(part[..., k], self.matrix, -1.0) for k in range(part.shape[-1])]
        # above the head there is air, and there may be more of it
        slices += [np.full_like(slices[0], -1.0)] * (-len(slices) % SIZE_MULTIPLE)
        whole = np.stack(slices, axis=-1)
        sample = Sample(whole, whole[:1] > -1.0, None, UPPER_HEAD_MM / 2)
        made = translate_samples(network, [sample])[0, 0].numpy()
        return np.asarray(made[..., [index - lowest for index in self.chosen]])


def _fitted(view: Sample, matrix: tuple[int, int]) -> Sample:
    beside = None if view.neighbours is None else fit_matrix(view.neighbours, matrix, -1.0)
    body = fit_matrix(view.body.astype(np.float32), matrix, 0.0) > 0.5
    return Sample(fit_matrix(view.image, matrix, -1.0), body, beside, view.depth_mm)


def translate_samples(network: nn.Module, samples: Sequence[Sample]) -> Tensor:
    """Translate samples of one shape, eight at a time: (N, C, *S) on the CPU."""
    device = next(network.parameters()).device
    made = []
    for start in range(0, len(samples), 8):
        part = samples[start : start + 8]
        image = stacked(sample.image for sample in part).to(device)
        made.append(network(image, context_of(part).to(device)).image.float().cpu())
    return torch.cat(made)


def preview_row(network: nn.Module, sample: Sample) -> PreviewRow:
    """One sample and what a network makes of it; of volumes, the middle slice."""
    device = next(network.parameters()).device
    image = stacked([sample.image]).to(device)
    result = network(image, context_of([sample]).to(device))
    maps = (m[0, 0].float().cpu().numpy() for m in (image, result.image, result.background))
    return PreviewRow(*(m if m.ndim == 2 else m[..., m.shape[-1] // 2] for m in maps))


def _correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    return float(np.corrcoef(a, b)[0, 1]) if a.std() > 0 and b.std() > 0 else 0.0
