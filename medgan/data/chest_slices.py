"""Axial slices of chests with the maps of their tissues, for trainings from masks to CT."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from medgan.config import PhantomConfig, PreparationConfig
from medgan.data.chest import Chest
from medgan.data.chest_tissues import IN_NODULE, TissueMap, mask_picture
from medgan.data.luna16_scan import Luna16Scan
from medgan.data.phantom_library import training_seeds, validation_seeds
from medgan.data.samples import Image, Mask, Sample, SamplePair
from medgan.errors import DataError, MedganError
from medgan.io.pace import paced
from medgan.phantoms.ct import correlated_noise
from medgan.phantoms.thorax import scan_thorax
from medgan.volumes.intensity import WindowScale

NOISE_HU = (20.0, 60.0)
NOISE_MM = (0.5, 1.0)
"""Range of the noise's standard deviation, and of that of the Gaussian that correlates it: as in
the phantoms of ``medgan.phantoms.thorax``."""

VALIDATION_SLICES = 4
"""Slices of each anatomy that only judges."""

_NODULES = 6
_DIAMETERS_MM = (4.0, 24.0)
"""In each phantom: large ones are on more slices, so that small ones are not drawn less."""

_PHANTOM_STREAM = 63

_log = logging.getLogger(__name__)


def slice_noise(
    shape: tuple[int, int], spacing_mm: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Noise of one slice, (X, Y) HU, its strength and grain drawn."""
    sigma, width_mm = rng.uniform(*NOISE_HU), rng.uniform(*NOISE_MM)
    return correlated_noise(shape, rng, float(sigma), float(width_mm) / spacing_mm)


@dataclass(frozen=True, eq=False)
class ChestSlices:
    """Slices of one or more chests.

    Attributes:
        hu: (N, X, Y) int16.
        tissues: (N, X, Y) uint8.
        body: (N, X, Y) bool, with a margin.
        with_nodule: indices of those that show one.
    """

    hu: NDArray[np.int16]
    tissues: TissueMap
    body: Mask
    with_nodule: NDArray[np.intp]

    @classmethod
    def of(cls, chests: Iterator[Chest], count: int) -> Self:
        """Of every chest as many slices: through its nodules, the rest spread over its lungs.

        Raises:
            DataError: no chest, or no slice with lung.
        """
        parts = [
            (chest.hu[chosen], chest.tissues[chosen], chest.body[chosen])
            for chest in chests
            if (chosen := _chosen(chest, count))
        ]
        if not parts:
            raise DataError("no slice of a chest", remedy="Check the scans, or the phantoms' seeds")
        hu, tissues, body = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        nodules = np.isin(tissues, IN_NODULE).any(axis=(1, 2))
        return cls(hu, tissues, body, np.flatnonzero(nodules))

    @classmethod
    def of_scans(
        cls, scans: Sequence[Luna16Scan], count: int, preparation: PreparationConfig
    ) -> Self:
        """Of scans; those that cannot be used are named in the log.

        Raises:
            DataError: none can be used.
        """
        return cls.of(_chests(scans, preparation), count)

    @classmethod
    def training(cls, settings: PhantomConfig, preparation: PreparationConfig) -> Self:
        """Of ``settings.heads`` phantoms, ``settings.slices`` each; without noise."""
        return cls.of(_phantoms(training_seeds(settings.heads), preparation), settings.slices)

    @classmethod
    def validation(cls, settings: PhantomConfig, preparation: PreparationConfig) -> Self:
        """Of phantoms that training never sees."""
        seeds = validation_seeds(settings.validation_heads)
        return cls.of(_phantoms(seeds, preparation), VALIDATION_SLICES)

    def pick(self, rng: np.random.Generator) -> int:
        """Any slice, but half of the time one with a nodule, where there are any."""
        if len(self.with_nodule) and rng.random() < 0.5:
            return int(self.with_nodule[rng.integers(len(self.with_nodule))])
        return int(rng.integers(len(self.hu)))


