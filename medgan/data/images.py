"""Unpaired pictures in the usual folders: trainA and trainB to learn from, testA and testB."""

from functools import lru_cache
from pathlib import Path

import numpy as np

from medgan.config import ImagesConfig
from medgan.data.samples import Image, Sample
from medgan.errors import ConfigError
from medgan.io.pictures import find_pictures, read_picture

CACHED = 64
"""Pictures of each domain kept in memory: 63 MB at the published size."""


def picture_sample(path: Path, channels: int, size: tuple[int, int]) -> Sample:
    """A whole picture as a network is given it; all of it counts as body.

    Args:
        path: PNG or JPEG.
        channels: 1 or 3.
        size: rows and columns that it is resized to.

    Returns:
        The sample, its image (channels, rows, columns).

    Raises:
        FileError: missing, damaged, of another kind, or too large.
        ConfigError: another number of channels.
    """
    return _sample(read_picture(path, channels, size) * 2 - 1)


class UnpairedImages:
    """Draws a random view of a picture of each domain, independently.

    As published: resized to a square, cropped at random, mirrored half of the time. Pictures are
    drawn with replacement, so that a sample follows from its generator alone, whatever was drawn
    before.

    Args:
        settings: the folder, and how its pictures are seen.
        matrix: rows and columns of a view.
        channels: of domain A and of domain B.

    Raises:
        FileError: trainA or trainB is missing or empty.
        ConfigError: the views are larger than the square that they are cropped from.

    Source: Zhu et al., CycleGAN, ICCV 2017, and its published options (286, then 256 pixels).
    """

    def __init__(
        self, settings: ImagesConfig, matrix: tuple[int, int], channels: tuple[int, int]
    ) -> None:
        if settings.load_size < max(matrix):
            raise ConfigError(
                "pictures are resized to less than what is cropped from them",
                where="data.images.load_size",
                measured=settings.load_size,
                limit=f"at least {max(matrix)}, from preparation.matrix",
            )
        self.settings, self.matrix, self.channels = settings, matrix, channels
        self.paths = tuple(find_pictures(settings.root / f"train{domain}") for domain in "AB")
        self._square = lru_cache(maxsize=2 * CACHED)(self._read_square)

    def draw(self, rng: np.random.Generator) -> tuple[Sample, Sample]:
        """One view of each domain, images (C, rows, columns).

        Raises:
            FileError: a picture is damaged.
        """
        return self._view(0, rng), self._view(1, rng)

    def _view(self, domain: int, rng: np.random.Generator) -> Sample:
        paths, (rows, columns) = self.paths[domain], self.matrix
        square = self._square(domain, int(rng.integers(len(paths))))
        top = int(rng.integers(self.settings.load_size - rows + 1))
        left = int(rng.integers(self.settings.load_size - columns + 1))
        view = square[:, top : top + rows, left : left + columns]
        mirrored = rng.random() < 0.5
        if self.settings.mirror and mirrored:
            view = view[..., ::-1]
        return _sample(np.ascontiguousarray(view))

    def _read_square(self, domain: int, index: int) -> Image:
        size = (self.settings.load_size, self.settings.load_size)
        return picture_sample(self.paths[domain][index], self.channels[domain], size).image


def _sample(image: Image) -> Sample:
    return Sample(image, np.ones((1, *image.shape[1:]), dtype=bool))
