"""Training samples from phantoms: a library of label slices, rendered anew for every sample."""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Self

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from medgan.config import PhantomConfig, PreparationConfig
from medgan.data.cache import default_cache_dir
from medgan.io.files import writing
from medgan.phantoms.anatomy import HeadAnatomy
from medgan.phantoms.randomised import render_slice
from medgan.volumes.intensity import PercentileScale, WindowScale

FINE_MM = 1.0
FINE_SIZE = 256
HEIGHT_MM = (-105.0, 100.0)
"""Range of slice positions about the head's centre, from the upper neck to above the vertex."""

MAX_TILT_DEGREES = (12.0, 6.0)
"""Largest pitch and roll of a slice against the head."""

MIN_BODY_SHARE = 0.03
PHANTOM_STREAM = 5
FIRST_TRAINING_SEED, FIRST_VALIDATION_SEED = 10_000, 20_000
CT_NOISE_HU = 25.0


@dataclass(frozen=True)
class PhantomSample:
    """One slice with exact truth, each (X, Y) float32 in [-1, 1]; ``body`` is bool.

    Attributes:
        mr: in a random contrast, resolution, bias and noise.
        ct: what it should become.
        noisy_ct: the same slice as a scanner might give it.
        standard_mr: the same slice in the standard contrast, without noise or bias.
        body: the head.
    """

    mr: NDArray[np.float32]
    ct: NDArray[np.float32]
    noisy_ct: NDArray[np.float32]
    standard_mr: NDArray[np.float32]
    body: NDArray[np.bool_]


class PhantomSlices:
    """Draws rendered samples from a library of label slices.

    Args:
        labels: (N, 256, 256) uint8 label slices at 1 mm.
        contrast: "t1" or "t2", the contrast that is randomised around.
        preparation: grid and scales of the samples.
    """

    def __init__(
        self, labels: NDArray[np.uint8], contrast: str, preparation: PreparationConfig
    ) -> None:
        self.labels = labels
        self.contrast = contrast
        self.preparation = preparation
        self.window = WindowScale(*preparation.window_hu)

    @classmethod
    def training(cls, settings: PhantomConfig, preparation: PreparationConfig) -> Self:
        """The library to train on, made once and kept in the cache."""
        seeds = range(FIRST_TRAINING_SEED, FIRST_TRAINING_SEED + settings.heads)
        return cls(label_library(seeds, settings.slices), settings.contrast, preparation)

    @classmethod
    def validation(cls, settings: PhantomConfig, preparation: PreparationConfig) -> Self:
        """Anatomies that training never sees."""
        seeds = range(FIRST_VALIDATION_SEED, FIRST_VALIDATION_SEED + settings.validation_heads)
        return cls(label_library(seeds, settings.slices), settings.contrast, preparation)

    def draw(self, rng: np.random.Generator) -> PhantomSample:
        """Render one sample, fully determined by ``rng``."""
        fine = self.labels[rng.integers(len(self.labels))]
        if rng.random() < 0.5:
            fine = fine[::-1]
        preparation = self.preparation
        slice_ = render_slice(
            np.asarray(fine),
            rng,
            pixel_mm=FINE_MM,
            out_pixel_mm=preparation.spacing_mm[0],
            out_shape=preparation.matrix,
            contrast=self.contrast,
        )
        noise = rng.normal(0.0, rng.uniform(0.0, CT_NOISE_HU), slice_.ct.shape)
        return PhantomSample(
            mr=self._scaled(slice_.mr, slice_.mask, rng.uniform(0.85, 1.25)),
            ct=self.window.forward(slice_.ct),
            noisy_ct=self.window.forward(np.where(slice_.mask, slice_.ct + noise, slice_.ct)),
            standard_mr=self._scaled(slice_.standard_mr, slice_.mask, 1.0),
            body=slice_.mask,
        )

    def _scaled(
        self, mr: NDArray[np.float32], body: NDArray[np.bool_], gain: float
    ) -> NDArray[np.float32]:
        """As a prepared scan is scaled, air set to -1; ``gain`` for what a slice cannot know."""
        if not body.any():
            return np.full(mr.shape, -1.0, np.float32)
        scale = PercentileScale.fit(mr, body, self.preparation.mr_percentile)
        scaled = PercentileScale(scale.high * gain, scale.percentile).forward(mr)
        return np.where(body, scaled, np.float32(-1.0))


def label_library(seeds: range, slices: int, cache: Path | None = None) -> NDArray[np.uint8]:
    """Label slices of many heads, made once and kept in the cache.

    Args:
        seeds: one head each.
        slices: per head, at random heights and tilts.
        cache: folder; medgan's cache by default.

    Returns:
        (len(seeds) * slices, 256, 256) uint8, read-only, memory-mapped.
    """
    path = (cache or default_cache_dir()) / f"phantoms-{_library_key(seeds, slices)}.npy"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        shape = (len(seeds), slices, FINE_SIZE, FINE_SIZE)
        # threads: NumPy lets go of the interpreter's lock, and forking beside torch can hang
        with writing(path) as temporary, ThreadPoolExecutor(os.cpu_count()) as pool:
            library = open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
            for index, made in enumerate(pool.map(_head_slices, seeds, [slices] * len(seeds))):
                library[index] = made
            library.flush()
    library = np.load(path, mmap_mode="r", allow_pickle=False)
    return library.reshape(-1, FINE_SIZE, FINE_SIZE)


def _library_key(seeds: range, slices: int) -> str:
    """Content address: everything the slices depend on, the phantom's own code included."""
    digest = hashlib.sha256()
    digest.update(repr((seeds, slices, FINE_MM, FINE_SIZE, HEIGHT_MM, MAX_TILT_DEGREES)).encode())
    for source in sorted(files("medgan.phantoms").iterdir(), key=lambda entry: entry.name):
        if source.name.endswith(".py"):
            digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def _head_slices(seed: int, count: int) -> NDArray[np.uint8]:
    """(count, 256, 256) uint8 slices of one head."""
    head = HeadAnatomy(seed)
    rng = np.random.default_rng([seed, PHANTOM_STREAM])
    axis = (np.arange(FINE_SIZE) - (FINE_SIZE - 1) / 2) * FINE_MM
    plane = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    made: list[NDArray[np.uint8]] = []
    while len(made) < count:
        tilt = [rng.uniform(-limit, limit) for limit in MAX_TILT_DEGREES]
        points = np.column_stack([plane, np.zeros(len(plane))])
        points = Rotation.from_euler("xy", tilt, degrees=True).apply(points)
        points[:, 2] += rng.uniform(*HEIGHT_MM)
        labels = head.labels(points.astype(np.float32)).reshape(FINE_SIZE, FINE_SIZE)
        if (labels > 0).mean() >= MIN_BODY_SHARE:
            made.append(labels)
    return np.stack(made)
