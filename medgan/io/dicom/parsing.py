"""DICOM files to data sets, with every fault of a file a typed error."""

import io
import logging
import os
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pydicom
from pydicom import Dataset
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataset import FileMetaDataset
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag, Tag
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from medgan.errors import MedganError
from medgan.io.dicom.errors import DamagedFile, TruncatedFile
from medgan.io.values import require_plausible

logger = logging.getLogger(__name__)

PREFIX_AT, PREFIX = 128, b"DICM"
"""Source: DICOM PS3.10 section 7.1, preamble and prefix."""

INDEX_TAGS = [
    "AcquisitionNumber", "AcquisitionTime", "BitsAllocated", "BitsStored", "BurnedInAnnotation",
    "Columns", "ComplexImageComponent", "ContrastBolusAgent", "ContributingEquipmentSequence",
    "ConversionType", "DiffusionBValue", "DiffusionGradientOrientation", "EchoNumbers", "EchoTime",
    "FrameOfReferenceUID", "GantryDetectorTilt", "HighBit", "ImageOrientationPatient",
    "ImagePositionPatient",
    "ImageType", "InversionTime", "Modality", "NumberOfFrames", "PerFrameFunctionalGroupsSequence",
    "PixelRepresentation", "PixelSpacing", "RepetitionTime", "RescaleIntercept", "RescaleSlope",
    "RescaleType", "Rows", "SOPClassUID", "SOPInstanceUID", "SamplesPerPixel", "ScanningSequence",
    "SeriesDescription", "SeriesInstanceUID", "SharedFunctionalGroupsSequence", "SliceThickness",
    "StudyInstanceUID", "SyntheticData", "TemporalPositionIdentifier", "TriggerTime",
]  # fmt: skip
"""What the index looks at; all else is passed over unread."""

_FIRST_GROUPS = {0x0002, 0x0008}
_LONGEST_FIRST = 256
"""Bytes of the first element of a file; the usual ones are lengths, UIDs and names of sets."""

MOST_PIECES = 1_000_000
"""Pieces, two or three an element, that a file is read in; 5 000 frames need 600 000 or so. Parsed,
they take 2 s."""

_PARSING = 4
"""Weight of inflated bytes: elements take longer to parse than pixels do to copy."""

_CHUNK = 1 << 16


@dataclass(frozen=True)
class Header:
    """What comes before the pixels.

    Attributes:
        dataset: only ``INDEX_TAGS``.
        pixel_bytes: bytes left in the file for uncompressed pixels; None for other ones.
    """

    dataset: Dataset
    pixel_bytes: int | None


def has_prefix(path: Path) -> bool:
    """Whether a file begins as DICOM files do."""
    with path.open("rb") as stream:
        return stream.read(PREFIX_AT + len(PREFIX))[PREFIX_AT:] == PREFIX


def is_dicom(path: Path) -> bool:
    """Whether a file begins as DICOM files do, or as those of old archives, which lack the prefix.

    Without the prefix the very first element must be a known one of group 0002 or 0008, and have
    either the dictionary's VR or, in implicit VR, an even and small length.
    """
    with path.open("rb") as stream:
        start = stream.read(PREFIX_AT + len(PREFIX))
    return start[PREFIX_AT:] == PREFIX or _begins_with_element(start[:8])


def _begins_with_element(start: bytes) -> bool:
    if len(start) < 8:
        return False
    for order in "<>":
        group, element = struct.unpack(f"{order}HH", start[:4])
        number = group << 16 | element
        if group in _FIRST_GROUPS and (element == 0 or dictionary_has_tag(number)):
            if start[4:6].decode("latin-1") == (dictionary_VR(number) if element else "UL"):
                return True
            (length,) = struct.unpack("<I", start[4:])
            return order == "<" and 0 < length <= _LONGEST_FIRST and length % 2 == 0
    return False


def read_header(path: Path, where: object) -> Header:
    """Read what the index needs, none of the pixels.

    Raises:
        FileError: it cannot be parsed, or inflates to too much.
    """
    with faults_of_the_file(where), _Elements(path.open("rb", buffering=0), where) as stream:
        dataset = _parsed(stream, where, only_for_index=True)
        syntax = dataset.file_meta.TransferSyntaxUID
        if syntax.is_encapsulated or syntax == DeflatedExplicitVRLittleEndian:
            return Header(dataset, None)
        # The element's own header: tag and length, and in explicit syntaxes the VR.
        element = 8 if syntax.is_implicit_VR else 12
        return Header(dataset, path.stat().st_size - stream.tell() - element)


