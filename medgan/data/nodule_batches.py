"""Unpaired samples of nodules: healthy lung with what is wanted there, and nodules as they are."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medgan.config import PreparationConfig
from medgan.data.luna16_scan import Luna16Scan
from medgan.data.nodule_condition import (
    changed_region,
    nodule_condition,
    share_of_mask,
    solid_share_of,
)
from medgan.data.nodule_patches import healthy_patches, nodule_patches
from medgan.data.nodule_phantoms import PhantomPlace, cubic_patch, mirror_axes, mirrored
from medgan.data.samples import Image, Sample
from medgan.errors import DataError, FileError, GeometryError
from medgan.volumes.intensity import WindowScale

_PLACES_STREAM = 61

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Wanted:
    """A nodule without its image.

    Attributes:
        share: (X, Y, Z) float32 in [0, 1], how much of each voxel it fills.
        solid: (X, Y, Z) float32 in [0, 1], how much of each voxel its solid part fills.
    """

    share: NDArray[np.float32]
    solid: NDArray[np.float32]

    @property
    def condition(self) -> Image:
        """(2, X, Y, Z); see ``nodule_condition``."""
        return nodule_condition(self.share, self.solid)


@dataclass(frozen=True, eq=False)
class LungPatches:
    """What was cut from scans, each patch (X, Y, Z) float32 in HU.

    Attributes:
        healthy: lung without a finding in the middle.
        nodules: the annotated ones.
        masks: of ``nodules``, and of their solid parts.
    """

    healthy: tuple[Image, ...]
    nodules: tuple[Image, ...]
    masks: tuple[Wanted, ...]

    @classmethod
    def of(
        cls, scans: Sequence[Luna16Scan], healthy: int, preparation: PreparationConfig, seed: int
    ) -> "LungPatches":
        """Cut patches from scans; those that cannot be used are named in the log.

        Args:
            scans: with or without nodules.
            healthy: places of healthy lung in each; fewer where there are no more.
            preparation: size of patches and voxels.
            seed: draws the places.

        Raises:
            ConfigError: patches that are not cubes.
            DataError: no nodule in any scan that can be used.
        """
        size, spacing_mm = cubic_patch(preparation)
        shape = (size, size, size)
        lung: list[Image] = []
        nodules: list[Image] = []
        masks: list[Wanted] = []
        for number, scan in enumerate(scans):
            rng = np.random.default_rng([seed, _PLACES_STREAM, number])
            try:
                cut = healthy_patches(scan, healthy, rng, shape=shape, spacing_mm=spacing_mm)
                annotated = nodule_patches(scan, shape=shape, spacing_mm=spacing_mm)
            except (DataError, FileError, GeometryError) as error:
                _log.warning("left out: scan %s: %s", scan.uid, error.what)
                continue
            lung += [patch.image for patch in cut]
            for found in annotated:
                if not found.mask.any():
                    continue
                nodules.append(found.image)
                share = share_of_mask(found.mask)
                masks.append(Wanted(share, solid_share_of(found.image, found.mask, share)))
        if not nodules:
            raise DataError("no nodule in any of the scans", remedy="Check annotations.csv")
        return cls(tuple(lung), tuple(nodules), tuple(masks))


class UnpairedNodules:
    """Draws a healthy patch with a wanted nodule, and a patch with a nodule and its own mask.

    Args:
        patches: of both kinds.
        places: their nodules are what is wanted in healthy lung, but for those cut by the pleura.
        scale: from HU to [-1, 1].

    Raises:
        DataError: none of the places has a nodule away from the pleura.
    """

    def __init__(
        self, patches: LungPatches, places: Sequence[PhantomPlace], scale: WindowScale
    ) -> None:
        self.patches = patches
        self.scale = scale
        self.wanted = [Wanted(place.share, place.solid) for place in places if not place.on_wall]
        if not self.wanted:
            raise DataError("no nodule away from the pleura among the phantoms")

    def draw(self, rng: np.random.Generator) -> tuple[Sample, Sample]:
        """One healthy patch and one with a nodule, fully determined by ``rng``."""
        healthy = self.patches.healthy[rng.integers(len(self.patches.healthy))]
        wanted = self.wanted[rng.integers(len(self.wanted))]
        index = int(rng.integers(len(self.patches.nodules)))
        found = self.patches.nodules[index], self.patches.masks[index]
        return (
            mirrored(self._sample(healthy, wanted), mirror_axes(rng)),
            mirrored(self._sample(*found), mirror_axes(rng)),
        )

    def _sample(self, image: Image, wanted: Wanted) -> Sample:
        region = changed_region(wanted.share)[None]
        return Sample(self.scale.forward(image)[None], region, condition=wanted.condition)
