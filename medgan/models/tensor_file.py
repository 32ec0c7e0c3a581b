"""Named tensors and a JSON document in one safetensors file: no pickle, one rename."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from medgan.errors import ModelError
from medgan.io.files import writing
from medgan.models.catalogue import HEADER

Card = TypeVar("Card", bound=BaseModel)


@dataclass(frozen=True)
class TensorFile:
    """Tensors by dotted name, and a JSON document about them."""

    tensors: dict[str, Tensor]
    document: dict[str, Any]

    def under(self, prefix: str) -> dict[str, Tensor]:
        """The tensors whose names begin with ``prefix.``, without it."""
        start = f"{prefix}."
        return {n.removeprefix(start): t for n, t in self.tensors.items() if n.startswith(start)}


def prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors with ``prefix.`` before their names; undone by ``TensorFile.under``."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def save_tensors(path: Path, tensors: Mapping[str, Tensor], document: Mapping[str, Any]) -> None:
    """Write a tensor file atomically.

    Raises:
        OutputError: the disk is full or not writable; an older file stays as it was.
    """
    owned = {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}
    # as bytes, because save_file hides the system's error when the disk is full
    content = save(owned, {HEADER: json.dumps(document)})
    with writing(path) as temporary:
        temporary.write_bytes(content)


def load_tensors(path: Path) -> TensorFile:
    """Read a tensor file.

    Raises:
        ModelError: missing, damaged, or not written by medgan.
    """
    if not path.is_file():
        raise ModelError("no such file", where=path)
    try:
        with safe_open(path, "pt") as file:
            header = (file.metadata() or {}).get(HEADER)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if header is None:
            raise ModelError("a safetensors file, but not one of medgan's", where=path)
        return TensorFile(tensors, json.loads(header))
    except (SafetensorError, OSError, json.JSONDecodeError) as error:
        raise ModelError(
            "damaged file, or none of a model",
            where=path,
            measured=str(error),
            remedy="Name a model's .safetensors file or its run folder, or copy it anew",
        ) from error


def read_card(file: TensorFile, kind: type[Card], what: str, *, where: Path) -> Card:
    """The document of a tensor file as what it should be.

    Args:
        file: the tensor file.
        kind: of the card.
        what: the file should be, for the message, e.g. "a model file".
        where: it lies.

    Raises:
        ModelError: it is something else.
    """
    try:
        return kind.model_validate(file.document)
    except ValidationError as error:
        raise ModelError(
            f"not {what}, or of another version of medgan: {error.errors()[0]['msg']}", where=where
        ) from error


def load_weights(module: torch.nn.Module, tensors: Mapping[str, Tensor], *, where: object) -> None:
    """Load a state dict that must fit exactly.

    Raises:
        ModelError: names or shapes differ; every difference is named.
    """
    own = module.state_dict()
    faults = [f"{name} is missing" for name in own.keys() - tensors.keys()]
    faults += [f"{name} is not expected" for name in tensors.keys() - own.keys()]
    faults += [
        f"{name} has shape {tuple(tensors[name].shape)}, not {tuple(own[name].shape)}"
        for name in own.keys() & tensors.keys()
        if own[name].shape != tensors[name].shape
    ]
    if faults:
        shown = "; ".join(sorted(faults)[:8]) + ("; ..." if len(faults) > 8 else "")
        raise ModelError(
            f"belongs to another architecture, {len(faults)} tensors differ: {shown}",
            where=where,
            remedy="Use the configuration that the file was trained with",
        )
    module.load_state_dict(dict(tensors))
