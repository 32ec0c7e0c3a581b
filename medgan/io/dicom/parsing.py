"""DICOM files to data sets, with every fault of a file a typed error."""

import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pydicom
from pydicom import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian

from medgan.errors import MedganError
from medgan.io.dicom.errors import DamagedFile

PREFIX_AT, PREFIX = 128, b"DICM"
"""Source: DICOM PS3.10 section 7.1, preamble and prefix."""

LARGEST_INFLATED = 512 * 2**20
"""Bytes a deflated file may inflate to."""

INDEX_TAGS = [
    "AcquisitionNumber", "AcquisitionTime", "BitsAllocated", "BitsStored", "BurnedInAnnotation",
    "Columns", "ComplexImageComponent", "ContrastBolusAgent", "ConversionType", "DiffusionBValue",
    "DiffusionGradientOrientation", "EchoNumbers", "EchoTime", "FrameOfReferenceUID",
    "GantryDetectorTilt", "HighBit", "ImageOrientationPatient", "ImagePositionPatient",
    "ImageType", "InversionTime", "Modality", "NumberOfFrames", "PerFrameFunctionalGroupsSequence",
    "PixelRepresentation", "PixelSpacing", "RepetitionTime", "RescaleIntercept", "RescaleSlope",
    "RescaleType", "Rows", "SOPClassUID", "SOPInstanceUID", "SamplesPerPixel", "ScanningSequence",
    "SeriesDescription", "SeriesInstanceUID", "SharedFunctionalGroupsSequence", "SliceThickness",
    "StudyInstanceUID", "TemporalPositionIdentifier", "TriggerTime",
]  # fmt: skip
"""What the index looks at; all else is passed over unread."""

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


def read_header(path: Path, where: object) -> Header:
    """Read what the index needs, none of the pixels.

    Raises:
        DamagedFile: it cannot be parsed.
    """
    with faults_of_the_file(where), path.open("rb") as stream:
        _require_modest(stream, where)
        dataset = pydicom.dcmread(stream, stop_before_pixels=True, specific_tags=INDEX_TAGS)
        syntax = dataset.file_meta.TransferSyntaxUID
        if syntax.is_encapsulated or syntax == DeflatedExplicitVRLittleEndian:
            return Header(dataset, None)
        # The element's own header: tag and length, and in explicit syntaxes the VR.
        element = 8 if syntax.is_implicit_VR else 12
        return Header(dataset, path.stat().st_size - stream.tell() - element)


def read_whole(path: Path, where: object) -> Dataset:
    """Read a whole file.

    Raises:
        DamagedFile: it cannot be parsed.
    """
    with faults_of_the_file(where), path.open("rb") as stream:
        _require_modest(stream, where)
        dataset = pydicom.dcmread(stream)
        # Named here so that a file without it fails as damaged and not later.
        _ = dataset.file_meta.TransferSyntaxUID
        return dataset


def _require_modest(stream: BinaryIO, where: object) -> None:
    """Refuse a deflated file that would fill the memory, which pydicom inflates in one go."""
    meta = pydicom.filereader.read_file_meta_info(stream.name)
    if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        return
    # The group length, an element of 12 bytes, counts what follows it.
    stream.seek(PREFIX_AT + len(PREFIX) + 12 + meta.FileMetaInformationGroupLength)
    inflater, size = zlib.decompressobj(-zlib.MAX_WBITS), 0
    pending = stream.read(_CHUNK)
    while pending and size <= LARGEST_INFLATED:
        size += len(inflater.decompress(pending, 16 * _CHUNK))
        pending = inflater.unconsumed_tail or stream.read(_CHUNK)
    stream.seek(0)
    if size > LARGEST_INFLATED:
        raise DamagedFile(
            "inflates to more than is accepted",
            where=where,
            limit=f"{LARGEST_INFLATED >> 20} MiB",
            remedy="Have the archive send it uncompressed",
        )


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
