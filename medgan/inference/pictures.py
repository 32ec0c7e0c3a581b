"""Picture in, picture out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from medgan.data.batches import stacked
from medgan.data.images import picture_sample
from medgan.errors import DataError, ModelError
from medgan.io.pictures import write_picture
from medgan.models.model_file import Direction, Model


@dataclass(frozen=True, eq=False)
class PictureTranslation:
    """A translated picture in the size of the model, first row on top, values from 0 to 1.

    Attributes:
        source: (C, rows, columns) float32, the picture as the network was given it.
        image: (C', rows, columns) float32, synthetic.
        attention: (1, rows, columns) float32, share of the input that was copied; None for
            networks that copy nothing.
    """

    source: NDArray[np.float32]
    image: NDArray[np.float32]
    attention: NDArray[np.float32] | None


class PictureTranslator:
    """Applies a model of pictures to whole pictures, resized to the size it was trained at.

    Args:
        model: generators and their card.
        direction: "forward" is domain A to domain B.
        device: where the network runs.

    Raises:
        ModelError: a model of scans, or one without this direction.
    """

    def __init__(
        self, model: Model, direction: Direction = "forward", *, device: str = "cpu"
    ) -> None:
        if model.card.source != "IMAGE":
            raise ModelError(
                "a model of scans does not translate pictures",
                measured=f"{model.card.source} to {model.card.target}",
                limit="IMAGE to IMAGE",
            )
        self.card = model.card
        self.network = model.generator(direction).to(device)
        self.channels = model.card.network.channels[0 if direction == "forward" else 1]
        self.device = device

    @classmethod
    def load(cls, place: Path | str, direction: Direction = "forward") -> Self:
        """From a model file or a run folder, on the GPU where there is one."""
        device = "cuda" if torch.cuda.is_available() else "cpu"
        return cls(Model.load(Path(place)), direction, device=device)

    @torch.inference_mode()
    def __call__(self, path: Path | str) -> PictureTranslation:
        """Translate one picture.

        Args:
            path: PNG or JPEG.

        Raises:
            FileError: missing, damaged, of another kind, or too large.
            DataError: the result is not finite.
        """
        sample = picture_sample(Path(path), self.channels, self.card.preparation.matrix)
        made = self.network(stacked([sample.image]).to(self.device))
        image = made.image[0].float().cpu().numpy()
        if not np.isfinite(image).all():
            raise DataError(
                "the network's result is not finite", where=path, remedy="Check the model"
            )
        copies = self.card.network.has_attention
        attention = made.background[0].float().cpu().numpy() if copies else None
        return PictureTranslation(_unit(sample.image), _unit(image), attention)


def translate_file(
    translator: PictureTranslator, source: Path, target: Path, *, attention: bool = False
) -> PictureTranslation:
    """Translate a picture into a PNG file.

    Args:
        translator: of the direction wanted.
        source: PNG or JPEG.
        target: the ``.png`` file, replaced.
        attention: also write ``<name>_attention.png``, white where the input was copied.

    Raises:
        FileError: the source cannot be read.
        DataError: the result is not finite.
        OutputError: the target cannot be written.
    """
    made = translator(source)
    if attention and made.attention is not None:
        write_picture(target.with_name(f"{target.stem}_attention.png"), made.attention)
    write_picture(target, made.image)
    return made


def _unit(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """From [-1, 1] to 0 to 1."""
    return np.divide(image + 1, 2, dtype=np.float32)
