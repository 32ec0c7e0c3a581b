"""The model file: weights, preparation, provenance and licence that cannot be parted."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError
from torch import nn

from medgan import __version__
from medgan.config import NetworkConfig, PreparationConfig
from medgan.errors import ModelError
from medgan.models.tensor_file import load_tensors, load_weights, prefixed, save_tensors
from medgan.networks import AttentionGenerator

FILE_NAME = "model.safetensors"
SUFFIX = ".safetensors"
_RUN_PLACES = ("checkpoints/best", "checkpoints/last", "")

Direction = Literal["forward", "backward"]


class ModelCard(BaseModel):
    """What must be known to use the weights rightly.

    Attributes:
        source: modality that G_A reads.
        target: modality that G_A writes.
        preparation: what is done to a volume first; the only one the weights are applied with.
        network: architecture of both generators.
        provenance: how the weights came about (configuration's name, steps, data fingerprint,
            why this checkpoint was chosen); no file names, no patient data.
        licence: of the weights.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    medgan: str = __version__
    source: Literal["MR", "CT"]
    target: Literal["MR", "CT"]
    preparation: PreparationConfig
    network: NetworkConfig
    provenance: dict[str, Any]
    licence: str = "Apache-2.0"
    intended_use: str = "Research use only. Not for clinical use."


@dataclass(frozen=True)
class Model:
    """Both generators and their card.

    Attributes:
        forward: source -> target.
        backward: target -> source.
        sha256: hash of the file they were read from.
    """

    forward: AttentionGenerator
    backward: AttentionGenerator
    card: ModelCard
    sha256: str

    @classmethod
    def load(cls, place: Path) -> Self:
        """Read a model file, or the best (else the last) model of a run folder.

        Raises:
            ModelError: nothing there, damaged, or weights that do not fit the card.
        """
        path = _find(Path(place))
        file = load_tensors(path)
        try:
            card = ModelCard.model_validate(file.document)
        except ValidationError as error:
            raise ModelError(
                f"not a model file, or of another version of medgan: {error.errors()[0]['msg']}",
                where=path,
            ) from error
        generators = [build_generator(card.network) for _ in range(2)]
        for generator, name in zip(generators, ("G_A", "G_B"), strict=True):
            load_weights(generator, file.under(name), where=path)
            generator.eval().requires_grad_(False)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        return cls(generators[0], generators[1], card, digest)

    def generator(self, direction: Direction) -> AttentionGenerator:
        """The network of one direction."""
        return self.forward if direction == "forward" else self.backward

    def modalities(self, direction: Direction) -> tuple[Literal["MR", "CT"], Literal["MR", "CT"]]:
        """What a direction reads and writes."""
        card = self.card
        if direction == "forward":
            return card.source, card.target
        return card.target, card.source


def build_generator(network: NetworkConfig) -> AttentionGenerator:
    """The generator a configuration describes, with torch's default weights."""
    return AttentionGenerator(
        network.spatial_dims, network.channels, network.contents, network.width, network.blocks
    )


def save_model(path: Path, forward: nn.Module, backward: nn.Module, card: ModelCard) -> None:
    """Write a model file atomically."""
    tensors = prefixed("G_A", forward.state_dict()) | prefixed("G_B", backward.state_dict())
    save_tensors(path, tensors, card.model_dump(mode="json"))


def _find(place: Path) -> Path:
    if place.suffix == SUFFIX or place.is_file():
        return place
    for folder in _RUN_PLACES:
        if (place / folder / FILE_NAME).is_file():
            return place / folder / FILE_NAME
    raise ModelError(
        "no model here",
        where=place,
        remedy=f"Name a run folder with {_RUN_PLACES[0]}/{FILE_NAME}, or a {SUFFIX} file",
    )