class ChestSamples:
    """Slices as networks see them.

    Args:
        slices: what there is.
        scale: from HU to [-1, 1].
        spacing_mm: of the pixels.
    """

    def __init__(self, slices: ChestSlices, scale: WindowScale, spacing_mm: float) -> None:
        self.slices, self.scale, self.spacing_mm = slices, scale, spacing_mm

    def mask(self, index: int, rng: np.random.Generator) -> Sample:
        """The map of a slice, with noise to be."""
        return self._mask(index, self._noise(index, rng))

    def ct(self, index: int) -> Sample:
        """The slice itself."""
        return self._ct(index, 0)

    def pair(self, index: int, rng: np.random.Generator) -> SamplePair:
        """Map and slice, with the same noise; of a slice that has none of its own."""
        noise = self._noise(index, rng)
        return SamplePair(self._mask(index, noise), self._ct(index, noise))

    def _noise(self, index: int, rng: np.random.Generator) -> Image:
        body = self.slices.body[index]
        x, y = body.shape
        return slice_noise((x, y), self.spacing_mm, rng) * body

    def _mask(self, index: int, noise: Image) -> Sample:
        slices = self.slices
        picture = mask_picture(slices.tissues[index], noise, self.scale)
        return Sample(picture, slices.body[index][None])

    def _ct(self, index: int, noise: Image | int) -> Sample:
        hu = self.slices.hu[index] + noise
        return Sample(self.scale.forward(hu)[None], self.slices.body[index][None])


class ChestPhantoms:
    """Draws pairs of map and slice, mirrored left to right half of the time."""

    def __init__(self, samples: ChestSamples) -> None:
        self.samples = samples

    def draw(self, rng: np.random.Generator) -> SamplePair:
        """One pair, fully determined by ``rng``."""
        pair = self.samples.pair(self.samples.slices.pick(rng), rng)
        if rng.random() < 0.5:
            return pair
        return SamplePair(_mirrored(pair.source), _mirrored(pair.target))


class UnpairedChests:
    """Draws the map of one slice and the CT numbers of another, each mirrored half of the time."""

    def __init__(self, samples: ChestSamples) -> None:
        self.samples = samples

    def draw(self, rng: np.random.Generator) -> tuple[Sample, Sample]:
        """A map and a slice, fully determined by ``rng``."""
        slices = self.samples.slices
        drawn = self.samples.mask(slices.pick(rng), rng), self.samples.ct(slices.pick(rng))
        source, target = (_mirrored(one) if rng.random() < 0.5 else one for one in drawn)
        return source, target


def _mirrored(sample: Sample) -> Sample:
    return Sample(
        np.ascontiguousarray(sample.image[:, ::-1]), np.ascontiguousarray(sample.body[:, ::-1])
    )


def _chosen(chest: Chest, count: int) -> list[int]:
    """Slices through nodules first, then evenly over the lungs."""
    through = list(dict.fromkeys(chest.nodule_slices()))[:count]
    others = [index for index in chest.lung_slices() if index not in through]
    left = min(count - len(through), len(others))
    spread = [others[round((k + 0.5) * len(others) / left - 0.5)] for k in range(left)]
    return through + spread


def _chests(scans: Sequence[Luna16Scan], preparation: PreparationConfig) -> Iterator[Chest]:
    for scan in scans:
        try:
            yield Chest.of_scan(scan, preparation)
        except MedganError as error:
            _log.warning("left out: scan %s: %s", scan.uid, error.what)


def _phantoms(seeds: range, preparation: PreparationConfig) -> Iterator[Chest]:
    for seed in paced(seeds, _log, "phantom thorax", len(seeds)):
        rng = np.random.default_rng([seed, _PHANTOM_STREAM])
        sizes = tuple(rng.uniform(*_DIAMETERS_MM, _NODULES).tolist())
        try:
            scan = scan_thorax(
                seed, spacing_mm=preparation.spacing_mm, diameters_mm=sizes, noise_hu=0
            )
        except DataError:
            continue  # no room for so large ones in this thorax
        labels = scan.nodule_labels
        masks = [labels.with_array(labels.array == i) for i in range(1, len(sizes) + 1)]
        yield Chest.of(scan.ct, scan.lungs, masks, preparation)
