"""Make a built-in model of a run folder: ``python -m medgan.models.shipping RUN CARD``.

The model card says, between two lines of ``---``, what the weights do not know: their licence, and
what they were trained on under which licences. Both become part of the model file.
"""

import sys
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from medgan.errors import ConfigError, ModelError
from medgan.models.catalogue import CARD_SUFFIX, SUFFIX
from medgan.models.model_file import Direction, Model, save_model

LIMIT_BYTES = 5_000_000
"""Largest file that comes with medgan: everyone downloads it, and most will not use it."""

_FENCE = "---\n"


class TrainingData(BaseModel):
    """Something that a model was trained on.

    Attributes:
        what: name and kind.
        source: where it is published.
        licence: that it is under.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    what: str
    source: str
    licence: str


class Terms(BaseModel):
    """The head of a model card.

    Attributes:
        licence: of the weights.
        directions: those that are shipped.
        data: everything trained on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    licence: str
    directions: tuple[Direction, ...] = Field(min_length=1)
    data: tuple[TrainingData, ...] = Field(min_length=1)


def read_terms(card: Path) -> Terms:
    """The head of a model card.

    Raises:
        ConfigError: it has none, or one that is not understood.
    """
    _, *parts = card.read_text(encoding="utf-8").split(_FENCE, 2)
    try:
        return Terms.model_validate(yaml.safe_load(parts[0]) if len(parts) == 2 else None)
    except (ValidationError, yaml.YAMLError) as error:
        raise ConfigError(
            "the head of the model card is not understood",
            where=card,
            measured=" ".join(str(error).split()),
            remedy="Begin it with licence, directions and data between two lines of ---",
        ) from error


def ship(run: Path | str, card: Path) -> Path:
    """Write the model of a run beside its model card, with the card's terms in it.

    Args:
        run: run folder or model file; its configuration is called as the card is.
        card: ``NAME.md``.

    Returns:
        ``NAME.safetensors``; the same run gives the same bytes.

    Raises:
        ModelError: another run, one without a direction of the card, or a file that is too large.
        ConfigError: as ``read_terms``.
    """
    terms = read_terms(card)
    model = Model.load(run)
    trained = str(model.card.provenance.get("name", ""))
    if card.suffix != CARD_SUFFIX or trained.replace("_", "-") != card.stem:
        raise ModelError(
            "the model card is of another training",
            where=card,
            measured=trained,
            limit=card.stem.replace("-", "_"),
        )
    networks = {way: model.generator(way) for way in terms.directions}
    provenance: dict[str, Any] = model.card.provenance | {
        "data": [entry.model_dump() for entry in terms.data]
    }
    changed = {
        "licence": terms.licence,
        "directions": terms.directions,
        "provenance": provenance,
    }
    # measured before it is written: nothing too large may take the place of a good one
    weights = [tensor for network in networks.values() for tensor in network.state_dict().values()]
    size = sum(tensor.numel() * tensor.element_size() for tensor in weights)
    if size > LIMIT_BYTES:
        raise ModelError(
            "the model is too large to come with medgan",
            where=run,
            measured=f"{size / 1e6:.1f} MB",
            limit=f"{LIMIT_BYTES / 1e6:g} MB",
            remedy="Train a network of smaller width, or ship one direction",
        )
    path = card.with_suffix(SUFFIX)
    save_model(
        path,
        networks.get("forward"),
        networks.get("backward"),
        model.card.model_copy(update=changed),
    )
    return path


if __name__ == "__main__":
    ship(sys.argv[1], Path(sys.argv[2]))
