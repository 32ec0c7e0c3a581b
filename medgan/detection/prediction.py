"""A whole scan through the network: tiles, peaks, and one mark where several say the same."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from medgan.data.samples import Mask
from medgan.detection.config import COARSEST_STRIDE, DetectorConfig, PredictionConfig
from medgan.detection.marks import Mark
from medgan.detection.network import HeatmapNetwork
from medgan.detection.prepared import Prepared, scaled, window_of
from medgan.detection.targets import voxel_position
from medgan.io.luna16 import to_world
from medgan.metrics.detection import MAX_MARKS

LARGEST_MM = 100.0
"""Diameters are not believed beyond it."""


@dataclass(frozen=True, eq=False)
class Heatmap:
    """What the network says of a whole scan; (X, Y, Z) are cells.

    Attributes:
        probability: (X, Y, Z) float32, 0 where no tile was looked at.
        offset: (3, X, Y, Z) float32, in cells.
        log_diameter: (X, Y, Z) float32, of mm.
    """

    probability: NDArray[np.float32]
    offset: NDArray[np.float32]
    log_diameter: NDArray[np.float32]


@dataclass(frozen=True)
class _Span:
    """One tile along one axis, in voxels: what it sees, and what it answers for."""

    start: int
    size: int
    own: slice


def find_marks(network: HeatmapNetwork, image: Prepared, config: DetectorConfig) -> list[Mark]:
    """Look for nodules in a prepared scan.

    Args:
        network: in the state it is to be used in (``eval``).
        image: the scan.
        config: of the detector.

    Returns:
        The surest marks, at most `MAX_MARKS`, the surest first.
    """
    settings = config.prediction
    heatmap = scan_heatmap(network, image, config)
    cells = peaks(heatmap.probability, settings.threshold)
    at = tuple(cells.T)
    voxels = voxel_position(cells.astype(np.float64) + heatmap.offset[:, *at].T, network.stride)
    kept = _inside(voxels, image.region)
    position = to_world(image.grid, voxels)[kept]
    probability = heatmap.probability[at][kept]
    diameter = np.exp(heatmap.log_diameter[at][kept].clip(0, np.log(LARGEST_MM)))
    best = suppress(position, probability, diameter, settings)[:MAX_MARKS]
    return [
        Mark((float(x), float(y), float(z)), float(probability[i]), float(diameter[i]))
        for i, (x, y, z) in zip(best, position[best], strict=True)
    ]


@torch.inference_mode()
def scan_heatmap(network: HeatmapNetwork, image: Prepared, config: DetectorConfig) -> Heatmap:
    """Run the network over a scan, tile by tile.

    Tiles begin at multiples of the coarsest stride, so that every cell sees what it would see of
    the whole scan, except for what lies beyond the halo. Tiles that answer for nothing of the
    scan's region are left out.

    Args:
        network: the network.
        image: the scan.
        config: of the detector.
    """
    stride, settings = network.stride, config.prediction
    shape = [size + (-size) % COARSEST_STRIDE for size in image.hu.shape]
    cells = [size // stride for size in shape]
    made = Heatmap(
        np.zeros(cells, np.float32), np.zeros((3, *cells), np.float32), np.zeros(cells, np.float32)
    )
    device = next(network.parameters()).device
    bf16 = config.training.precision == "bf16"
    for spans in product(*(list(_spans(size, settings)) for size in shape)):
        if not image.region[tuple(span.own for span in spans)].any():
            continue
        start = np.array([span.start for span in spans])
        tile = scaled(window_of(image.hu, start, [span.size for span in spans]), config.input)
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            said = _said(network, torch.from_numpy(tile)[None, None].to(device), settings)
        here = tuple(slice(s.own.start // stride, s.own.stop // stride) for s in spans)
        there = tuple(
            slice((s.own.start - s.start) // stride, (s.own.stop - s.start) // stride)
            for s in spans
        )
        made.probability[here] = said.probability[there]
        made.offset[:, *here] = said.offset[:, *there]
        made.log_diameter[here] = said.log_diameter[there]
    return made


def _said(network: HeatmapNetwork, image: Tensor, settings: PredictionConfig) -> Heatmap:
    """Of one (1, 1, X, Y, Z) tile; where that is asked for, with its mirror image's."""
    maps = network(image)
    parts = [maps.logit.sigmoid(), maps.offset, maps.log_diameter]
    if settings.mirrored:
        maps = network(image.flip(2))
        offset = maps.offset * maps.offset.new_tensor((-1, 1, 1)).reshape(3, 1, 1, 1)
        mirrored = maps.logit.sigmoid().flip(1), offset.flip(2), maps.log_diameter.flip(1)
        parts = [(one + other) / 2 for one, other in zip(parts, mirrored, strict=True)]
    return Heatmap(*(part[0].float().cpu().numpy() for part in parts))


def _spans(length: int, settings: PredictionConfig) -> Iterator[_Span]:
    """Tiles along an axis whose length is a multiple of the coarsest stride."""
    tile, halo = settings.tile, settings.halo
    if length <= tile:
        yield _Span(0, length, slice(0, length))
        return
    begin = 0
    while begin < length:
        start = min(max(0, begin - halo), length - tile)
        end = length if start + tile == length else start + tile - halo
        yield _Span(start, tile, slice(begin, end))
        begin = end


def peaks(probability: NDArray[np.float32], threshold: float) -> NDArray[np.int64]:
    """Cells that no neighbour exceeds, of 26 each.

    Args:
        probability: (X, Y, Z).
        threshold: least value of a peak; 0 is never one.

    Returns:
        (n, 3) cell indices, ascending.
    """
    greatest = ndimage.maximum_filter(probability, 3, mode="constant")
    peak = (probability == greatest) & (probability >= threshold) & (probability > 0)
    return np.argwhere(peak)


def suppress(
    position_mm: NDArray[np.float64],
    probability: NDArray[np.float32],
    diameter_mm: NDArray[np.float64],
    settings: PredictionConfig,
) -> NDArray[np.int64]:
    """Non-maximum suppression by distance.

    Args:
        position_mm: (n, 3).
        probability: (n,).
        diameter_mm: (n,).
        settings: the least distance.

    Returns:
        Indices of the marks that stay, the surest first; equally sure ones in their order.
    """
    reach = np.maximum(settings.separation_mm, diameter_mm / 2)
    left = np.argsort(-probability, kind="stable")
    kept = []
    while len(left):
        best, left = left[0], left[1:]
        kept.append(best)
        distance = np.linalg.norm(position_mm[left] - position_mm[best], axis=1)
        left = left[distance >= reach[best]]
    return np.array(kept, np.int64)


def _inside(voxels: NDArray[np.float64], region: Mask) -> NDArray[np.bool_]:
    index = np.round(voxels).astype(np.int64)
    within = ((index >= 0) & (index < region.shape)).all(1)
    inside = np.zeros(len(voxels), np.bool_)
    inside[within] = region[tuple(index[within].T)]
    return inside
