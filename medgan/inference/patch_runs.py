"""A volume through a network of 3-D patches that overlap and fade into each other."""

import math
from collections.abc import Sequence
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray

from medgan.data.depth import VertexFrame
from medgan.inference.engine import Engine, Maps
from medgan.networks import SIZE_MULTIPLE, Context
from medgan.networks.conditioning import DEPTH_UNIT_MM

OVERLAP = 0.5
"""Share of a patch that the next one along an axis covers, too, give or take two voxels."""


def translate_patches(
    engine: Engine,
    images: NDArray[np.float32],
    body: NDArray[np.bool_],
    frame: VertexFrame,
    *,
    details: bool,
    overlap: float = OVERLAP,
) -> Maps:
    """Translate a prepared volume patch by patch.

    Instance norm makes patches disagree. Each is weighted by a Hann window, which falls to nothing
    at its faces, so that none of them ends anywhere in the result; and all begin at multiples of
    the network's stride, or its convolutions would fall between each other's: on phantoms that
    alone was a third of the disagreement.

    Args:
        engine: a network of three dimensions; its least size is that of the patches.
        images: (C, X, Y, Z) in [-1, 1].
        body: (X, Y, Z) bool; patches without any are left out.
        frame: where the vertex is.
        details: also return what explains the result.
        overlap: see ``OVERLAP``.
    """
    shape = _whole_strides(body.shape)
    sides = [(0, want - have) for want, have in zip(shape, body.shape, strict=True)]
    images = np.pad(images, [(0, 0), *sides], constant_values=-1.0)
    inside = np.pad(body, sides)
    sizes = _sizes(shape, engine.least)
    windows = [
        [slice(start, start + size) for start in patch_starts(length, size, overlap)]
        for length, size in zip(shape, sizes, strict=True)
    ]
    weight = _hann(sizes)
    maps = engine.air(shape, details=details)
    sums, total = np.zeros_like(maps), np.zeros(shape, np.float32)
    for window in product(*windows):
        if not inside[window].any():
            continue
        patch = np.ascontiguousarray(images[(slice(None), *window)])[None]
        made = engine(patch, _context(engine, frame, window[2]), details=details)[0]
        sums[(slice(None), *window)] += made * weight
        total[window] += weight
    covered = total > 0
    maps[:, covered] = sums[:, covered] / total[covered]
    x, y, z = body.shape
    return maps[:, :x, :y, :z]


def patch_starts(length: int, size: int, overlap: float = OVERLAP) -> list[int]:
    """First voxels of the patches along an axis, spread evenly from its first voxel to its last.

    Args:
        length: of the axis, a multiple of 4.
        size: of the patches, a multiple of 4 and at most ``length``.
        overlap: share of a patch that the next one covers, too.

    Returns:
        Multiples of 4, ascending.
    """
    count = 1 + math.ceil((length - size) / (size * (1 - overlap)))
    strides = np.linspace(0, (length - size) // SIZE_MULTIPLE, count)
    return [SIZE_MULTIPLE * round(start) for start in strides]


def patch_borders(
    shape: Sequence[int], patch: Sequence[int], overlap: float = OVERLAP
) -> list[list[int]]:
    """Where patches begin and end inside a volume.

    Returns:
        For each axis the indices of the first voxel after each border, ascending.
    """
    borders = []
    padded = _whole_strides(shape)
    for have, length, size in zip(shape, padded, _sizes(padded, patch), strict=True):
        starts = patch_starts(length, size, overlap)
        ends = (start + size for start in starts)
        borders.append(sorted({edge for edge in (*starts, *ends) if 0 < edge < have}))
    return borders


def _whole_strides(shape: Sequence[int]) -> tuple[int, ...]:
    """A shape with every size raised to a multiple of the network's stride."""
    return tuple(size + (-size) % SIZE_MULTIPLE for size in shape)


def _sizes(shape: Sequence[int], patch: Sequence[int]) -> list[int]:
    """The size of the patches, or of the volume where it is smaller than they are."""
    return [min(pair) for pair in zip(shape, patch, strict=True)]


def _hann(sizes: Sequence[int]) -> NDArray[np.float32]:
    """Weights of a patch's voxels, positive everywhere; at half an overlap they sum to 1."""
    x, y, z = (np.sin(np.pi * (np.arange(size) + 0.5) / size) ** 2 for size in sizes)
    return (x[:, None, None] * y[:, None] * z).astype(np.float32)


def _context(engine: Engine, frame: VertexFrame, along_z: slice) -> Context:
    """What the network is told about a patch, as in training: the depth of its middle."""
    depth = frame.known_depth_mm((along_z.start + along_z.stop - 1) / 2)
    if depth is None or not engine.network.position:
        return Context()
    return Context(depth=torch.tensor([depth / DEPTH_UNIT_MM]))
