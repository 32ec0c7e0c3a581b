"""What an exported network is tried on: slices or patches of a prepared volume, in two sizes."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from medgan.config import Domain
from medgan.data.preparation import prepare
from medgan.data.samples import Image
from medgan.models.model_file import ModelCard
from medgan.networks import SIZE_MULTIPLE
from medgan.networks.conditioning import DEPTH_UNIT_MM
from medgan.networks.tensor_generator import input_names
from medgan.phantoms.scan import scan_head
from medgan.volumes import Volume

Inputs = Mapping[str, Image]
"""Arrays by the names of ``TensorGenerator``'s inputs."""

_BATCHES = (2, 1)
"""Slices or patches in the first size and in the second: the batch is dynamic, too."""

_WIDER = (8, 16)
"""Voxels by which the second size of slices exceeds the first."""


def phantom(card: ModelCard, modality: Domain) -> Volume:
    """The head that is used where no volume is given; in MR for a model of pictures."""
    head = scan_head(1, spacing_mm=card.preparation.spacing_mm, supersample=1)
    return head.ct if modality == "CT" else head.mr


def probes(card: ModelCard, channels: int, volume: Volume) -> Iterator[Inputs]:
    """Two batches of different sizes, such as the network meets in use.

    Args:
        card: of the model.
        channels: image channels that the network reads; each is given the same image.
        volume: a scan, on any grid.

    Yields:
        The inputs of the network: float32, (B, C, *S), the depth (B,).

    Raises:
        DataError: there is no body in the volume.
    """
    prepared = prepare(volume, card.preparation)
    scaled = prepared.scaled()
    inside = np.flatnonzero(prepared.mask.any(axis=(0, 1)))
    cut = _slices if card.network.spatial_dims == 2 else _patches
    for size, count in zip(_sizes(card, scaled.shape), _BATCHES, strict=True):
        chosen, images = cut(scaled, inside, size, count, card.network.neighbours)
        images = images.repeat(channels, axis=1)
        image = images[:, :channels]
        told = {
            "image": image,
            "neighbours": images[:, channels:],
            "depth": (scaled.shape[2] - chosen) * card.preparation.spacing_mm[2] / DEPTH_UNIT_MM,
            # both values that a map of what is wanted may have
            "condition": np.where(image[:, :1] > 0, 1, -1).repeat(card.network.conditions, axis=1),
        }
        yield {
            name: np.ascontiguousarray(told[name], np.float32) for name in input_names(card.network)
        }


def _sizes(card: ModelCard, shape: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Slices as large as in use, and larger; patches as large as in use, and smaller."""
    if card.network.spatial_dims == 2:
        least = [max(pair) for pair in zip(shape[:2], card.preparation.matrix, strict=True)]
        first = tuple(size + (-size) % SIZE_MULTIPLE for size in least)
        return first, tuple(size + more for size, more in zip(first, _WIDER, strict=True))
    x, y, z = card.preparation.patch
    return (x, y, z), (x // 2 // SIZE_MULTIPLE * SIZE_MULTIPLE, y, z)


def _slices(
    scaled: Image, inside: NDArray[np.intp], size: tuple[int, ...], count: int, neighbours: int
) -> tuple[NDArray[np.intp], Image]:
    """Numbers of some slices, and (B, 1 + N, X, Y): each of them, then those beside it."""
    whole = _padded(scaled, (*size, scaled.shape[2]))
    chosen = inside[np.linspace(0, len(inside) - 1, count + 2).astype(int)[1:-1]]
    half, last = neighbours // 2, whole.shape[2] - 1
    offsets = [0, *(offset for offset in range(-half, half + 1) if offset)]
    images = [whole[:, :, (chosen + offset).clip(0, last)] for offset in offsets]
    return chosen, np.stack(images).transpose(3, 0, 1, 2)


def _patches(
    scaled: Image, inside: NDArray[np.intp], size: tuple[int, ...], count: int, _neighbours: int
) -> tuple[NDArray[np.intp], Image]:
    """Slices in the middle of some patches, and (B, 1, X, Y, Z)."""
    whole = _padded(scaled, size)
    free = [have - want for have, want in zip(whole.shape, size, strict=True)]
    starts = np.linspace(0, free[2], count).astype(int)
    x, y = (slice(k // 2, k // 2 + want) for k, want in zip(free[:2], size[:2], strict=True))
    patches = [whole[x, y, start : start + size[2]] for start in starts]
    return starts + size[2] // 2, np.stack(patches)[:, None]


def _padded(scaled: Image, size: Sequence[int]) -> Image:
    """A volume with air around it, at least so large."""
    extra = [max(0, want - have) for have, want in zip(scaled.shape, size, strict=True)]
    return np.pad(scaled, [(e // 2, e - e // 2) for e in extra], constant_values=-1.0)
