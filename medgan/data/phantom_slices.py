"""Training samples from phantoms: label slices, imaged anew for every sample."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from medgan.config import NetworkConfig, PhantomConfig, Plane, PreparationConfig
from medgan.data.label_slices import LabelSlices, label_library
from medgan.data.phantom_library import training_seeds, validation_seeds
from medgan.data.phantom_scales import SampleScales, scaled_sample
from medgan.data.planes import FINE_MM, FINE_SIZE, SLICE_AXES, slab_offsets
from medgan.data.samples import Image, PhantomSample
from medgan.data.scanned_slices import scanned_slices
from medgan.phantoms.from_ct import ScannedAnatomy
from medgan.phantoms.rendered_slice import beside, render_slice, slice_visit
from medgan.phantoms.visit import PhantomImages, Visit


class PhantomSlices:
    """Draws rendered samples from a library of label slices.

    Args:
        labels: of every plane; as many slices beside each as the network takes.
        contrasts: "t1", "t2" or "any", what every MR channel is randomised around.
        preparation: grid and scales of the samples.
        scanned: of every plane, slices of real CT to simulate MR on, besides.
        scanned_share: how often a sample is one of those.
    """

    def __init__(
        self,
        labels: Mapping[Plane, LabelSlices],
        contrasts: Sequence[str],
        preparation: PreparationConfig,
        scanned: Mapping[Plane, LabelSlices] | None = None,
        scanned_share: float = 0.0,
    ) -> None:
        self.labels = labels
        self.contrasts = tuple(contrasts)
        self.preparation = preparation
        self.scanned = scanned
        self.scanned_share = scanned_share

    @classmethod
    def training(
        cls,
        settings: PhantomConfig,
        preparation: PreparationConfig,
        network: NetworkConfig,
        scanned: Sequence[ScannedAnatomy] = (),
    ) -> Self:
        """The library to train on, made once and kept in the cache, and slices of real CT."""
        offsets = _offsets(preparation, network)
        return cls(
            _libraries(training_seeds(settings.heads), settings.slices, offsets),
            settings.contrasts,
            preparation,
            {p: scanned_slices(scanned, p, offsets[p]) for p in offsets} if scanned else None,
            settings.scanned_share,
        )

    @classmethod
    def validation(
        cls, settings: PhantomConfig, preparation: PreparationConfig, network: NetworkConfig
    ) -> Self:
        """Anatomies that training never sees."""
        seeds = validation_seeds(settings.validation_heads)
        libraries = _libraries(seeds, settings.slices, _offsets(preparation, network))
        return cls(libraries, settings.contrasts, preparation)

    def draw(self, rng: np.random.Generator) -> PhantomSample:
        """Render one sample, fully determined by ``rng``."""
        planes = tuple(self.labels)
        plane = planes[rng.integers(len(planes))] if len(planes) > 1 else planes[0]
        slab = self._slab(rng, plane)
        # a head is nearly its own mirror image from left to right
        if SLICE_AXES[plane][0] == 0 and rng.random() < 0.5:
            slab = slab.mirrored()
        preparation = self.preparation
        visit = slice_visit(
            rng,
            self.contrasts,
            shape=(FINE_SIZE, FINE_SIZE),
            pixel_mm=FINE_MM,
            out_shape=preparation.matrix,
            out_pixel_mm=preparation.spacing_mm[0],
        )
        images = slab.image(slab.middle, visit, rng)
        sample, scales = scaled_sample(images, preparation, rng, slab.depth_mm)
        if len(slab.labels) == 1:
            return sample
        pixels = preparation.spacing_mm[SLICE_AXES[plane][2]] / FINE_MM
        return _with_neighbours(sample, slab, visit, scales, images.ct_noise_hu, pixels, rng)

    def _slab(self, rng: np.random.Generator, plane: Plane) -> "_Slab":
        """A slice and those beside it, of a phantom or of a real CT."""
        slices = self.labels[plane]
        if self.scanned is not None and rng.random() < self.scanned_share:
            slices = self.scanned[plane]
        index = rng.integers(len(slices.labels))
        hu = None if slices.hu is None else slices.hu[index]
        depth_mm = float(slices.depth_mm[index])
        known = None if math.isnan(depth_mm) else depth_mm
        return _Slab(np.asarray(slices.labels[index]), hu, known)


@dataclass(frozen=True, eq=False)
class _Slab:
    """One entry of ``LabelSlices``: labels (L, 256, 256), HU of the same shape, depth if known."""

    labels: NDArray[np.uint8]
    hu: NDArray[np.int16] | None
    depth_mm: float | None

    @property
    def middle(self) -> int:
        return len(self.labels) // 2

    def mirrored(self) -> "_Slab":
        hu = None if self.hu is None else self.hu[:, ::-1]
        return _Slab(self.labels[:, ::-1], hu, self.depth_mm)

    def image(
        self, layer: int, visit: Visit, rng: np.random.Generator, ct_noise_hu: float | None = None
    ) -> PhantomImages:
        hu = None if self.hu is None else self.hu[layer]
        return render_slice(
            visit, self.labels[layer], rng, pixel_mm=FINE_MM, hu=hu, ct_noise_hu=ct_noise_hu
        )


def _with_neighbours(
    sample: PhantomSample,
    slab: _Slab,
    visit: Visit,
    scales: SampleScales,
    ct_noise_hu: float,
    pixels: float,
    rng: np.random.Generator,
) -> PhantomSample:
    """The sample with what lies beside it: all of it the same but anatomy, noise and texture."""
    mr: dict[int, Image] = {}
    ct: dict[int, Image] = {}
    # outwards from the middle, as each texture resembles that of the slice before it
    for way in (-1, 1):
        there = visit
        for steps in range(1, slab.middle + 1):
            there = beside(there, rng, pixels)
            layer = slab.middle + way * steps
            images = slab.image(layer, there, rng, ct_noise_hu)
            mr[layer] = scales.mr_of(images)
            ct[layer] = scales.noisy_ct_of(images, rng)
    order = sorted(mr)
    return replace(
        sample,
        mr_neighbours=np.concatenate([mr[layer] for layer in order]),
        ct_neighbours=np.concatenate([ct[layer] for layer in order]),
    )


def _offsets(
    preparation: PreparationConfig, network: NetworkConfig
) -> dict[Plane, tuple[float, ...]]:
    """Where slices and those beside them lie, of every plane of the model."""
    return {
        plane: slab_offsets(network.neighbours, preparation.spacing_mm[SLICE_AXES[plane][2]])
        for plane in preparation.planes
    }


def _libraries(
    seeds: range, slices: int, offsets: Mapping[Plane, tuple[float, ...]]
) -> dict[Plane, LabelSlices]:
    return {plane: label_library(seeds, slices, plane, slab) for plane, slab in offsets.items()}
