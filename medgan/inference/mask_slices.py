"""A model from masks to CT at work: maps of tissues in, axial slices out."""

from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from medgan.data.chest import Chest
from medgan.data.chest_slices import slice_noise
from medgan.data.chest_tissues import mask_picture
from medgan.errors import DataError, ModelError
from medgan.models.model_file import Model
from medgan.volumes.intensity import WindowScale


class SlicePainter:
    """Draws slices of a chest from the map of its tissues alone; its CT numbers are not looked at.

    Args:
        model: trained with ``data.chest_slices``.
        device: where the network runs.

    Raises:
        ModelError: another kind of model.
    """

    def __init__(self, model: Model, device: str = "cpu") -> None:
        if model.card.source != "LABEL":
            raise ModelError(
                "the model does not draw slices from masks",
                measured=f"{model.card.source} to {model.card.target}",
                limit="LABEL to CT",
                remedy="Train one with configs/luna16_slices.yaml",
            )
        self.model = model
        self.device = device
        self.preparation = model.card.preparation
        self.scale = WindowScale(*self.preparation.window_hu)
        self._network = model.generator("forward").to(device)

    @classmethod
    def load(cls, place: Path | str) -> Self:
        """From a model file or a run folder, on the GPU where there is one."""
        return cls(Model.load(Path(place)), "cuda" if torch.cuda.is_available() else "cpu")

    @torch.inference_mode()
    def paint(self, chest: Chest, index: int, noise_seed: int) -> NDArray[np.int16]:
        """One slice.

        Args:
            chest: on the model's grid.
            index: of the slice.
            noise_seed: the slice's noise follows from it.

        Returns:
            (X, Y) HU; air outside the body.

        Raises:
            DataError: the network's result is not finite.
        """
        body = chest.body[index]
        x, y = body.shape
        rng = np.random.default_rng(noise_seed)
        noise = slice_noise((x, y), self.preparation.spacing_mm[0], rng) * body
        picture = torch.from_numpy(mask_picture(chest.tissues[index], noise, self.scale)[None])
        image = self._network(picture.to(self.device)).image
        made: NDArray[Any] = image[0, 0].float().cpu().numpy()
        if not np.isfinite(made).all():
            raise DataError("the network's result is not finite", remedy="Check the model")
        hu = np.where(body, self.scale.inverse(made), -1000)
        return np.rint(hu).astype(np.int16)
