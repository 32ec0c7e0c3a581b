"""What a training on pictures is watched by: test pictures there and back again."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from medgan.data.batches import stacked
from medgan.data.samples import Sample
from medgan.training.preview import PreviewRow, write_preview

PREVIEWED = 3
"""Pictures of each domain on a contact sheet."""


class PictureValidator:
    """Watches generators on fixed pictures; nothing here chooses a checkpoint.

    A small cycle error or a high background attention is no merit: the identity has both. So
    the score is NaN, and the model of the last step is the result, as in the published training.

    Args:
        of_A: pictures of the source domain that training never sees, images (C, rows, columns).
        of_B: the same of the target domain.
    """

    reason = "none: unpaired pictures have no score that could choose, the last step counts"

    def __init__(self, of_A: Sequence[Sample], of_B: Sequence[Sample]) -> None:
        self.of_A, self.of_B = of_A, of_B

    @torch.inference_mode()
    def scores(self, forward: nn.Module, backward: nn.Module) -> dict[str, float]:
        """Cycle error and background attention, mean over the pictures.

        Returns:
            ``validation_cycle_l1_A`` (there and back, on [-1, 1]),
            ``validation_background_attention_A`` (share copied on the way there), the same of B,
            and ``validation_score``, NaN.
        """
        scores = {}
        for name, samples, there, back in (
            ("A", self.of_A, forward, backward),
            ("B", self.of_B, backward, forward),
        ):
            errors, shares = [], []
            for sample in samples:
                real = _batch(there, sample)
                made = there(real)
                errors.append((back(made.image).image - real).abs().mean().item())
                shares.append(made.background.mean().item())
            scores[f"validation_cycle_l1_{name}"] = float(np.mean(errors))
            scores[f"validation_background_attention_{name}"] = float(np.mean(shares))
        return scores | {"validation_score": float("nan")}

    @torch.inference_mode()
    def preview(self, path: Path, forward: nn.Module) -> None:
        """Write the first pictures: source, result, background attention, difference."""
        rows = []
        for sample in self.of_A[:PREVIEWED]:
            made = forward(_batch(forward, sample))
            maps = (
                made.image[0].float().cpu().numpy(),
                made.background[0, 0].float().cpu().numpy(),
            )
            rows.append(
                PreviewRow(*(_as_slice(part) for part in (sample.image, maps[0], maps[1][None])))
            )
        write_preview(path, rows)


def _batch(network: nn.Module, sample: Sample) -> Tensor:
    return stacked([sample.image]).to(next(network.parameters()).device)


def _as_slice(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """(C, rows, columns) as a preview's (X, Y[, 3]), which is shown turned half round."""
    turned = np.moveaxis(image[:, ::-1, ::-1], 0, -1).swapaxes(0, 1)
    return turned[..., 0] if turned.shape[2] == 1 else turned
