"""The smallest High-Throughput JPEG 2000 codestream: every pixel has the middle value."""

import struct


def codestream(rows: int, columns: int, bits: int) -> bytes:
    """A lossless codestream of one unsigned component whose only packet is empty.

    All coefficients are zero, so that every pixel is ``2 ** (bits - 1)``, the level that is taken
    away before coding.

    Args:
        rows: of the image.
        columns: of the image.
        bits: of a pixel.

    Source:
        ISO/IEC 15444-1 Annex A (SIZ, COD, QCD, SOT), Annex G.1.2 (level shift); ISO/IEC 15444-15
        Annex A (bit 14 of Rsiz, CAP, bit 6 of the code-block style).
    """
    size = (columns, rows, 0, 0, columns, rows, 0, 0, 1, bits - 1, 1, 1)
    head = [
        _marker(0xFF51, struct.pack(">H8IH3B", 0x4000, *size)),
        _marker(0xFF50, struct.pack(">IH", 1 << 17, 0)),
        _marker(0xFF52, bytes([0, 0, 0, 1, 0, 0, 4, 4, 0x40, 1])),
        _marker(0xFF5C, bytes([0x20, bits << 3])),
    ]
    packet = b"\x00"
    tile = _marker(0xFF90, struct.pack(">HIBB", 0, 14 + len(packet), 0, 1))
    return b"\xff\x4f" + b"".join(head) + tile + b"\xff\x93" + packet + b"\xff\xd9"


def _marker(code: int, body: bytes) -> bytes:
    return struct.pack(">HH", code, len(body) + 2) + body
