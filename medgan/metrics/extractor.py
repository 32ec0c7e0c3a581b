"""What turns images into features, as every extractor of features is used."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medgan.errors import DataError, ModelError
from medgan.volumes import Volume

Picture = NDArray[np.float32]
"""(rows, columns), or (rows, columns, 3) in red, green, blue; values from 0 to 1."""


@dataclass(frozen=True)
class ExtractorFacts:
    """What must stand beside a number that features of this extractor gave.

    Attributes:
        name: of the extractor; a file's own name where it is the user's.
        hash: SHA-256 of its weights.
        takes: "pictures" (2-D) or "volumes" (3-D CT in HU).
        resizing: how an image becomes the network's input.
        window_hu: the window it was trained with, where it allows no other.
    """

    name: str
    hash: str
    takes: Literal["pictures", "volumes"]
    resizing: str
    window_hu: tuple[float, float] | None = None


class FeatureExtractor(Protocol):
    """A network that gives one vector of features for each image."""

    @property
    def facts(self) -> ExtractorFacts:
        """Name, weights and preparation."""

    def extract(self, images: Sequence[Picture | Volume]) -> NDArray[np.float32]:
        """Features (n, d) of n pictures or n volumes, whichever it takes."""


@dataclass(frozen=True, eq=False)
class PictureExtractor:
    """An extractor around any network of 2-D pictures.

    Attributes:
        facts: name, weights and preparation.
        network: (n, channels, size, size) float32 -> (n, d, ...); trailing axes are averaged.
        size: rows and columns of the network's input.
        channels: of its input, 1 or 3; grey goes into all of them.
        scale: the network sees ``scale * value + offset`` of values from 0 to 1.
        offset: see ``scale``.
    """

    facts: ExtractorFacts
    network: Callable[[NDArray[np.float32]], NDArray[np.float32]]
    size: int
    channels: int = 3
    scale: float = 1.0
    offset: float = 0.0

    def extract(self, images: Sequence[Picture | Volume]) -> NDArray[np.float32]:
        """Features of pictures of any sizes.

        Args:
            images: n pictures.

        Returns:
            (n, d) float32.

        Raises:
            DataError: a picture is not (rows, columns) or (rows, columns, 3).
            ModelError: the network does not give one vector for each picture.
        """
        inputs = np.stack([network_input(image, self.size, self.channels) for image in images])
        features = self.network(inputs * np.float32(self.scale) + np.float32(self.offset))
        if features.ndim < 2 or len(features) != len(inputs):
            raise ModelError(
                "the network gives no vector of features for each picture",
                where=self.facts.name,
                measured=features.shape,
                limit=f"({len(inputs)}, features, ...)",
            )
        pooled = features.reshape(*features.shape[:2], -1).mean(axis=2, dtype=np.float64)
        return pooled.astype(np.float32)


def network_input(image: Picture | Volume, size: int, channels: int = 3) -> NDArray[np.float32]:
    """A picture as a network's square input, resized as clean-fid does it.

    Bicubic with antialiasing, each channel in float32, never rounded to 8 bits, clipped to the
    range again.

    Args:
        image: a picture of any size.
        size: rows and columns wanted.
        channels: 1 (grey; colours are averaged) or 3.

    Returns:
        (channels, size, size) float32 from 0 to 1.

    Raises:
        DataError: the shape is not that of a picture.

    Source: Parmar, Zhang and Zhu, On Aliased Resizing and Surprising Subtleties in GAN
        Evaluation, CVPR 2022.
    """
    if isinstance(image, Volume) or image.ndim not in (2, 3) or image.shape[2:] not in ((), (3,)):
        raise DataError(
            "not a picture", measured=image.shape, limit="(rows, columns) or (rows, columns, 3)"
        )
    planes = [image] if image.ndim == 2 else list(np.moveaxis(image, -1, 0))
    resized = np.stack([_resized(plane, size) for plane in planes])
    if channels == 1:
        return resized.mean(axis=0, keepdims=True)
    return np.broadcast_to(resized, (channels, size, size))


def _resized(plane: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    image = Image.fromarray(np.ascontiguousarray(plane, dtype=np.float32))
    resized = image.resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(resized, dtype=np.float32).clip(0, 1)
