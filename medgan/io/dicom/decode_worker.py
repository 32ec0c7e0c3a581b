"""The program in which compressed pixels are decoded; its death harms nobody.

It is started by file name and imports nothing of medgan, so that it is ready in a moment. Requests
come on standard input and answers go to standard output, each a length and as many bytes; a request
is a line of JSON followed by one compressed frame, an answer a line of JSON followed by the pixels.
It ends when its input does.
"""

import json
import os
import struct
import sys
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from numpy.typing import NDArray

MEMORY_BYTES = 3 * 2**29
"""Address space of this process, libraries included."""

LENGTH = struct.Struct("<Q")

BY_GDCM = {f"1.2.840.10008.1.2.4.{number}" for number in (51, 53, 55)}
"""JPEG of 12 bits: extended, spectral selection, full progression. GDCM decodes them, but pydicom
does not ask it to."""


def limit_memory() -> None:
    """Make the system refuse more than ``MEMORY_BYTES``; no core files."""
    try:
        import resource
    except ImportError:  # Windows: the size of a frame, checked by the caller, is the only limit.
        return
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def decode(request: dict[str, Any], frame: bytes) -> tuple[dict[str, Any], bytes]:
    """Decode one frame.

    Args:
        request: "syntax" and the attributes of the image pixel module by pydicom's names.
        frame: compressed.

    Returns:
        The answer's JSON and (rows, columns) pixels; "error" in place of "dtype" where it failed.
    """
    try:
        array = (_by_gdcm if request["syntax"] in BY_GDCM else _by_pydicom)(
            request["syntax"], request["pixels"], frame
        )
    except Exception as error:
        # The decoders' messages quote their input, so only the kind of fault goes out.
        return {"error": type(error).__name__}, b""
    return {"dtype": array.dtype.str, "shape": array.shape}, array.tobytes()


def _by_pydicom(syntax: str, pixels: dict[str, Any], frame: bytes) -> "NDArray[Any]":
    from pydicom.encaps import encapsulate
    from pydicom.pixels.decoders.base import get_decoder

    stream = encapsulate([frame], has_bot=False)
    return get_decoder(syntax).as_array(stream, index=0, raw=True, **pixels)[0]


def _by_gdcm(syntax: str, pixels: dict[str, Any], frame: bytes) -> "NDArray[Any]":
    import gdcm  # type: ignore[import-untyped]
    import numpy as np

    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(frame)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((pixels["columns"], pixels["rows"], 1))
    image.SetDataElement(element)
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(syntax)))
    image.SetPhotometricInterpretation(
        gdcm.PhotometricInterpretation(gdcm.PhotometricInterpretation.MONOCHROME2)
    )
    bits, stored = pixels["bits_allocated"], pixels["bits_stored"]
    signed = pixels["pixel_representation"]
    image.SetPixelFormat(gdcm.PixelFormat(1, bits, stored, stored - 1, signed))
    content = image.GetBuffer().encode("utf-8", "surrogateescape")
    dtype = np.dtype(f"<{'i' if signed else 'u'}{bits // 8}")
    return np.frombuffer(content, dtype).reshape(pixels["rows"], pixels["columns"])


def read_message(stream: BinaryIO) -> tuple[dict[str, Any], bytes] | None:
    """The next message, or None at the end of the input."""
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    body = stream.read(LENGTH.unpack(head)[0])
    line, _, content = body.partition(b"\n")
    return json.loads(line), content


def message(head: dict[str, Any], content: bytes) -> bytes:
    """A message as it goes through the pipe."""
    body = json.dumps(head).encode() + b"\n" + content
    return LENGTH.pack(len(body)) + body


def main() -> None:
    """Answer requests until there are no more."""
    limit_memory()
    # What C libraries print must not get between the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    while (request := read_message(sys.stdin.buffer)) is not None:
        answers.write(message(*decode(*request)))
        answers.flush()


if __name__ == "__main__":
    main()
