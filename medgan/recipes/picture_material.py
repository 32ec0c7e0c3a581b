"""The pictures of a training: folders, and what a training gets of them."""

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from medgan.config import ImagesConfig, TrainConfig
from medgan.data.batches import Batches
from medgan.data.images import UnpairedImages, picture_sample
from medgan.errors import ConfigError
from medgan.io.files import content_sha256
from medgan.io.pictures import find_pictures
from medgan.recipes.material import Material
from medgan.training.image_validation import PictureValidator

WATCHED = 8
"""Test pictures of each domain that a training is watched on."""

T = TypeVar("T")

_log = logging.getLogger(__name__)


def picture_material(config: TrainConfig) -> Material:
    """Batches, validation and provenance of a training on pictures.

    Raises:
        ConfigError: no ``data.images``, or views larger than their square.
        FileError: a folder is missing or empty, or a picture is damaged.
    """
    settings = picture_settings(config)
    channels, matrix = config.network.channels, config.preparation.matrix
    images = UnpairedImages(settings, matrix, channels)
    watched = [
        [picture_sample(path, of_domain, matrix) for path in spread(paths, WATCHED)]
        for paths, of_domain in zip(test_pictures(settings), channels, strict=True)
    ]
    training = [content_sha256(path) for paths in images.paths for path in paths]
    test = {content_sha256(path) for paths in test_pictures(settings) for path in paths}
    shared = len(test & set(training))
    if shared:
        # the published sets have some: no reason to refuse them, but one to say so
        _log.warning("%d of the test pictures are trained on, too", shared)
    provenance = {
        "pictures": [len(paths) for paths in images.paths],
        "test_pictures_trained_on": shared,
        "data_sha256": hashlib.sha256("".join(training).encode()).hexdigest(),
        "steps": config.training.steps,
    }
    return Material(Batches(config, images, None), PictureValidator(*watched), provenance)


def picture_settings(config: TrainConfig) -> ImagesConfig:
    """What a configuration says of its pictures."""
    settings = config.data.images
    if settings is None:
        raise ConfigError(
            "no folder of pictures", where="data.images", remedy="Set data.images.root"
        )
    return settings


def test_pictures(settings: ImagesConfig) -> list[tuple[Path, ...]]:
    """Of both domains, in order of their names."""
    return [find_pictures(settings.root / f"test{domain}") for domain in "AB"]


def spread(items: Sequence[T], count: int) -> list[T]:
    """At most so many of them, evenly spread."""
    if len(items) <= count:
        return list(items)
    return [items[round(k * (len(items) - 1) / (count - 1))] for k in range(count)]
