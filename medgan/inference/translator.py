"""Volume in, volume of the other modality out, on the very same grid."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray

from medgan.data.depth import vertex_of
from medgan.data.preparation import Prepared, prepare_channels
from medgan.errors import DataError, ModelError
from medgan.inference.engine import Engine, Maps
from medgan.inference.patch_runs import translate_patches
from medgan.inference.slice_runs import translate_slices
from medgan.models.model_file import Direction, Model
from medgan.volumes import BACKGROUND, Volume
from medgan.volumes.geometry import Grid
from medgan.volumes.intensity import PercentileScale, Scale, WindowScale
from medgan.volumes.resampling import resample

SYNTHETIC_MR_MAXIMUM = 1000.0
"""Synthetic MR has no unit of its own: the network's +1 is written as this value, -1 as 0."""


@dataclass(frozen=True)
class VolumeTranslation:
    """A translated volume, and on request how it came about; all on the source's grid.

    Attributes:
        image: float32, ``synthetic=True``.
        attention: background attention (share of the input copied), 0 to 1; None for a network
            that copies nothing.
        disagreement: standard deviation between the results of the model's planes, in the unit of
            ``image``; None for a model of one plane.
        contents: the foreground contents, each in the unit of ``image``.
        others: further contrasts of the result, where the model writes several.
        prepared: the source's contrasts as the network was given them, on the model's grid.
    """

    image: Volume
    attention: Volume | None = None
    disagreement: Volume | None = None
    contents: tuple[Volume, ...] = ()
    others: tuple[Volume, ...] = ()
    prepared: tuple[Prepared, ...] = ()


class Translator:
    """Applies a model to volumes: slice by slice in batches, or in patches that overlap.

    A model that was trained on slices in several planes translates the volume in each of them; the
    result is the mean.

    Args:
        model: the generators and their card.
        direction: "forward" is the card's source to target.
        batch: slices a pass; None: one on a processor, whose cache it fills, else eight. Patches go
            one by one.
        device: where the network runs.
        bf16: half-precision arithmetic in the convolutions.

    Raises:
        ModelError: the model is of pictures, nodules or masks, or has no weights for the direction.
    """

    def __init__(
        self,
        model: Model,
        direction: Direction = "forward",
        *,
        batch: int | None = None,
        device: str = "cpu",
        bf16: bool = False,
    ) -> None:
        _require_volumes(model)
        source, target = model.modalities(direction)
        assert source in ("MR", "CT") and target in ("MR", "CT")
        self.model = model
        self.source: Literal["MR", "CT"] = source
        self.target: Literal["MR", "CT"] = target
        self.batch = batch or (1 if device == "cpu" else 8)
        card = model.card
        flat = card.network.spatial_dims == 2
        least = card.preparation.matrix if flat else card.preparation.patch
        generator = model.generator(direction).to(device)
        self.engine = Engine(generator, card.network, least, device, bf16)

    @classmethod
    def load(
        cls, place: Path | str, direction: Direction = "forward", *, bf16: bool = False
    ) -> Self:
        """From a model file or a run folder, on the GPU where there is one."""
        device = "cuda" if torch.cuda.is_available() else "cpu"
        return cls(Model.load(Path(place)), direction, device=device, bf16=bf16)

    @property
    def bf16(self) -> bool:
        """Whether its arithmetic has half precision."""
        return self.engine.bf16

    @property
    def contrasts(self) -> int:
        """How many co-registered contrasts of a scan the model reads."""
        return self.engine.generator.channels[0]

    def require_contrasts(self, count: int) -> None:
        """Refuse another number of contrasts than the model reads.

        Raises:
            DataError: ``count`` is another one.
        """
        if count != self.contrasts:
            raise DataError(
                "the model reads another number of contrasts of each scan",
                measured=count,
                limit=self.contrasts,
                remedy="Name them all, in the order of the training",
            )

    def __call__(
        self, volume: Volume, *, also: Sequence[Volume] = (), details: bool = False
    ) -> VolumeTranslation:
        """Translate one volume.

        Args:
            volume: of the modality that this direction reads.
            also: further contrasts in register with it, in the order of the training.
            details: also return what explains the result.

        Raises:
            DataError: a volume of another modality, too few or too many contrasts, no body, or a
                result that is not finite.
            GeometryError: contrasts in different frames of reference.
        """
        if volume.modality != self.source:
            raise DataError(
                "the model reads another modality",
                measured=volume.modality,
                limit=self.source,
                remedy="Choose the other direction, or say what the file is",
            )
        self.require_contrasts(1 + len(also))
        prepared = prepare_channels((volume, *also), self.model.card.preparation)
        runs = self._runs(prepared, details=details)
        maps = [np.mean(several, axis=0) for several in zip(*runs, strict=True)]
        images = maps[: self.engine.channels]
        if not all(np.isfinite(image).all() for image in images):
            raise DataError("the network's result is not finite", remedy="Check the model")
        place = _Place(prepared[0], volume)
        image, *others = (self._image(place, values) for values in images)
        if not details:
            return VolumeTranslation(image, others=tuple(others), prepared=prepared)
        maps = maps[self.engine.channels :]
        attention = place.attention(maps.pop(0)) if self.engine.network.has_attention else None
        contents = tuple(self._image(place, values) for values in maps)
        disagreement = None
        if len(runs) > 1:
            spread = np.std([self._to_unit(run[0]) for run in runs], axis=0)
            disagreement = place.volume(spread, "MR", outside=0.0)
        return VolumeTranslation(image, attention, disagreement, contents, tuple(others), prepared)

    def _runs(self, prepared: Sequence[Prepared], *, details: bool) -> list[Maps]:
        """The maps of the volume in each plane, or once in patches."""
        images = np.stack([contrast.scaled() for contrast in prepared])
        first, card = prepared[0], self.model.card
        body = first.mask_with_margin
        frame = vertex_of(first.mask, first.volume.spacing_mm[2])
        if card.network.spatial_dims == 3:
            return [translate_patches(self.engine, images, body, frame, details=details)]
        return [
            translate_slices(
                self.engine, images, body, frame, plane, batch=self.batch, details=details
            )
            for plane in card.preparation.planes
        ]

    def _image(self, place: "_Place", scaled: NDArray[np.float32]) -> Volume:
        return place.volume(self._to_unit(scaled), self.target, outside=BACKGROUND[self.target])

    @property
    def scale(self) -> Scale:
        """From the unit of the result to what the network writes, [-1, 1]."""
        preparation = self.model.card.preparation
        if self.target == "CT":
            return WindowScale(*preparation.window_hu)
        return PercentileScale(SYNTHETIC_MR_MAXIMUM, preparation.mr_percentile)

    def _to_unit(self, scaled: NDArray[np.float32]) -> NDArray[np.float32]:
        return self.scale.inverse(scaled)