def read_whole(path: Path, where: object) -> Dataset:
    """Read a whole file; attributes whose values cannot be converted are left out.

    pydicom converts a value when it is first looked at, which may be far from here.

    Raises:
        FileError: it cannot be parsed, or inflates to too much.
    """
    with faults_of_the_file(where), _Elements(path.open("rb", buffering=0), where) as stream:
        dataset = _parsed(stream, where, only_for_index=False)
        if removed := _remove_damaged(dataset):
            logger.info("%s: attributes cannot be read: %s", where, ", ".join(map(str, removed)))
        return dataset


def _remove_damaged(dataset: Dataset) -> list[BaseTag]:
    """Remove what cannot be converted, in sequences too; returns the tags."""
    removed = []
    for number in list(dataset.keys()):
        try:
            element = dataset[number]
            if element.VR == "SQ":
                for item in element.value:
                    removed += _remove_damaged(item)
        except Exception:
            del dataset[number]
            removed.append(number)
    return removed


class _Elements(io.BufferedReader):
    """A stream that refuses to be read in more pieces than the elements of an image need."""

    def __init__(self, raw: Any, where: object) -> None:
        super().__init__(raw)
        self._where = where
        self._pieces = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self._pieces += 1
        if self._pieces > MOST_PIECES:
            raise DamagedFile("holds too many elements", where=self._where, limit=MOST_PIECES)
        return super().read(size)


def _parsed(stream: _Elements, where: object, *, only_for_index: bool) -> pydicom.FileDataset:
    tags: list[BaseTag | int] | None = [Tag(t) for t in INDEX_TAGS] if only_for_index else None
    meta = _meta(stream)
    if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        stream.seek(0)
        dataset = pydicom.dcmread(
            stream, stop_before_pixels=only_for_index, force=True, specific_tags=tags
        )
        _name_syntax(dataset)
        return dataset
    inflated = _Elements(io.BytesIO(_inflated(stream, where)), where)
    elements = read_dataset(inflated, False, True, specific_tags=tags)
    dataset = pydicom.FileDataset(
        stream.name, elements, None, FileMetaDataset(meta), is_implicit_VR=False
    )
    dataset.set_original_encoding(False, True, elements._character_set)
    return dataset


def _meta(stream: BinaryIO) -> Dataset:
    """Group 0002, read to its end as pydicom does: the length it declares may be wrong."""
    prefixed = stream.read(PREFIX_AT + len(PREFIX))[PREFIX_AT:] == PREFIX
    stream.seek(PREFIX_AT + len(PREFIX) if prefixed else 0)
    return read_dataset(stream, False, True, stop_when=lambda tag, vr, length: tag >> 16 != 2)


def _inflated(stream: _Elements, where: object) -> bytes:
    """The rest of a stream, inflated, as long as it is not made to fill the memory.

    Raises:
        FileError: it is much larger than the file.
    """
    size = os.fstat(stream.fileno()).st_size
    inflater, content = zlib.decompressobj(-zlib.MAX_WBITS), bytearray()
    pending = stream.read(_CHUNK)
    while pending and not inflater.eof:
        content += inflater.decompress(pending, 16 * _CHUNK)
        require_plausible(len(content), size, where, weight=_PARSING)
        pending = inflater.unconsumed_tail or stream.read(_CHUNK)
    if not inflater.eof:
        raise TruncatedFile("ends within its deflated data", where=where)
    return bytes(content)


def _name_syntax(dataset: pydicom.FileDataset) -> None:
    """Where there is no group 0002 at all, the transfer syntax is as pydicom found the data.

    Raises:
        AttributeError: group 0002 does not name it, so that the file fails as damaged.
    """
    if not dataset.file_meta:
        implicit, little = dataset.original_encoding
        native = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else native
    _ = dataset.file_meta.TransferSyntaxUID


@contextmanager
def quiet_parsing() -> Iterator[None]:
    """Keep pydicom from warning of invalid values, since it quotes them: they may be a name."""
    with pydicom.config.disable_value_validation(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def faults_of_the_file(where: object) -> Iterator[None]:
    """Turn whatever goes wrong while a file is parsed or looked at into a DamagedFile.

    pydicom converts a value when it is first looked at, so that a damaged one may raise anything
    anywhere. Errors of medgan pass.
    """
    try:
        yield
    except MedganError:
        raise
    except OSError as error:
        raise DamagedFile(
            "cannot be read", where=where, measured=error.strerror or type(error).__name__
        ) from error
    except Exception as error:
        raise DamagedFile(
            "is damaged: it cannot be parsed",
            where=where,
            measured=type(error).__name__,
            remedy="Copy the file anew from its source",
        ) from error
