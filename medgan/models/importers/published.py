"""A generator as it was published, under medgan's names; and what the importers share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from torch import Tensor

from medgan.config import NetworkConfig
from medgan.errors import ModelError
from medgan.models.importers.checkpoint import shown

ATTENTIONGAN_LICENCE = "CC BY-NC-SA 4.0 (AttentionGAN: non-commercial use only)"

_STATISTICS = ("running_mean", "running_var")


@dataclass(frozen=True)
class PublishedGenerator:
    """One generator of a family.

    Attributes:
        family: code that it was trained with, e.g. "AttentionGAN".
        licence: of that code.
        network: its architecture; ``channels`` are those that it reads and writes.
        state: tensors by the names of medgan's generator.
        published_name: from such a name to the one in the file, whether it is there or not.
        notes: what was left out or added, for people.
    """

    family: str
    licence: str
    network: NetworkConfig
    state: dict[str, Tensor]
    published_name: Callable[[str], str]
    notes: tuple[str, ...] = ()


def require_fit(
    generator: PublishedGenerator,
    file: Mapping[str, Tensor],
    expected: Mapping[str, Tensor],
    where: object,
) -> None:
    """Refuse a generator whose tensors are not those of the architecture that they imply.

    Args:
        generator: as it was read.
        file: the tensors under their authors' names.
        expected: those of medgan's network of that architecture.
        where: file, for the message.

    Raises:
        ModelError: names or shapes differ; the message names the tensors as the file does.
    """
    state, named = generator.state, generator.published_name
    faults = [f"{named(name)} is missing" for name in expected.keys() - state.keys()]
    faults += [f"{named(name)} is not expected" for name in state.keys() - expected.keys()]
    faults += [
        f"{named(name)} has shape {tuple(state[name].shape)}, not {tuple(expected[name].shape)}"
        for name in expected.keys() & state.keys()
        # what the file does not hold was made to fit a tensor that is named itself
        if state[name].shape != expected[name].shape and named(name) in file
    ]
    if faults:
        raise ModelError(
            f"not the tensors of a generator of {generator.family}: {shown(faults, '; ')}",
            where=where,
            measured=f"{len(faults)} that differ",
            remedy="Give the generator's whole state_dict(), as its authors' code saves it",
        )


def kernel(state: Mapping[str, Tensor], name: str, where: object) -> tuple[int, ...]:
    """Shape of a convolution's weights.

    Raises:
        ModelError: not there, or not of a 2-D convolution.
    """
    if name not in state:
        raise ModelError("a tensor is missing", where=where, measured=name)
    shape = tuple(state[name].shape)
    if len(shape) != 4:
        raise ModelError(
            f"{name} is not of a 2-D convolution", where=where, measured=f"shape {shape}"
        )
    return shape


def without_statistics(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without the running statistics that instance norm saved before torch 0.4 and never used."""
    return {n: tensor for n, tensor in state.items() if not n.endswith(_STATISTICS)}


def require_known(unknown: list[str], where: object) -> None:
    """Refuse names that the published network does not have.

    Raises:
        ModelError: there are some.
    """
    if unknown:
        raise ModelError(
            "tensors that the published generator does not have",
            where=where,
            measured=shown(unknown),
        )


def network_config(where: object, **fields: Any) -> NetworkConfig:
    """The architecture that shapes imply.

    Raises:
        ModelError: one that medgan cannot build.
    """
    try:
        return NetworkConfig(**fields)
    except ValidationError as error:
        fault = error.errors()[0]
        key = ".".join(map(str, fault["loc"]))
        raise ModelError(
            f"the shapes imply a network that cannot be: {key}: {fault['msg']}",
            where=where,
            measured=fields.get(key),
        ) from error
