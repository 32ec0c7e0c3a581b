"""A trained detector and its model file: weights, preparation and provenance in one piece."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import torch

from medgan import __version__
from medgan.config import Frozen
from medgan.detection.config import DetectorConfig
from medgan.detection.marks import Mark
from medgan.detection.network import HeatmapNetwork
from medgan.detection.prediction import find_marks
from medgan.detection.prepared import prepare
from medgan.errors import ModelError
from medgan.models.tensor_file import load_tensors, load_weights, read_card, save_tensors
from medgan.volumes import Volume

FILE_NAME = "detector.safetensors"
_RUN_PLACES = ("checkpoints/best", "checkpoints/last", "")


class DetectorCard(Frozen):
    """What must be known to use the weights rightly.

    Attributes:
        config: the configuration: what is done to a scan first, the network, how marks are made.
        provenance: how the weights came about (steps, number of scans and nodules, fingerprint of
            the data, validation score); no file names, no patient data.
        licence: of the weights.
    """

    format: Literal[1] = 1
    kind: Literal["nodule detector"] = "nodule detector"
    medgan: str = __version__
    config: DetectorConfig
    provenance: dict[str, Any]
    licence: str = "Apache-2.0"
    intended_use: str = "Research use only. Not for clinical use."


@dataclass(frozen=True, eq=False)
class Detector:
    """A network and its card."""

    network: HeatmapNetwork
    card: DetectorCard

    @classmethod
    def load(cls, place: Path | str, *, device: str | None = None) -> Self:
        """Read a model file, or the best (else the last) model of a run folder.

        Args:
            place: file or run folder.
            device: where the network runs; None: a GPU where there is one.

        Raises:
            ModelError: nothing there, damaged, or weights that do not fit the card.
        """
        path = _find(Path(place))
        file = load_tensors(path)
        card = read_card(file, DetectorCard, "a detector", where=path)
        network = HeatmapNetwork(card.config.network)
        load_weights(network, file.tensors, where=path)
        network.eval().requires_grad_(False)
        if device is None:
            device = "cuda" if torch.cuda.is_available() else "cpu"
        return cls(network.to(device), card)

    def save(self, path: Path) -> None:
        """Write the model file, atomically.

        Raises:
            OutputError: the file cannot be written.
        """
        save_tensors(path, self.network.state_dict(), self.card.model_dump(mode="json"))

    def predict(self, ct: Volume, lungs: Volume) -> list[Mark]:
        """Look for nodules.

        Args:
            ct: HU, any orientation and voxel size.
            lungs: LABEL on the same grid; what is not 0 is lung.

        Returns:
            At most 100 marks in world coordinates, the surest first.

        Raises:
            DataError: not a CT, or no lung.
            GeometryError: the two lie on different grids.
        """
        return find_marks(
            self.network, prepare(ct, lungs, self.card.config.input), self.card.config
        )


def _find(place: Path) -> Path:
    if place.is_file():
        return place
    for folder in _RUN_PLACES:
        if (place / folder / FILE_NAME).is_file():
            return place / folder / FILE_NAME
    raise ModelError(
        "no detector here",
        where=place,
        remedy=f"Name a run folder with {_RUN_PLACES[0]}/{FILE_NAME}, or the file itself",
    )
