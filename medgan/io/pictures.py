"""PNG and JPEG files to and from arrays; what is written says that it is synthetic."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from medgan import __version__
from medgan.errors import ConfigError, FileError
from medgan.io.files import writing

SUFFIXES = (".png", ".jpg", ".jpeg")

LARGEST_PIXELS = 2**26
"""Larger pictures are refused before they are unpacked: a few bytes may stand for gigabytes."""

_FORMATS = ("PNG", "JPEG")
_MODES = {1: "L", 3: "RGB"}

# What pillow raised on 12,000 damaged files of these two formats.
_DAMAGED = (OSError, SyntaxError, ValueError, TypeError, EOFError, struct.error)


def find_pictures(folder: Path) -> tuple[Path, ...]:
    """The PNG and JPEG files of a folder, by name; subfolders and hidden files are passed by.

    Raises:
        FileError: no such folder, or no picture in it.
    """
    if not folder.is_dir():
        raise FileError("no such folder", where=folder)
    found = [
        path
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in SUFFIXES and path.is_file() and not path.name.startswith(".")
    ]
    if not found:
        raise FileError("no picture in this folder", where=folder, limit=", ".join(SUFFIXES))
    return tuple(found)


def read_picture(path: Path, channels: int, size: tuple[int, int]) -> NDArray[np.float32]:
    """A picture in one size, whatever its own: resized as it is shown, its proportions changed.

    Turned upright as its EXIF data say. Grey goes into all channels; colours become grey by the
    weights of ITU-R 601; transparency is dropped. 16 bits of grey are kept, those of colours are
    read as 8. Bicubic with antialiasing, in float32, clipped to the range again.

    Args:
        path: PNG or JPEG.
        channels: 1 or 3.
        size: rows and columns wanted.

    Returns:
        (channels, rows, columns) float32 from 0 to 1, first row on top.

    Raises:
        FileError: missing, damaged, of another kind, or too large.
        ConfigError: another number of channels.
    """
    if channels not in _MODES:
        raise ConfigError(
            "pictures have one channel or three", measured=channels, limit="1 or 3",
            remedy="Set network.channels",
        )  # fmt: skip
    with opened(path, _FORMATS) as image:
        values = _planes(image, channels)
    return np.stack([_resized(plane, size) for plane in values])


@contextmanager
def opened(path: Path, formats: tuple[str, ...] | None = None) -> Iterator[Image.Image]:
    """A picture file turned upright; what goes wrong inside, while it is unpacked, is named.

    Args:
        path: the file.
        formats: pillow's names of those that are read; None: all of them.

    Raises:
        FileError: missing, damaged, of another kind, or too large.
    """
    try:
        with Image.open(path, formats=formats) as image:
            if image.width * image.height > LARGEST_PIXELS:
                raise _too_large(path, f"{image.width} x {image.height} pixels")
            yield ImageOps.exif_transpose(image)
    except Image.DecompressionBombError as error:
        raise _too_large(path, None) from error
    except FileNotFoundError as error:
        raise FileError("no such file", where=path) from error
    except FileError:
        raise
    except _DAMAGED as error:
        limit = " or ".join(formats) if formats else None
        raise FileError(
            "the picture is damaged or of another kind", where=path, limit=limit
        ) from error


def write_picture(path: Path, values: NDArray[np.float32]) -> None:
    """Write a made picture as PNG of 8 bits, rounded; its text says that it is synthetic.

    Args:
        path: the ``.png`` file, replaced atomically.
        values: (1 or 3, rows, columns) from 0 to 1, first row on top; clipped.

    Raises:
        OutputError: the file cannot be written.

    Source: PNG specification (W3C, third edition), 11.3.3: keyword Software.
    """
    eight_bits = np.rint(values.clip(0, 1) * 255).astype(np.uint8)
    upright = eight_bits[0] if len(values) == 1 else np.moveaxis(eight_bits, 0, -1)
    text = PngInfo()
    text.add_text("Software", f"medgan {__version__}")
    text.add_text("Synthetic", "YES")
    with writing(path) as temporary:
        Image.fromarray(np.ascontiguousarray(upright)).save(temporary, "PNG", pnginfo=text)


def _planes(image: Image.Image, channels: int) -> NDArray[np.float32]:
    """(channels, rows, columns) from 0 to 1, in the picture's own size."""
    if image.mode.startswith("I"):
        # 16 bits; pillow's conversion to 8 would cut them off at 255
        grey = np.asarray(image).astype(np.float32) / np.float32(np.iinfo(np.uint16).max)
        return np.repeat(grey[None], channels, axis=0)
    values = np.asarray(image.convert(_MODES[channels]), dtype=np.float32) / np.float32(255)
    return values[None] if channels == 1 else np.moveaxis(values, -1, 0)


def _resized(plane: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    rows, columns = size
    image = Image.fromarray(np.ascontiguousarray(plane))
    resized = image.resize((columns, rows), Image.Resampling.BICUBIC)
    return np.asarray(resized, dtype=np.float32).clip(0, 1)


def _too_large(path: Path, measured: str | None) -> FileError:
    return FileError(
        "the picture is too large",
        where=path,
        measured=measured,
        limit=f"{LARGEST_PIXELS} pixels",
        remedy="Make it smaller first",
    )
