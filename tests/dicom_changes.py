"""Ways to spoil a DICOM file: attributes, lengths, nesting, what comes before and after."""

import io
import re
import struct
import zlib
from collections.abc import Callable

import pydicom
from byte_changes import HOSTILE_TEXTS, NUMBERS, Rng, voxels_flipped, with_content
from hostile_seeds import Seed
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRLittleEndian

SIZES = (0, 1, 2, 7, 11, 255, 4096, 16384, 32767, 65535)


def _edited(seed: Seed, edit: Callable[[Dataset], object]) -> Seed:
    """A DICOM file written anew after its data set was changed; what cannot be stays as it was."""
    header = pydicom.dcmread(io.BytesIO(seed.files[seed.main]))
    buffer = io.BytesIO()
    with pydicom.config.disable_value_validation():
        edit(header)
        try:
            header.save_as(buffer)
        except (ValueError, TypeError, OverflowError, struct.error, AttributeError):
            return seed
    return with_content(seed, buffer.getvalue())


def _put(header: Dataset, keyword: str, vr: str, text: str) -> None:
    """Set an attribute to any text, which pydicom would refuse to make a number of."""
    content = text.encode() + b" " * (len(text) % 2)
    number = Tag(keyword)
    implicit, little = header.original_encoding
    header[number] = RawDataElement(number, vr, len(content), content, 0, implicit, little)


def sizes(rng: Rng, seed: Seed) -> Seed:
    """Rows, columns, frames and bits that the pixels do not bear out."""
    keyword = str(rng.choice(["Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit",
                              "SamplesPerPixel", "PixelRepresentation"]))  # fmt: skip
    return _edited(seed, lambda header: setattr(header, keyword, int(rng.choice(SIZES))))


def frames(rng: Rng, seed: Seed) -> Seed:
    return _edited(seed, lambda header: _put(header, "NumberOfFrames", "IS", rng.choice(NUMBERS)))


def huge(rng: Rng, seed: Seed) -> Seed:
    """A matrix as large as the format allows, or as large as is just accepted."""

    def edit(header: Dataset) -> None:
        header.Rows = header.Columns = int(rng.choice([8192, 11000, 65535]))
        header.BitsAllocated, header.BitsStored = (8, 8) if rng.random() < 0.5 else (16, 12)
        header.HighBit = header.BitsStored - 1

    return _edited(seed, edit)


def numbers(rng: Rng, seed: Seed) -> Seed:
    """Decimals that are none, none finite, or none plausible."""
    keyword = str(rng.choice(
        ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness",
         "RescaleSlope", "RescaleIntercept", "PixelPaddingValue", "PixelPaddingRangeLimit",
         "EchoTime", "GantryDetectorTilt", "AcquisitionNumber", "DiffusionBValue"]
    ))  # fmt: skip

    def edit(header: Dataset) -> None:
        old = header.get(keyword)
        values = [str(item) for item in old] if hasattr(old, "append") else [str(old or 0)]
        values[rng.integers(len(values))] = str(rng.choice(NUMBERS))
        _put(header, keyword, "DS", "\\".join(values))

    return _edited(seed, edit)


def texts(rng: Rng, seed: Seed) -> Seed:
    """Paths and control characters where names and UIDs belong."""
    keyword = str(rng.choice(
        ["PatientID", "PatientName", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID",
         "SeriesDescription", "FrameOfReferenceUID", "Modality", "ImageType",
         "SpecificCharacterSet"]
    ))  # fmt: skip
    text = str(rng.choice(HOSTILE_TEXTS))
    return _edited(seed, lambda header: setattr(header, keyword, text))


def absent(rng: Rng, seed: Seed) -> Seed:
    def edit(header: Dataset) -> None:
        del header[list(header.keys())[rng.integers(len(header))]]

    return _edited(seed, edit)


def syntax(rng: Rng, seed: Seed) -> Seed:
    """Another transfer syntax than the one the data has."""
    known = sorted(pydicom.uid.AllTransferSyntaxes)
    uid = str(rng.choice([*known, "1.2.3", "../../x", ""]))
    content = seed.files[seed.main]
    old = pydicom.dcmread(io.BytesIO(content)).file_meta.TransferSyntaxUID
    return with_content(
        seed, content.replace(str(old).encode(), uid.encode().ljust(len(old), b"\0"), 1)
    )


def nested(rng: Rng, seed: Seed) -> Seed:
    """Sequences within sequences, with lengths and without."""
    depth = int(rng.choice([3, 40, 400, 4000]))
    open_ended = rng.random() < 0.5
    inner = b""
    for _ in range(depth):
        if open_ended:
            start = b"\x40\x00\x75\x02SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
            inner = start + inner + b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0"
        else:
            item = b"\xfe\xff\x00\xe0" + struct.pack("<I", len(inner)) + inner
            inner = b"\x40\x00\x75\x02SQ\0\0" + struct.pack("<I", len(item)) + item
    content = seed.files[seed.main]
    place = max(content.find(b"\x40\x00"), content.rfind(b"\xe0\x7f\x10\x00"), 200)
    return with_content(seed, content[:place] + inner + content[place:])


def lengths(rng: Rng, seed: Seed) -> Seed:
    """The length of an element, a fragment or an item is another."""
    content = bytearray(seed.files[seed.main])
    groups = rb"[\x02\x08\x18\x20\x28\xe0\xfe][\x00\x7f\xff]"
    places = [found.start() for found in re.finditer(groups, bytes(content))]
    place = places[rng.integers(len(places))] + int(rng.choice([4, 6, 8]))
    size = int(rng.choice([0, 1, 3, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF]))
    field = struct.pack("<I", size)
    content[place : place + 4] = field
    return with_content(seed, bytes(content))


def no_prefix(rng: Rng, seed: Seed) -> Seed:
    """Without preamble, and without group 0002 too."""
    content = seed.files[seed.main]
    size = struct.unpack("<I", content[140:144])[0] if rng.random() < 0.5 else -12
    return with_content(seed, content[144 + size :])


def dicom_bomb(rng: Rng, seed: Seed) -> Seed:
    """A deflated file of a few kilobytes that inflates to many megabytes."""
    meta_end = 144 + struct.unpack("<I", seed.files[seed.main][140:144])[0]
    buffer = io.BytesIO()
    header = pydicom.dcmread(io.BytesIO(seed.files[seed.main]))
    if header.file_meta.TransferSyntaxUID != ExplicitVRLittleEndian:
        return voxels_flipped(rng, seed)
    meta = seed.files[seed.main][:meta_end]
    uid = pydicom.uid.DeflatedExplicitVRLittleEndian.encode().ljust(22, b"\0")
    place = meta.index(b"\x02\x00\x10\x00UI")
    length = struct.unpack("<H", meta[place + 6 : place + 8])[0]
    buffer.write(meta[:140])
    buffer.write(struct.pack("<I", int(rng.choice([0, 7, meta_end - 144 + 22 - length]))))
    buffer.write(meta[144 : place + 6] + struct.pack("<H", 22) + uid + meta[place + 8 + length :])
    packer = zlib.compressobj(1, wbits=-zlib.MAX_WBITS)
    buffer.write(packer.compress(seed.files[seed.main][meta_end:]))
    for _ in range(int(rng.choice([1, 20, 40]))):
        buffer.write(packer.compress(bytes(16 * 2**20)))
    buffer.write(packer.flush())
    return with_content(seed, buffer.getvalue())


DICOM = (
    *(sizes, frames, huge, numbers, numbers, numbers, texts, texts, absent),
    *(syntax, nested, lengths, no_prefix, dicom_bomb),
)
