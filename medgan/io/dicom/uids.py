"""Unique identifiers that follow from what they identify."""

import hashlib
import hmac
from uuid import UUID

REGISTERED_ROOT = "1.2.840.10008."
"""UIDs below it are the standard's own (classes, syntaxes, coding schemes) and identify nobody."""


def derived_uid(*parts: str) -> str:
    """The UID of a thing that is fully described by some words: the same words, the same UID.

    Args:
        *parts: e.g. what it is, the UIDs of its sources, a digest of its content. Their order and
            their borders count.

    Returns:
        "2.25." and a number of at most 39 digits.

    Source:
        DICOM PS3.5 B.2 (UUID derived UID); RFC 9562 section 5.8 (version 8, the first 122 free bits
        of a SHA-256 digest).
    """
    return _as_uid(hashlib.sha256(_joined(parts)).digest())


def keyed_uid(uid: str, key: bytes) -> str:
    """The pseudonym of a UID: consistent under one key, not to be turned back without it.

    Args:
        uid: any UID.
        key: secret bytes, the same for a whole tree of files.

    Returns:
        "2.25." and a number of at most 39 digits; a UID registered by the standard as it is.

    Source:
        DICOM PS3.15 E.1.1 (action U), RFC 2104 (HMAC, here with SHA-256).
    """
    if uid.startswith(REGISTERED_ROOT):
        return uid
    return _as_uid(hmac.digest(key, b"uid\0" + uid.encode(), "sha256"))


def _joined(parts: tuple[str, ...]) -> bytes:
    encoded = [part.encode() for part in parts]
    return b"".join(len(part).to_bytes(8, "big") + part for part in encoded)


def _as_uid(digest: bytes) -> str:
    octets = bytearray(digest[:16])
    octets[6] = octets[6] & 0x0F | 0x80
    octets[8] = octets[8] & 0x3F | 0x80
    return f"2.25.{UUID(bytes=bytes(octets)).int}"
