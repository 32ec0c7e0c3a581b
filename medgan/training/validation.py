"""What a training is judged by while it runs: held-out phantoms, and real scans without pairs."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from medgan.config import TrainConfig
from medgan.data.phantom_slices import PhantomSample, PhantomSlices
from medgan.data.preparation import Prepared
from medgan.data.slices import SliceStack, fit_matrix
from medgan.metrics.unpaired import depth_profile, profile_distance
from medgan.training.preview import PreviewRow, write_preview
from medgan.volumes.intensity import WindowScale

VALIDATION_STREAM = 4
PHANTOM_CASES = 24
SCAN_SLICES = 24
UPPER_HEAD_MM = 110.0
"""Scans end at different levels of the neck; scores look at the part they share."""

BONE_HU = 150.0


class Validator:
    """Scores generators on fixed cases.

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
        phantoms: PhantomSlices,
        source: Sequence[Prepared],
        target: Sequence[Prepared],
    ) -> None:
        self.config = config
        self.to_ct = config.target == "CT"
        self.cases = [
            phantoms.draw(np.random.default_rng([config.training.seed, VALIDATION_STREAM, case]))
            for case in range(PHANTOM_CASES)
        ]
        mr_scans, ct_scans = (source, target) if self.to_ct else (target, source)
        self.scans = self._upper_heads(mr_scans)
        self.spacing_mm = (*config.preparation.spacing_mm[:2], UPPER_HEAD_MM / SCAN_SLICES)
        self.window = WindowScale(*config.preparation.window_hu)
        self.real = [
            self._profile(images[:, 0].numpy(), bodies)
            for images, bodies in self._upper_heads(ct_scans)
        ]
        self.reason = "MAE on held-out phantoms (HU)"
        if self.scans and self.real:
            self.reason += " + depth-profile distance to real CT (HU)"

    def _upper_heads(self, scans: Sequence[Prepared]) -> list[tuple[Tensor, NDArray[np.bool_]]]:
        """The slices to compare; scans that begin below the vertex cannot be."""
        stacks = [SliceStack(scan) for scan in scans]
        matrix = self.config.preparation.matrix
        return [_upper_slices(stack, matrix) for stack in stacks if stack.has_vertex]

    @torch.inference_mode()
    def scores(self, forward: nn.Module, backward: nn.Module) -> dict[str, float]:
        """Judge both generators; keys begin with ``validation_``."""
        to_ct, to_mr = (forward, backward) if self.to_ct else (backward, forward)
        scores = self._phantom_scores(to_ct, to_mr)
        score = scores["validation_phantom_mae_hu"]
        if self.scans and self.real:
            made = [
                self._profile(_translate(to_ct, images).numpy(), bodies)
                for images, bodies in self.scans
            ]
            distance = profile_distance(made, self.real)
            scores["validation_profile_distance_hu"] = distance
            score += distance
        return scores | {"validation_score": score}

    def _phantom_scores(self, to_ct: nn.Module, to_mr: nn.Module) -> dict[str, float]:
        mask = np.stack([case.body for case in self.cases])
        truth = self.window.inverse(np.stack([case.ct for case in self.cases]))
        result = self.window.inverse(_translate(to_ct, _stack(self.cases, "mr")).numpy())
        bone, found = (truth > BONE_HU) & mask, (result > BONE_HU) & mask
        mr = np.stack([case.standard_mr for case in self.cases])[mask]
        made = _translate(to_mr, _stack(self.cases, "noisy_ct")).numpy()[mask]
        return {
            "validation_phantom_mae_hu": float(np.abs(result - truth)[mask].mean()),
            "validation_phantom_bone_dice": float(
                2 * (bone & found).sum() / max(bone.sum() + found.sum(), 1)
            ),
            "validation_phantom_mr_correlation": _correlation(made, mr),
        }

    def _profile(self, scaled: NDArray[np.float32], bodies: NDArray[np.bool_]) -> NDArray:  # type: ignore[type-arg]
        hu = self.window.inverse(scaled).transpose(1, 2, 0)
        return depth_profile(hu, bodies.transpose(1, 2, 0), self.spacing_mm)

    @torch.inference_mode()
    def preview(self, path: Path, forward: nn.Module) -> None:
        """Write the fixed cases: source, result, background attention, difference."""
        rows = []
        device = next(forward.parameters()).device
        stacks = [images[SCAN_SLICES // 2][None] for images, _ in self.scans if self.to_ct][:2]
        stacks += [_stack(self.cases[:3], "mr" if self.to_ct else "noisy_ct")]
        for stack in stacks:
            made = forward(stack.to(device))
            maps = (stack, made.image, made.background)
            rows += [PreviewRow(*(m[i, 0].float().cpu().numpy() for m in maps))
                     for i in range(len(stack))]  # fmt: skip
        write_preview(path, rows)


def _upper_slices(stack: SliceStack, matrix: tuple[int, int]) -> tuple[Tensor, NDArray[np.bool_]]:
    """Slices at equal distances below the vertex: (N, 1, X, Y) and their bodies (N, X, Y)."""
    depths = (np.arange(SCAN_SLICES) + 0.5) * UPPER_HEAD_MM / SCAN_SLICES
    views = [stack.at(stack.nearest(depth)) for depth in depths]
    images = torch.stack([fit_matrix(view.image, matrix, -1.0) for view in views])
    bodies = [fit_matrix(view.body.astype(np.float32), matrix, 0.0)[0].numpy() for view in views]
    return images, np.stack(bodies) > 0.5


def _stack(cases: Sequence[PhantomSample], name: str) -> Tensor:
    return torch.stack([torch.from_numpy(getattr(case, name))[None] for case in cases])


def _translate(network: nn.Module, images: Tensor) -> Tensor:
    """(N, 1, X, Y) -> (N, X, Y) on the CPU, eight at a time."""
    device = next(network.parameters()).device
    parts = [network(part.to(device)).image[:, 0].float().cpu() for part in images.split(8)]
    return torch.cat(parts)


def _correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    return float(np.corrcoef(a, b)[0, 1]) if a.std() > 0 and b.std() > 0 else 0.0
