"""Training samples from phantoms: a library of label slices, rendered anew for every sample."""

import hashlib
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Self

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from medgan.config import PhantomConfig, Plane, PreparationConfig
from medgan.data.cache import default_cache_dir
from medgan.data.planes import (
    FINE_MM,
    FINE_SIZE,
    MAX_TILT_DEGREES,
    SLICE_AXES,
    tilted_plane,
)
from medgan.data.scanned_slices import ScannedSlices
from medgan.io.files import writing
from medgan.phantoms.anatomy import HeadAnatomy
from medgan.phantoms.randomised import render_slice
from medgan.volumes.intensity import PercentileScale, WindowScale

OFFSET_MM: dict[Plane, tuple[float, float]] = {
    "axial": (-105.0, 100.0),  # from the upper neck to above the vertex
    "sagittal": (-75.0, 75.0),
    "coronal": (-95.0, 95.0),
}
"""Range of slice positions along the normal about the head's centre."""

LOWEST_MM = (-125.0, -40.0)
"""Where a scan ends below, about the head's centre; slices that are not axial show it."""

LABEL_MODULES = (
    "anatomy", "brain", "canvas", "face", "neck", "noise", "shapes", "tissues", "vault",
)  # fmt: skip
"""The modules of medgan.phantoms that the label slices depend on."""

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
        labels: of every plane (N, 256, 256) uint8 label slices at 1 mm.
        contrast: "t1" or "t2", the contrast that is randomised around.
        preparation: grid and scales of the samples.
        scanned: of every plane, slices of real CT to simulate MR on, besides.
        scanned_share: how often a sample is one of those.
    """

    def __init__(
        self,
        labels: Mapping[Plane, NDArray[np.uint8]],
        contrast: str,
        preparation: PreparationConfig,
        scanned: Mapping[Plane, ScannedSlices] | None = None,
        scanned_share: float = 0.0,
    ) -> None:
        self.labels = labels
        self.contrast = contrast
        self.preparation = preparation
        self.scanned = scanned
        self.scanned_share = scanned_share
        self.window = WindowScale(*preparation.window_hu)

    @classmethod
    def training(
        cls,
        settings: PhantomConfig,
        preparation: PreparationConfig,
        scanned: Mapping[Plane, ScannedSlices] | None = None,
    ) -> Self:
        """The library to train on, made once and kept in the cache, and slices of real CT."""
        seeds = range(FIRST_TRAINING_SEED, FIRST_TRAINING_SEED + settings.heads)
        labels = {p: label_library(seeds, settings.slices, p) for p in preparation.planes}
        return cls(labels, settings.contrast, preparation, scanned, settings.scanned_share)

    @classmethod
    def validation(cls, settings: PhantomConfig, preparation: PreparationConfig) -> Self:
        """Anatomies that training never sees."""
        seeds = range(FIRST_VALIDATION_SEED, FIRST_VALIDATION_SEED + settings.validation_heads)
        labels = {p: label_library(seeds, settings.slices, p) for p in preparation.planes}
        return cls(labels, settings.contrast, preparation)

    def draw(self, rng: np.random.Generator) -> PhantomSample:
        """Render one sample, fully determined by ``rng``."""
        planes = tuple(self.labels)
        plane = planes[rng.integers(len(planes))] if len(planes) > 1 else planes[0]
        labels, hu = self._fine(rng, plane)
        # a head is nearly its own mirror image from left to right
        if SLICE_AXES[plane][0] == 0 and rng.random() < 0.5:
            labels, hu = labels[::-1], None if hu is None else hu[::-1]
        preparation = self.preparation
        slice_ = render_slice(
            labels,
            rng,
            pixel_mm=FINE_MM,
            out_pixel_mm=preparation.spacing_mm[0],
            out_shape=preparation.matrix,
            contrast=self.contrast,
            hu_fine=hu,
        )
        noise = rng.normal(0.0, rng.uniform(0.0, CT_NOISE_HU), slice_.ct.shape)
        return PhantomSample(
            mr=self._scaled(slice_.mr, slice_.mask, rng.uniform(0.85, 1.25)),
            ct=self.window.forward(slice_.ct),
            noisy_ct=self.window.forward(np.where(slice_.mask, slice_.ct + noise, slice_.ct)),
            standard_mr=self._scaled(slice_.standard_mr, slice_.mask, 1.0),
            body=slice_.mask,
        )

    def _fine(
        self, rng: np.random.Generator, plane: Plane
    ) -> tuple[NDArray[np.uint8], NDArray[np.int16] | None]:
        """Tissues of a slice at 1 mm, and its HU where a scanner has measured them."""
        if self.scanned is not None and rng.random() < self.scanned_share:
            scanned = self.scanned[plane]
            index = rng.integers(len(scanned.labels))
            return scanned.labels[index], scanned.hu[index]
        labels = self.labels[plane]
        return np.asarray(labels[rng.integers(len(labels))]), None

    def _scaled(
        self, mr: NDArray[np.float32], body: NDArray[np.bool_], gain: float
    ) -> NDArray[np.float32]:
        """As a prepared scan is scaled, air set to -1; ``gain`` for what a slice cannot know."""
        if not body.any():
            return np.full(mr.shape, -1.0, np.float32)
        scale = PercentileScale.fit(mr, body, self.preparation.mr_percentile)
        scaled = PercentileScale(scale.high * gain, scale.percentile).forward(mr)
        return np.where(body, scaled, np.float32(-1.0))


def label_library(
    seeds: range, slices: int, plane: Plane = "axial", cache: Path | None = None
) -> NDArray[np.uint8]:
    """Label slices of many heads, made once and kept in the cache.

    Args:
        seeds: one head each.
        slices: per head, at random positions and tilts.
        plane: of the slices.
        cache: folder; medgan's cache by default.

    Returns:
        (len(seeds) * slices, 256, 256) uint8, read-only, memory-mapped.
    """
    path = (cache or default_cache_dir()) / f"phantoms-{_library_key(seeds, slices, plane)}.npy"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        shape = (len(seeds), slices, FINE_SIZE, FINE_SIZE)
        # threads: NumPy lets go of the interpreter's lock, and forking beside torch can hang
        with writing(path) as temporary, ThreadPoolExecutor(os.cpu_count()) as pool:
            library = open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
            heads = pool.map(lambda seed: _head_slices(seed, slices, plane), seeds)
            for index, made in enumerate(heads):
                library[index] = made
            library.flush()
    library = np.load(path, mmap_mode="r", allow_pickle=False)
    return library.reshape(-1, FINE_SIZE, FINE_SIZE)


def _library_key(seeds: range, slices: int, plane: Plane) -> str:
    """Content address: everything the slices depend on, the phantom's own code included."""
    digest = hashlib.sha256()
    geometry = (FINE_MM, FINE_SIZE, plane, OFFSET_MM[plane], LOWEST_MM, MAX_TILT_DEGREES)
    digest.update(repr((seeds, slices, geometry)).encode())
    for name in LABEL_MODULES:
        digest.update((files("medgan.phantoms") / f"{name}.py").read_bytes())
    return digest.hexdigest()[:16]


def _head_slices(seed: int, count: int, plane: Plane) -> NDArray[np.uint8]:
    """(count, 256, 256) uint8 slices of one head."""
    head = HeadAnatomy(seed)
    rng = np.random.default_rng([seed, PHANTOM_STREAM])
    made: list[NDArray[np.uint8]] = []
    while len(made) < count:
        points = tilted_plane(rng, OFFSET_MM[plane], plane)
        labels = head.labels(points)
        if plane != "axial":
            labels[points[:, 2] < rng.uniform(*LOWEST_MM)] = 0
        labels = labels.reshape(FINE_SIZE, FINE_SIZE)
        if (labels > 0).mean() >= MIN_BODY_SHARE:
            made.append(labels)
    return np.stack(made)
