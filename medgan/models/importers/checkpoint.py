"""A checkpoint of torch, read without running anything that it may hold."""

import warnings
from pathlib import Path
from typing import Any
from zipfile import ZipFile, is_zipfile

import torch
from torch import Tensor

from medgan.errors import ModelError

_SHOWN = 8


def read_state(path: Path) -> dict[str, Tensor]:
    """Read a state dict as published: a ``.pth`` of a mapping of names to tensors.

    Args:
        path: written by any version of torch; tensors on any device.

    Returns:
        Tensors in float32 on the CPU, by their names without the ``module.`` of parallel training;
        the counters of batch norm are left out.

    Raises:
        ModelError: missing, damaged, of another kind, with code, too large, or not finite.
    """
    if not path.is_file():
        raise ModelError("no such file", where=path)
    size = path.stat().st_size
    _require_uncompressed(path, size)
    try:
        with warnings.catch_warnings():
            # of formats that torch does not expect; what counts is whether it can read them
            warnings.simplefilter("ignore")
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # whatever the bytes make the reader raise; its own text advises to run the code
        raise ModelError(
            "not a checkpoint of tensors alone: damaged, of another kind, or with code, which is "
            "never run",
            where=path,
            measured=type(error).__name__,
            remedy="Save the generator's state_dict() with torch.save",
        ) from error
    tensors = _tensors(state, path)
    held = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    if held > size:
        raise ModelError(
            "the tensors are larger than the file",
            where=path,
            measured=f"{held} bytes",
            limit=f"{size} bytes",
        )
    bad = [name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()]
    if bad:
        raise ModelError("tensors with values that are not finite", where=path, measured=shown(bad))
    parallel = all(name.startswith("module.") for name in tensors)
    return {
        name.removeprefix("module.") if parallel else name: tensor.detach().float().contiguous()
        for name, tensor in tensors.items()
    }


def shown(names: list[str], between: str = ", ") -> str:
    """The first of some names, for a message."""
    more = ["..."] * (len(names) > _SHOWN)
    return between.join(sorted(names)[:_SHOWN] + more)


def _require_uncompressed(path: Path, size: int) -> None:
    """Refuse an archive that grows when it is read: torch writes what it holds as it is."""
    try:
        if not is_zipfile(path):
            return
        with ZipFile(path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
    except Exception as error:
        # as above: anything, for a damaged archive
        raise ModelError("damaged file", where=path, measured=type(error).__name__) from error
    if unpacked > size:
        raise ModelError(
            "a compressed archive, which torch does not write",
            where=path,
            measured=f"{unpacked} bytes unpacked",
            limit=f"{size} bytes",
        )


def _tensors(state: Any, path: Path) -> dict[str, Tensor]:
    named = isinstance(state, dict) and state and all(isinstance(name, str) for name in state)
    other = [n for n, value in state.items() if not isinstance(value, Tensor)] if named else []
    if not named or other:
        raise ModelError(
            "not a mapping of names to tensors",
            where=path,
            measured=shown(other) or type(state).__name__,
            remedy="Save the generator's state_dict() alone with torch.save",
        )
    tensors = {n: tensor for n, tensor in state.items() if not n.endswith("num_batches_tracked")}
    bad = [name for name, tensor in tensors.items() if not _is_plain(tensor)]
    if bad:
        raise ModelError("tensors that are not of real numbers", where=path, measured=shown(bad))
    return tensors


def _is_plain(tensor: Tensor) -> bool:
    return (
        tensor.is_floating_point()
        and tensor.layout == torch.strided
        and tensor.device.type == "cpu"
    )
