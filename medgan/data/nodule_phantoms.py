"""Phantoms of one place in a lung, without and with a nodule, to learn both ways from."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from medgan.config import PhantomConfig, PreparationConfig
from medgan.data.nodule_condition import changed_region, nodule_condition
from medgan.data.nodule_shapes import DENSITIES, Density
from medgan.data.phantom_library import training_seeds, validation_seeds
from medgan.data.samples import Image, NodulePair, Sample
from medgan.errors import ConfigError, DataError
from medgan.io.pace import paced
from medgan.phantoms.thorax_patch import nodule_patch
from medgan.volumes.intensity import WindowScale

SMALLEST_MM = 4.0
LARGEST_SHARE = 0.7
"""Of a patch's edge that a nodule may fill; the rest tells the network what is around it."""

VALIDATION_PATCHES = 4
"""Patches of each anatomy that only judges."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class PhantomPlace:
    """One place twice, compact. All arrays (X, Y, Z).

    Attributes:
        healthy: int16 HU.
        diseased: int16 HU, the same noise.
        share: float32 in [0, 1], how much of each voxel the nodule fills.
        solid: float32 in [0, 1], how much of each voxel its solid part fills.
        density: how it attenuates.
        on_wall: whether the pleura cuts it.
    """

    healthy: NDArray[np.int16]
    diseased: NDArray[np.int16]
    share: NDArray[np.float32]
    solid: NDArray[np.float32]
    density: Density
    on_wall: bool


class NodulePhantoms:
    """Draws pairs from a library of places, mirrored at random; every density is drawn as often.

    Args:
        places: at least one.
        scale: from HU to [-1, 1].
    """

    def __init__(self, places: Sequence[PhantomPlace], scale: WindowScale) -> None:
        self.places = places
        self.scale = scale
        indices = {
            density: [index for index, place in enumerate(places) if place.density == density]
            for density in DENSITIES
        }
        self._by_density = [found for found in indices.values() if found]

    @classmethod
    def training(cls, settings: PhantomConfig, preparation: PreparationConfig) -> Self:
        """``settings.heads`` thoraxes with ``settings.slices`` places in each."""
        return cls._of(training_seeds(settings.heads), settings.slices, preparation)

    @classmethod
    def validation(cls, settings: PhantomConfig, preparation: PreparationConfig) -> Self:
        """Thoraxes that training never sees."""
        seeds = validation_seeds(settings.validation_heads)
        return cls._of(seeds, VALIDATION_PATCHES, preparation)

    @classmethod
    def _of(cls, seeds: range, patches: int, preparation: PreparationConfig) -> Self:
        places = tuple(_places(seeds, patches, preparation))
        return cls(places, WindowScale(*preparation.window_hu))

    def draw(self, rng: np.random.Generator) -> NodulePair:
        """One pair, fully determined by ``rng``."""
        alike = self._by_density[rng.integers(len(self._by_density))]
        return self.pair(alike[rng.integers(len(alike))], mirror_axes(rng))

    def pair(self, index: int, axes: tuple[int, ...] = ()) -> NodulePair:
        """One place of the library, turned round along some axes (1 to 3)."""
        place = self.places[index]
        condition = nodule_condition(place.share, place.solid)
        region = changed_region(place.share)[None]
        healthy, diseased = (
            mirrored(Sample(self.scaled(hu), region, condition=condition), axes)
            for hu in (place.healthy, place.diseased)
        )
        return NodulePair(healthy, diseased)

    def scaled(self, hu: NDArray[np.int16]) -> Image:
        """A patch as networks see it: (1, X, Y, Z) float32 in [-1, 1]."""
        return self.scale.forward(hu)[None]


def mirror_axes(rng: np.random.Generator) -> tuple[int, ...]:
    """Each of the three spatial axes of a sample, half of the time."""
    return tuple(axis for axis in (1, 2, 3) if rng.random() < 0.5)


def mirrored(sample: Sample, axes: tuple[int, ...]) -> Sample:
    """A sample without neighbours, turned round along some axes of its arrays."""
    if not axes:
        return sample
    condition = sample.condition
    return Sample(
        np.ascontiguousarray(np.flip(sample.image, axes)),
        np.ascontiguousarray(np.flip(sample.body, axes)),
        depth_mm=sample.depth_mm,
        condition=None if condition is None else np.ascontiguousarray(np.flip(condition, axes)),
    )


def cubic_patch(preparation: PreparationConfig) -> tuple[int, float]:
    """Voxels along each edge of a patch, and the size of a voxel in mm.

    Raises:
        ConfigError: patch or voxels are not cubes.
    """
    if len(set(preparation.patch)) > 1 or len(set(preparation.spacing_mm)) > 1:
        raise ConfigError(
            "patches of nodules are cubes of cubic voxels",
            where="preparation.patch, preparation.spacing_mm",
            measured=(preparation.patch, preparation.spacing_mm),
        )
    return preparation.patch[0], preparation.spacing_mm[0]


def largest_mm(preparation: PreparationConfig) -> float:
    """The largest nodule that a model with such patches can make, mm in diameter."""
    size, spacing_mm = cubic_patch(preparation)
    return LARGEST_SHARE * size * spacing_mm


def _places(seeds: range, patches: int, preparation: PreparationConfig) -> Iterator[PhantomPlace]:
    size, spacing_mm = cubic_patch(preparation)
    largest = min(30.0, largest_mm(preparation))
    for seed in paced(seeds, _log, "phantom thorax", len(seeds)):
        for index in range(patches):
            # Every fourth is as large as LUNA16's, of which most fill a thousandth of a patch.
            rng = np.random.default_rng([seed, index])
            diameter = float(rng.uniform(SMALLEST_MM, largest)) if index % 4 else None
            try:
                patch = nodule_patch(
                    seed, index, size=size, spacing_mm=spacing_mm, diameter_mm=diameter
                )
            except DataError:
                continue  # no room for so large a one in this thorax
            density = next(kind for kind in DENSITIES if kind == patch.nodule.kind)
            yield PhantomPlace(
                patch.healthy.array,
                patch.diseased.array,
                patch.share.array.astype(np.float32),
                patch.solid.array.astype(np.float32),
                density,
                patch.nodule.attachment == "pleura",
            )
