"""Both generators of a published model, from one file or two."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from medgan.config import NetworkConfig
from medgan.errors import ConfigError, ModelError
from medgan.io.files import content_sha256
from medgan.models.importers.checkpoint import read_state
from medgan.models.importers.detect import Family, read_generator
from medgan.models.importers.published import PublishedGenerator, require_fit
from medgan.models.model_file import Direction
from medgan.networks.build import build_generators

_NAMED = re.compile(r"(?:^|_)(?:net_?)?G_(A2B|B2A|A|B)$")
_DIRECTION: dict[str, Direction] = {
    "A": "forward", "A2B": "forward", "B": "backward", "B2A": "backward",
}  # fmt: skip


@dataclass(frozen=True)
class Imported:
    """What published files hold.

    Attributes:
        family: code that it was trained with, e.g. "AttentionGAN".
        licence: of that code.
        network: architecture of both generators, ``channels`` of domain A and domain B.
        forward: tensors of the generator from A to B, by medgan's names; None: not given.
        backward: the same from B to A.
        sha256: of each file, by its direction.
        notes: what was left out or added, for people.
    """

    family: str
    licence: str
    network: NetworkConfig
    forward: dict[str, Tensor] | None
    backward: dict[str, Tensor] | None
    sha256: dict[Direction, str]
    notes: tuple[str, ...]

    @property
    def directions(self) -> tuple[Direction, ...]:
        """Those for which there is a generator."""
        states: tuple[tuple[Direction, object], ...] = (
            ("forward", self.forward), ("backward", self.backward),
        )  # fmt: skip
        return tuple(direction for direction, state in states if state is not None)


def read_published(paths: Sequence[Path], family: Family | None = None) -> Imported:
    """Read one generator or both of a published model.

    Which one a file holds is told by its name (``..._net_G_A.pth`` and ``netG_A2B.pth`` translate
    domain A to B, ``..._net_G_B.pth`` and ``netG_B2A.pth`` back), else by the order.

    Args:
        paths: one or two files, in any order where their names tell.
        family: see ``read_generator``.

    Raises:
        ConfigError: not one or two files, two of one direction, or a family without need.
        ModelError: a file that cannot be read, of no known family, or two that do not belong
            together.
    """
    placed = _placed(paths)
    files = {way: read_state(path) for way, path in placed.items()}
    read = {way: read_generator(files[way], path, family) for way, path in placed.items()}
    networks = {way: _from_A_to_B(generator, way) for way, generator in read.items()}
    first = next(iter(read.values()))
    network = next(iter(networks.values()))
    if len(read) == 2:
        _require_one_kind(read["forward"], read["backward"], networks)
    # without memory of its own, so that shapes are compared before anything is allocated
    with torch.device("meta"):
        built = dict(zip(("forward", "backward"), build_generators(network), strict=True))
    for way, generator in read.items():
        require_fit(generator, files[way], built[way].state_dict(), placed[way])
    return Imported(
        first.family,
        first.licence,
        network,
        read["forward"].state if "forward" in read else None,
        read["backward"].state if "backward" in read else None,
        {way: content_sha256(path) for way, path in placed.items()},
        first.notes,
    )


def _placed(paths: Sequence[Path]) -> dict[Direction, Path]:
    """Files by direction, forward first."""
    if len(paths) not in (1, 2):
        raise ConfigError("a model is one file or two", measured=f"{len(paths)} files")
    named = [_NAMED.search(path.stem) for path in paths]
    told = [_DIRECTION[match[1]] if match else None for match in named]
    free: list[Direction] = [way for way in ("forward", "backward") if way not in told]
    placed = {way or free.pop(0): path for way, path in zip(told, paths, strict=True)}
    if len(placed) < len(paths):
        raise ConfigError(
            "both files are called as generators of one direction",
            measured=", ".join(path.name for path in paths),
            remedy="Give ..._net_G_A.pth and ..._net_G_B.pth of one training",
        )
    return dict(sorted(placed.items(), reverse=True))


def _from_A_to_B(generator: PublishedGenerator, direction: Direction) -> NetworkConfig:
    read, written = generator.network.channels
    channels = (read, written) if direction == "forward" else (written, read)
    return generator.network.model_copy(update={"channels": channels})


def _require_one_kind(
    forward: PublishedGenerator,
    backward: PublishedGenerator,
    networks: dict[Direction, NetworkConfig],
) -> None:
    one, other = (networks[way].model_dump() for way in ("forward", "backward"))
    differing = [f"{key} {one[key]} and {other[key]}" for key in one if one[key] != other[key]]
    if forward.family != backward.family:
        differing.insert(0, f"{forward.family} and {backward.family}")
    if differing:
        raise ModelError(
            "the two files are not of one model",
            measured="; ".join(differing),
            remedy="Give both generators of one training",
        )
