"""The models that come with medgan: what there is, found without loading torch.

Each is a model file ``builtin/<name>.safetensors`` with its model card ``<name>.md`` beside it.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from medgan.errors import ModelError

FOLDER = Path(__file__).with_name("builtin")
HEADER = "medgan"
"""Key of the JSON document in the metadata of medgan's safetensors files."""

SUFFIX = ".safetensors"
CARD_SUFFIX = ".md"


@dataclass(frozen=True)
class BuiltInModel:
    """A model that comes with medgan.

    Attributes:
        name: what it is called on the command line.
        path: the model file.
        size_bytes: of the file.
        source: modality that is read forward.
        target: modality that is written forward.
        directions: "forward", "backward" or both.
        licence: of the weights.
    """

    name: str
    path: Path
    size_bytes: int
    source: str
    target: str
    directions: tuple[str, ...]
    licence: str

    def __str__(self) -> str:
        """One line for people."""
        ways = " and ".join(self.directions)
        return (
            f"{self.name}: {self.source} to {self.target}, {ways}, "
            f"{self.size_bytes / 1e6:.1f} MB, licence {self.licence}"
        )


def builtin_names() -> tuple[str, ...]:
    """The names of all built-in models, sorted."""
    return tuple(sorted(path.stem for path in FOLDER.glob(f"*{SUFFIX}")))


def builtin_file(name: str) -> Path | None:
    """The model file of a name; None where no built-in model is called so."""
    return FOLDER / f"{name}{SUFFIX}" if name in builtin_names() else None


def builtin_models() -> tuple[BuiltInModel, ...]:
    """All built-in models, by name.

    Raises:
        ModelError: the file of one is damaged.
    """
    return tuple(_described(FOLDER / f"{name}{SUFFIX}") for name in builtin_names())


def _described(path: Path) -> BuiltInModel:
    try:
        with safe_open(path, "numpy") as file:
            card = json.loads((file.metadata() or {})[HEADER])
        return BuiltInModel(
            name=path.stem,
            path=path,
            size_bytes=path.stat().st_size,
            source=card["source"],
            target=card["target"],
            directions=tuple(card["directions"]),
            licence=card["licence"],
        )
    except (SafetensorError, OSError, KeyError, json.JSONDecodeError) as error:
        raise ModelError(
            "the built-in model is damaged", where=path, remedy="Install medgan again"
        ) from error
