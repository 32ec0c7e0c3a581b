"""A volume through a network of slices, one plane at a time."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from medgan.config import Plane
from medgan.data.depth import VertexFrame
from medgan.data.planes import SLICE_AXES
from medgan.inference.engine import Engine, Maps
from medgan.networks import Context
from medgan.networks.conditioning import DEPTH_UNIT_MM

Images = NDArray[np.float32]

AT_ONCE = 2
"""Passes at once on a processor; each needs memory of its own."""

T = TypeVar("T")


def translate_slices(
    engine: Engine,
    images: Images,
    body: NDArray[np.bool_],
    frame: VertexFrame,
    plane: Plane,
    *,
    batch: int,
    details: bool,
) -> Maps:
    """Translate a prepared volume slice by slice.

    Whole slices, not tiles: instance norm takes its statistics from what it sees, and tiles would
    disagree with each other by about a quarter of the output's spread.

    Args:
        engine: a network of two dimensions.
        images: (C, X, Y, Z) in [-1, 1].
        body: (X, Y, Z) bool; slices without any stay air.
        frame: where the vertex is.
        plane: of the slices.
        batch: slices a pass.
        details: also return what explains the result.
    """
    # views whose last axis is the slices' normal; each order of axes is its own inverse
    axes = SLICE_AXES[plane]
    order = (0, *(1 + axis for axis in axes))
    views, inside = images.transpose(order), body.transpose(axes)
    maps = engine.air(inside.shape, details=details)
    # outside the body the result is background by definition, so empty slices need no pass
    slices = np.flatnonzero(inside.any(axis=(0, 1)))
    parts = [slices[start : start + batch] for start in range(0, len(slices), batch)]

    def translate(chosen: NDArray[np.intp]) -> None:
        context = _context(engine, views, frame, chosen)
        made = engine(_taken(views, chosen), context, details=details)
        maps[..., chosen] = made.transpose(1, 2, 3, 0)

    if engine.device == "cpu":
        _each_in_threads(translate, parts)
    else:
        for chosen in parts:
            translate(chosen)
    return maps.transpose(order)


def _each_in_threads(work: Callable[[T], None], parts: Iterable[T]) -> None:
    """Do several parts at once, each with its share of torch's threads.

    Threads that share one slice wait for each other after every layer; in bf16 that is a tenth of
    the time.
    """
    threads = torch.get_num_threads()
    at_once = min(AT_ONCE, threads)
    pool = ThreadPoolExecutor(
        at_once, initializer=torch.set_num_threads, initargs=(threads // at_once,)
    )
    try:
        for _ in pool.map(work, parts):
            pass
    finally:
        pool.shutdown(cancel_futures=True)
        # threads that begin later take the last number that was set
        torch.set_num_threads(threads)


def _taken(views: Images, chosen: NDArray[np.intp]) -> Images:
    """Some slices of (C, X, Y, N) as a batch (B, C, X, Y)."""
    return np.ascontiguousarray(views[..., chosen].transpose(3, 0, 1, 2))


def _context(
    engine: Engine, views: Images, frame: VertexFrame, chosen: NDArray[np.intp]
) -> Context:
    """What the network is told about some slices, as in training."""
    network, last = engine.network, views.shape[3] - 1
    neighbours = depth = None
    if network.neighbours:
        half = network.neighbours // 2
        beside = [
            _taken(views, (chosen + offset).clip(0, last))
            for offset in range(-half, half + 1)
            if offset
        ]
        neighbours = torch.from_numpy(np.concatenate(beside, axis=1))
    if network.position and frame.has_vertex:
        depth = torch.tensor((frame.vertex - chosen) * frame.slice_mm / DEPTH_UNIT_MM).float()
    return Context(neighbours, depth)
