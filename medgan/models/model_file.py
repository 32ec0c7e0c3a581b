"""The model file: weights, preparation, provenance and licence that cannot be parted."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from medgan import __version__
from medgan.config import Domain, NetworkConfig, PreparationConfig
from medgan.data.statistics import DomainStatistics, Side
from medgan.errors import ModelError
from medgan.models.catalogue import SUFFIX, builtin_file, builtin_names
from medgan.models.tensor_file import (
    load_tensors,
    load_weights,
    prefixed,
    read_card,
    save_tensors,
)
from medgan.networks.build import Generator, build_generators

FILE_NAME = "model.safetensors"
REGISTRY = "models:/"
"""What the names of models in an MLflow registry begin with."""

_RUN_PLACES = ("checkpoints/best", "checkpoints/last", "")

Direction = Literal["forward", "backward"]

_PREFIXES: dict[Direction, str] = {"forward": "G_A", "backward": "G_B"}
"""What the names of a direction's tensors begin with."""


class ModelCard(BaseModel):
    """What must be known to use the weights rightly.

    Attributes:
        source: modality that G_A reads; "IMAGE" for pictures.
        target: modality that G_A writes.
        directions: those that there are weights for.
        preparation: what is done to a volume first; the only one the weights are applied with.
        network: architecture of both generators.
        provenance: how the weights came about (configuration's name, steps, data fingerprint,
            why this checkpoint was chosen); no file names, no patient data.
        licence: of the weights.
        domains: figures of the scans trained on, which unlike sources are known by; None where
            they are not known.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    medgan: str = __version__
    source: Domain
    target: Domain
    directions: tuple[Direction, ...] = Field(("forward", "backward"), min_length=1)
    preparation: PreparationConfig
    network: NetworkConfig
    provenance: dict[str, Any]
    licence: str = "Apache-2.0"
    domains: dict[Side, DomainStatistics] | None = None
    intended_use: str = "Research use only. Not for clinical use."


@dataclass(frozen=True)
class Model:
    """The generators and their card.

    Attributes:
        forward: source -> target; None where the card has no such direction.
        backward: target -> source; likewise.
        sha256: hash of the file they were read from.
    """

    forward: Generator | None
    backward: Generator | None
    card: ModelCard
    sha256: str

    @classmethod
    def load(cls, place: Path | str) -> Self:
        """Read the model of a place, see ``find_model``.

        Raises:
            ModelError: nothing there, damaged, or weights that do not fit the card.
            ConfigError, OutputError: as ``find_model``.
        """
        path = find_model(place)
        file = load_tensors(path)
        card = read_card(file, ModelCard, "a model file", where=path)
        built = dict(zip(_PREFIXES, build_generators(card.network), strict=True))
        generators = {direction: built[direction] for direction in card.directions}
        for direction, generator in generators.items():
            load_weights(generator, file.under(_PREFIXES[direction]), where=path)
            generator.eval().requires_grad_(False)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        return cls(generators.get("forward"), generators.get("backward"), card, digest)

    def generator(self, direction: Direction) -> Generator:
        """The network of one direction.

        Raises:
            ModelError: the model has no weights for it.
        """
        generator = self.forward if direction == "forward" else self.backward
        if generator is None:
            raise ModelError(
                "the model goes in one direction only",
                measured=direction,
                limit=", ".join(self.card.directions),
                remedy="Choose the other direction",
            )
        return generator

    def modalities(self, direction: Direction) -> tuple[Domain, Domain]:
        """What a direction reads and writes."""
        card = self.card
        if direction == "forward":
            return card.source, card.target
        return card.target, card.source


def save_model(
    path: Path, forward: nn.Module | None, backward: nn.Module | None, card: ModelCard
) -> None:
    """Write a model file atomically.

    Raises:
        ModelError: the generators given are not those of the card's directions.
    """
    given = zip(_PREFIXES, (forward, backward), strict=True)
    generators = {direction: network for direction, network in given if network is not None}
    if generators.keys() != set(card.directions):
        raise ModelError(
            "the card names other directions than there are generators",
            where=path,
            measured=", ".join(generators) or "none",
            limit=", ".join(card.directions),
        )
    tensors: dict[str, Tensor] = {}
    for direction, network in generators.items():
        tensors |= prefixed(_PREFIXES[direction], network.state_dict())
    save_tensors(path, tensors, card.model_dump(mode="json"))


def write_model(path: Path, model: Model) -> None:
    """Write a model as it was loaded.

    Raises:
        OutputError: the file cannot be written.
    """
    save_model(path, model.forward, model.backward, model.card)


def find_model(place: Path | str) -> Path:
    """The file of a model, wherever it is.

    Args:
        place: a model file; a run folder, of which it is the best model, else the last; the name
            of a built-in model, unless a file or folder is called so; or ``models:/name@alias``
            and ``models:/name/version`` in the registry of the MLflow server that the environment
            variable MLFLOW_TRACKING_URI names, from which only the model file is taken.

    Raises:
        ModelError: nothing there.
        ConfigError: no registry is named, or it is asked for in another form.
        OutputError: the registry cannot be reached.
    """
    if str(place).startswith(REGISTRY):
        from medgan.models.registry import fetch

        return fetch(str(place))
    place = Path(place)
    if place.suffix == SUFFIX or place.is_file():
        return place
    for folder in _RUN_PLACES:
        if (place / folder / FILE_NAME).is_file():
            return place / folder / FILE_NAME
    if not place.exists() and (builtin := builtin_file(str(place))):
        return builtin
    raise ModelError(
        "no model here, and no built-in model of this name",
        where=place,
        remedy=f"Name a run folder with {_RUN_PLACES[0]}/{FILE_NAME}, a {SUFFIX} file, "
        f"{REGISTRY}NAME@ALIAS, or a built-in model ({', '.join(builtin_names()) or 'none'})",
    )
