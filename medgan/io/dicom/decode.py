"""Pixel data to stored values, whatever the transfer syntax."""

import importlib.util
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.encaps import generate_frames
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID

from medgan.io.dicom.decode_worker import BY_GDCM
from medgan.io.dicom.decoder_process import DECODER
from medgan.io.dicom.errors import (
    DamagedFile,
    TruncatedFile,
    UnsupportedPixels,
    UnsupportedTransferSyntax,
    tag,
)
from medgan.io.values import require_affordable, require_plausible

_BITS = (8, 16, 32)

LARGEST_FRAME = 2**26
"""Pixels of one frame: 8192 x 8192."""

_COPY_AGAIN = "Copy the file anew from its source"


def pixel_problem(header: Dataset, where: object) -> UnsupportedPixels | DamagedFile | None:
    """Why the pixels could not be read, as far as the header tells; None where they can.

    Args:
        header: with the image pixel module.
        where: the file, for the error.
    """
    try:
        rows, columns, bits = (
            _whole(header, keyword, 0) for keyword in ("Rows", "Columns", "BitsAllocated")
        )
        frames, samples = _whole(header, "NumberOfFrames", 1), _whole(header, "SamplesPerPixel", 1)
        stored = _whole(header, "BitsStored", bits)
        high = _whole(header, "HighBit", stored - 1)
        signed = _whole(header, "PixelRepresentation", 0)
    except (TypeError, ValueError):
        return DamagedFile("an attribute of the image pixel module is no number", where=where)
    if min(rows, columns, frames) < 1:
        return DamagedFile(
            f"lacks {tag('Rows')}, {tag('Columns')} or frames",
            where=where,
            measured=(frames, rows, columns),
            remedy=_COPY_AGAIN,
        )
    if samples != 1:
        return UnsupportedPixels(
            "is a colour image", where=where, measured=f"{samples} samples a pixel", limit=1
        )
    if bits not in _BITS or not 0 < stored <= bits or not stored - 1 <= high < bits:
        return UnsupportedPixels(
            f"has an unusual {tag('BitsAllocated')}, {tag('BitsStored')} or {tag('HighBit')}",
            where=where,
            measured=(bits, stored, high),
            limit="8, 16 or 32 bits, all stored ones within them",
        )
    if signed not in (0, 1):
        return DamagedFile(f"has an invalid {tag('PixelRepresentation')}", where=where)
    if rows * columns > LARGEST_FRAME:
        return UnsupportedPixels(
            "declares a larger image than is accepted",
            where=where,
            measured=f"{rows} x {columns}",
            limit=f"{LARGEST_FRAME} pixels",
        )
    return None


def _whole(header: Dataset, keyword: str, default: int) -> int:
    value = header.get(keyword)
    return default if value in (None, "") else int(value)