def _require_volumes(model: Model) -> None:
    """Refuse models that need more than a scan, or something else.

    Raises:
        ModelError: it says which verb takes the model.
    """
    card = model.card
    domains = {card.source, card.target}
    if "IMAGE" in domains:
        raise ModelError(
            "the model is for pictures, not for volumes", remedy="Choose a model of MR and CT"
        )
    if "LABEL" in domains:
        raise ModelError(
            "the model draws slices from masks; a scan alone is nothing to translate",
            measured=f"{card.source} to {card.target}",
            limit="MR and CT",
            remedy="Use `medgan nodules slices`",
        )
    if card.network.conditions:
        raise ModelError(
            "the model is of nodules: it has to be told where one is wanted",
            measured=f"{card.network.conditions} conditions",
            limit=0,
            remedy="Use `medgan nodules insert` or `medgan nodules remove`",
        )


@dataclass(frozen=True, eq=False)
class _Place:
    """Where a result lies: on the model's grid at first, on the source's in the end."""

    prepared: Prepared
    source: Volume

    def volume(
        self, values: NDArray[np.float32], modality: str, outside: float | None = None
    ) -> Volume:
        """Values of the model's grid on that of the source; ``outside`` the margin where given."""
        if outside is not None:
            values = np.where(self.prepared.mask_with_margin, values, np.float32(outside))
        on_model_grid = self.prepared.volume.with_array(values, modality=modality, synthetic=True)
        back = resample(on_model_grid, Grid.of(self.source))
        source = self.source
        return Volume(
            back.array, source.affine, back.modality, source.frame_of_reference, synthetic=True
        )

    def attention(self, background: NDArray[np.float32]) -> Volume:
        """Resampled as its complement, because what lies outside the crop is a copy: air."""
        novel = self.volume(1.0 - background, "MR")
        return novel.with_array(1.0 - novel.array)
