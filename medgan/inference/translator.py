"""Volume in, volume of the other modality out, on the very same grid."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from medgan.config import Plane
from medgan.data.planes import SLICE_AXES
from medgan.data.preparation import Prepared, prepare
from medgan.errors import DataError
from medgan.models.model_file import Direction, Model
from medgan.networks import SIZE_MULTIPLE
from medgan.volumes import Volume
from medgan.volumes.geometry import Grid
from medgan.volumes.intensity import PercentileScale, WindowScale
from medgan.volumes.resampling import resample

SYNTHETIC_MR_MAXIMUM = 1000.0
"""Synthetic MR has no unit of its own: the network's +1 is written as this value, -1 as 0."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class VolumeTranslation:
    """A translated volume, and on request how it came about.

    Attributes:
        image: on the source's grid, float32, ``synthetic=True``.
        attention: background attention (share of the input copied), 0 to 1, on the source's grid.
        disagreement: standard deviation between the results of the model's planes, in the unit of
            ``image``, on the source's grid; None for a model of one plane.
        contents: the foreground contents, each in the unit of ``image``, on the source's grid.
    """

    image: Volume
    attention: Volume | None = None
    disagreement: Volume | None = None
    contents: tuple[Volume, ...] = ()


class Translator:
    """Applies a model to whole slices, in batches.

    Whole slices, not tiles: instance norm takes its statistics from what it sees, and tiles would
    disagree with each other by about a quarter of the output's spread. A model that was trained on
    slices in several planes translates the volume in each of them; the result is the mean.

    Args:
        model: both generators and their card.
        direction: "forward" is the card's source to target.
        batch: slices a pass.
        device: where the network runs.
        bf16: half-precision arithmetic in the convolutions.
    """

    def __init__(
        self,
        model: Model,
        direction: Direction = "forward",
        *,
        batch: int = 8,
        device: str = "cpu",
        bf16: bool = False,
    ) -> None:
        self.model = model
        self.network = model.generator(direction).to(device)
        self.source, self.target = model.modalities(direction)
        self.batch = batch
        self.device = device
        self.bf16 = bf16

    @classmethod
    def load(cls, place: Path | str, direction: Direction = "forward") -> Self:
        """From a model file or a run folder, on the GPU where there is one."""
        device = "cuda" if torch.cuda.is_available() else "cpu"
        return cls(Model.load(Path(place)), direction, device=device)

    def __call__(self, volume: Volume, *, details: bool = False) -> VolumeTranslation:
        """Translate one volume.

        Args:
            volume: of the modality that this direction reads.
            details: also return attention and contents.

        Raises:
            DataError: a volume of another modality, without a body, or a result that is not finite.
        """
        if volume.modality != self.source:
            raise DataError(
                "the model reads another modality",
                measured=volume.modality,
                limit=self.source,
                remedy="Choose the other direction, or say what the file is",
            )
        prepared = prepare(volume, self.model.card.preparation)
        planes = self.model.card.preparation.planes
        runs = [self._run(prepared, plane, details=details) for plane in planes]
        maps = [np.mean(several, axis=0) for several in zip(*runs, strict=True)]
        if not np.isfinite(maps[0]).all():
            raise DataError("the network's result is not finite", remedy="Check the model")
        air = ~prepared.mask_with_margin
        images = [self._to_unit(channel) for channel in (maps[0], *maps[2:])]
        background = volume.with_array(volume.array, modality=self.target).background
        for image in images:
            image[air] = background
        volumes = [self._on_grid(prepared, image, self.target, volume) for image in images]
        if not details:
            return VolumeTranslation(volumes[0])
        # resampled as its complement, because what lies outside the crop is a copy: air
        novel = self._on_grid(prepared, 1.0 - maps[1], "MR", volume)
        attention = novel.with_array(1.0 - novel.array)
        disagreement = None
        if len(planes) > 1:
            spread = np.std([self._to_unit(run[0]) for run in runs], axis=0)
            spread[air] = 0
            disagreement = self._on_grid(prepared, spread, "MR", volume)
        return VolumeTranslation(volumes[0], attention, disagreement, tuple(volumes[1:]))

    @torch.inference_mode()
    def _run(self, prepared: Prepared, plane: Plane, *, details: bool) -> list[NDArray[np.float32]]:
        """Image, then with ``details`` background attention and contents, each (X, Y, Z)."""
        # views whose last axis is the slices' normal: what is written there lands in the volume
        axes = SLICE_AXES[plane]
        scaled = prepared.scaled().transpose(axes)
        body = prepared.mask_with_margin.transpose(axes)
        count = 2 + self.network.contents if details else 1
        fills = [-1.0, 1.0] + [-1.0] * self.network.contents
        maps = [np.full(scaled.shape, fill, np.float32) for fill in fills[:count]]
        # outside the body the result is background by definition, so empty slices need no pass
        slices = np.flatnonzero(body.any(axis=(0, 1)))
        if self.network.channels != 1:
            raise DataError("volumes have one channel", measured=self.network.channels, limit=1)
        for start in range(0, len(slices), self.batch):
            chosen = slices[start : start + self.batch]
            stack = torch.from_numpy(np.ascontiguousarray(scaled[:, :, chosen].transpose(2, 0, 1)))
            for target, values in zip(
                maps, self._pass(stack[:, None], details=details), strict=True
            ):
                target[:, :, chosen] = values.permute(1, 2, 0).numpy()
        # each order of axes is its own inverse
        return [values.transpose(axes) for values in maps]

    def _pass(self, stack: Tensor, *, details: bool) -> list[Tensor]:
        """(B, 1, X, Y) -> maps of (B, X, Y), padded with air for the network and cut back."""
        padding = _padding(stack.shape[-2:], self.model.card.preparation.matrix)
        padded = functional.pad(stack, padding, value=-1.0).to(self.device)
        with torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=self.bf16):
            result = self.network(padded)
        channels = [result.image]
        if details:
            channels += [result.background, *result.content.unbind(1)]
        left, _, top, _ = padding
        x, y = stack.shape[-2:]
        return [c[:, 0, top : top + x, left : left + y].float().cpu() for c in channels]

    def _to_unit(self, scaled: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.target == "CT":
            low, high = self.model.card.preparation.window_hu
            return WindowScale(low, high).inverse(scaled)
        percentile = self.model.card.preparation.mr_percentile
        return PercentileScale(SYNTHETIC_MR_MAXIMUM, percentile).inverse(scaled)

    @staticmethod
    def _on_grid(
        prepared: Prepared, values: NDArray[np.float32], modality: str, source: Volume
    ) -> Volume:
        on_model_grid = prepared.volume.with_array(values, modality=modality, synthetic=True)
        back = resample(on_model_grid, Grid.of(source))
        return Volume(
            back.array, source.affine, back.modality, source.frame_of_reference, synthetic=True
        )


def _padding(size: torch.Size, least: tuple[int, int]) -> tuple[int, int, int, int]:
    """Air to add on each side (left, right, top, bottom of the last two axes)."""
    amounts = []
    for have, want in zip(size, least, strict=True):
        goal = max(have, want)
        extra = goal + (-goal) % SIZE_MULTIPLE - have
        amounts.append((extra // 2, extra - extra // 2))
    return (*amounts[1], *amounts[0])