def native_bytes(header: Dataset) -> int:
    """Bytes of all frames uncompressed, as the header declares them."""
    frames = _whole(header, "NumberOfFrames", 1)
    return math.prod((frames, header.Rows, header.Columns, header.BitsAllocated // 8))


def stored_frames(header: Dataset, numbers: Sequence[int], where: object) -> list[NDArray[Any]]:
    """Decode frames.

    Args:
        header: a whole file, pixel data included, without a ``pixel_problem``.
        numbers: of the frames, from 1, in any order.
        where: the file, for errors.

    Returns:
        For each number (rows, columns) stored values: signed where the header says so, bits that
        are not stored removed.

    Raises:
        TruncatedFile: fewer pixels than declared.
        DamagedFile: no pixels, or far more than declared.
        UnsupportedTransferSyntax: there is no decoder.
        UnsupportedPixels: floating point or colour.
        DecodingFailed: compressed pixels are damaged.
    """
    if problem := pixel_problem(header, where):
        raise problem
    if "PixelData" not in header:
        floating = "FloatPixelData" in header or "DoubleFloatPixelData" in header
        raise (
            UnsupportedPixels("holds floating-point pixels", where=where)
            if floating
            else DamagedFile(f"lacks {tag('PixelData')}", where=where, remedy=_COPY_AGAIN)
        )
    require_affordable(native_bytes(header), where)
    syntax = header.file_meta.TransferSyntaxUID
    read = _compressed if syntax.is_encapsulated else _native
    return [_clean(frame, header, syntax) for frame in read(header, numbers, where)]


def _native(header: Dataset, numbers: Sequence[int], where: object) -> list[NDArray[Any]]:
    content, expected = header.PixelData, native_bytes(header)
    row_bytes = header.Columns * header.BitsAllocated // 8
    if len(content) < expected:
        raise truncated(len(content), expected, where)
    # Some writers fill up to a multiple of their own; a whole row more is another image.
    if len(content) >= expected + max(row_bytes, 2):
        raise DamagedFile(
            "holds more pixels than it declares",
            where=where,
            measured=f"{len(content)} bytes",
            limit=expected,
            remedy=_COPY_AGAIN,
        )
    little = header.file_meta.TransferSyntaxUID.is_little_endian
    if not little and header.BitsAllocated == 8:
        raise UnsupportedPixels("has 8-bit pixels in big-endian words", where=where)
    order = "<" if little else ">"
    dtype = np.dtype(f"{order}{_kind(header)}{header.BitsAllocated // 8}")
    frames = _whole(header, "NumberOfFrames", 1)
    stored = np.frombuffer(content, dtype, expected // dtype.itemsize)
    stored = stored.reshape(frames, header.Rows, header.Columns)
    return [stored[number - 1] for number in numbers]


def _compressed(header: Dataset, numbers: Sequence[int], where: object) -> list[NDArray[Any]]:
    syntax = header.file_meta.TransferSyntaxUID
    require_decoder(syntax, where)
    require_plausible(native_bytes(header), len(header.PixelData), where)
    declared = _whole(header, "NumberOfFrames", 1)
    try:
        frames = list(generate_frames(header.PixelData, number_of_frames=declared))
    except Exception as error:
        raise DamagedFile("has damaged compressed pixels", where=where) from error
    if len(frames) < declared:
        raise truncated(len(frames), declared, where, "frames")
    pixels = {
        "rows": header.Rows,
        "columns": header.Columns,
        "samples_per_pixel": 1,
        "photometric_interpretation": "MONOCHROME2",
        "bits_allocated": header.BitsAllocated,
        "bits_stored": _whole(header, "BitsStored", header.BitsAllocated),
        "pixel_representation": _whole(header, "PixelRepresentation", 0),
        "number_of_frames": 1,
        "pixel_keyword": "PixelData",
    }
    return [DECODER.decode(syntax, pixels, frames[number - 1], where) for number in numbers]


def require_decoder(syntax: UID, where: object) -> None:
    """Refuse a compressed transfer syntax that cannot be decoded here.

    Raises:
        UnsupportedTransferSyntax: naming the syntax, and the package that is missing if any would
            do.
    """
    if syntax in BY_GDCM:
        missing = [] if importlib.util.find_spec("gdcm") else ["python-gdcm"]
    else:
        try:
            decoder = get_decoder(syntax)
        except NotImplementedError:
            raise UnsupportedTransferSyntax(
                f"no decoder is known for its transfer syntax, {syntax_name(syntax)}",
                where=where,
                remedy="Have the archive send it uncompressed, or convert it with another tool",
            ) from None
        missing = [] if decoder.is_available else decoder.missing_dependencies
    if missing:
        raise UnsupportedTransferSyntax(
            f"no decoder is installed for its transfer syntax, {syntax_name(syntax)}",
            where=where,
            remedy=f"Install one of: {'; '.join(missing)}",
        )


def syntax_name(syntax: UID) -> str:
    """A transfer syntax in the standard's words; a foreign UID is not repeated."""
    return syntax.name if syntax.is_transfer_syntax and syntax.name != syntax else "a private one"


def _clean(stored: NDArray[Any], header: Dataset, syntax: UID) -> NDArray[Any]:
    """Keep the bits that are stored: overlays and rubbish may lie above, and rarely below, them.

    Source:
        DICOM PS3.5 section 8.1.1, pixel data encoding: bits allocated, bits stored, high bit.
    """
    allocated = stored.dtype.itemsize * 8
    kept = _whole(header, "BitsStored", allocated)
    high = _whole(header, "HighBit", kept - 1)
    signed = _kind(header) == "i"
    native = stored.dtype.newbyteorder("=")
    if kept >= allocated and (native.kind == "i") == signed:
        return stored.astype(native, copy=False)
    # Codecs give whole samples, whatever the high bit says of the file.
    shift = 0 if syntax.is_encapsulated else high + 1 - kept
    bits = stored.view(stored.dtype.str.replace("i", "u")) >> shift
    bits = bits.astype(bits.dtype.newbyteorder("="), copy=False)
    mask = bits.dtype.type((1 << kept) - 1)
    if not signed:
        return bits & mask
    # Shifting up and down again spreads the sign.
    spread = allocated - kept
    return (bits << spread).view(bits.dtype.str.replace("u", "i")) >> spread


def _kind(header: Dataset) -> str:
    return "i" if _whole(header, "PixelRepresentation", 0) else "u"


def truncated(found: int, expected: int, where: object, unit: str = "bytes") -> TruncatedFile:
    """The error for a file that holds less than it declares."""
    return TruncatedFile(
        "holds fewer pixels than its header declares",
        where=where,
        measured=f"{found} {unit}",
        limit=expected,
        remedy=_COPY_AGAIN,
    )
