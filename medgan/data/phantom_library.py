"""Labels of phantom heads, made once and kept on disk."""

import hashlib
import logging
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from medgan.io.files import writing
from medgan.io.pace import paced

LABEL_MODULES = (
    "anatomy", "brain", "canvas", "face", "neck", "noise", "shapes", "tissues", "vault",
)  # fmt: skip
"""The modules of medgan.phantoms that the labels depend on."""

FIRST_TRAINING_SEED, FIRST_VALIDATION_SEED = 10_000, 20_000

LOWEST_MM = (-125.0, -40.0)
"""Where a scan ends below, about the head's centre; axial slices do not show it."""

T = TypeVar("T")

_log = logging.getLogger(__name__)


def training_seeds(heads: int) -> range:
    """One anatomy each to train on."""
    return range(FIRST_TRAINING_SEED, FIRST_TRAINING_SEED + heads)


def validation_seeds(heads: int) -> range:
    """One anatomy each that training never sees."""
    return range(FIRST_VALIDATION_SEED, FIRST_VALIDATION_SEED + heads)


def library_key(*facts: object) -> str:
    """Content address: the facts given, and the phantom's own code."""
    digest = hashlib.sha256(repr(facts).encode())
    for name in LABEL_MODULES:
        digest.update((files("medgan.phantoms") / f"{name}.py").read_bytes())
    return digest.hexdigest()[:16]


@contextmanager
def new_array(path: Path, shape: tuple[int, ...]) -> Iterator[NDArray[np.uint8]]:
    """A uint8 array on disk to be filled within the block; there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with writing(path) as temporary:
        array = open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
        yield array
        array.flush()


def of_every_head(make: Callable[[int], T], seeds: range) -> Iterator[T]:
    """What ``make`` makes of every seed, in order, on all cores; the log says how far it is."""
    # threads: NumPy lets go of the interpreter's lock, and forking beside torch can hang
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from paced(pool.map(make, seeds), _log, "phantom head", len(seeds))
