"""Ways to spoil NIfTI, MetaImage and NRRD files: fields, sizes, other files, bombs."""

import gzip
import struct
import zlib
from dataclasses import replace

import numpy as np
from byte_changes import HOSTILE_TEXTS, NUMBERS, Rng, with_content
from hostile_seeds import Seed

OUTSIDE = ("/etc/passwd", "../secret.raw", "../../secret.raw", "LIST", "LIST 2D", "a%02d.raw 1 3 1")
WORDS = ("MET_SHORT_ARRAY", "double", "short", "True", "3 3 3", "(1,0,0) (0,1,0) (0,0,1)", "none",
         "hex", "bzip2", "ascii")  # fmt: skip

NIFTI1 = {"dim": (40, "h", 8), "datatype": (70, "h", 2), "pixdim": (76, "f", 8),
          "vox_offset": (108, "f", 1), "slope": (112, "f", 2), "units": (123, "b", 1),
          "codes": (252, "h", 2), "quaternion": (256, "f", 6), "sform": (280, "f", 12),
          "magic": (344, "b", 4)}  # fmt: skip
NIFTI2 = {"dim": (16, "q", 8), "datatype": (12, "h", 2), "pixdim": (104, "d", 8),
          "vox_offset": (168, "q", 1), "slope": (176, "d", 2), "units": (500, "i", 1),
          "codes": (344, "i", 2), "quaternion": (352, "d", 6), "sform": (400, "d", 12),
          "magic": (4, "b", 8)}  # fmt: skip


def nifti_field(rng: Rng, seed: Seed) -> Seed:
    """A field of the header is extreme."""
    content = bytearray(_unpacked(seed))
    fields = NIFTI2 if content[0] == 540 % 256 else NIFTI1
    start, kind, count = list(fields.values())[rng.integers(len(fields))]
    size = struct.calcsize(kind)
    place = start + size * int(rng.integers(count))
    if kind in "fd":
        value = float(rng.choice([0, -1, 1, np.nan, np.inf, 1e30, -1e30, 1e-30, 353, 4e9]))
        content[place : place + size] = struct.pack(f"<{kind}", value)
    else:
        bits = 8 * size - 1
        choices = [0, 1, 2, 4, 8, 16, 64, 128, 512, 2304, 2**bits - 1, -(2**bits), -1, 2**20]
        value = [v for v in choices if abs(v) <= 2**bits and v < 2**bits][rng.integers(10)]
        content[place : place + size] = struct.pack(f"<{kind}", value)
    return _packed(seed, bytes(content))


def nifti_bomb(rng: Rng, seed: Seed) -> Seed:
    """A gzip file of at most a few megabytes for which the header declares very much more."""
    content = bytearray(_unpacked(seed))
    side = int(rng.choice([200, 600, 1200, 2000]))
    wide = content[0] == 540 % 256
    struct.pack_into("<4q" if wide else "<4h", content, 16 if wide else 40, 3, side, side, side)
    start = zlib.compressobj(1, wbits=31)
    packed = start.compress(bytes(content))
    packed += b"".join(start.compress(bytes(2**23)) for _ in range(int(rng.integers(1, 40))))
    return replace(seed, files={"a.nii.gz": packed + start.flush()}, main="a.nii.gz")


def _unpacked(seed: Seed) -> bytes:
    content = seed.files[seed.main]
    return gzip.decompress(content) if seed.main.endswith(".gz") else content


def _packed(seed: Seed, content: bytes) -> Seed:
    return with_content(
        seed, gzip.compress(content, 6, mtime=0) if seed.main.endswith(".gz") else content
    )


def _header_lines(seed: Seed) -> tuple[list[bytes], bytes]:
    content = seed.files[seed.main]
    end = seed.voxels or len(content)
    return content[:end].split(b"\n"), content[end:]


def text_field(rng: Rng, seed: Seed) -> Seed:
    """The value of a line of the header is another, the line is there twice, or it is gone."""
    lines, rest = _header_lines(seed)
    number = int(rng.integers(len(lines)))
    key, sign, value = lines[number].partition(b":" if seed.format == "nrrd" else b"=")
    words = value.split() or [b""]
    token = str(rng.choice([*NUMBERS, *HOSTILE_TEXTS, *WORDS]))
    words[rng.integers(len(words))] = token.encode()
    changed = key + sign + b" " + b" ".join(words)
    choice = rng.random()
    lines[number : number + 1] = (
        [changed] if choice < 0.6 else [lines[number], changed] if choice < 0.8 else []
    )
    return with_content(seed, b"\n".join(lines) + rest)


def text_sizes(rng: Rng, seed: Seed) -> Seed:
    """More voxels than there are, from a few too many to far beyond any memory."""
    lines, rest = _header_lines(seed)
    key = b"sizes" if seed.format == "nrrd" else b"DimSize"
    sign = b": " if seed.format == "nrrd" else b" = "
    size = b" ".join(str(int(rng.choice([1, 9, 10, 600, 1300, 2**16, 2**31 - 1, 2**40]))).encode()
                     for _ in range(3))  # fmt: skip
    lines = [key + sign + size if line.startswith(key) else line for line in lines]
    return with_content(seed, b"\n".join(lines) + rest)


def elsewhere(rng: Rng, seed: Seed) -> Seed:
    """The voxels are said to lie in a file that is none of this image's."""
    lines, _ = _header_lines(seed)
    name = str(rng.choice(OUTSIDE)).encode()
    if seed.format == "nrrd":
        lines = [line for line in lines if line and not line.startswith(b"data file")]
        lines += [[b"data file: ", b"datafile: "][rng.integers(2)] + name, b"", b""]
    else:
        lines = [b"ElementDataFile = " + name if b"ElementDataFile" in line else line
                 for line in lines]  # fmt: skip
    return with_content(seed, b"\n".join(lines))


def packed_bomb(rng: Rng, seed: Seed) -> Seed:
    """Compressed zeros, and a header that declares as many of them or more."""
    lines, _ = _header_lines(seed)
    side = int(rng.choice([160, 500, 1300, 2000]))
    size = f"{side} {side} {side}".encode()
    nrrd = seed.format == "nrrd"
    packer = zlib.compressobj(1, wbits=31 if nrrd else 15)
    data = b"".join(packer.compress(bytes(2**23)) for _ in range(int(rng.integers(1, 40))))
    data += packer.flush()
    out = []
    for line in lines:
        if line.startswith((b"sizes", b"DimSize")):
            line = (b"sizes: " if nrrd else b"DimSize = ") + size
        elif line.startswith((b"encoding", b"CompressedData ")):
            line = b"encoding: gzip" if nrrd else b"CompressedData = True"
        elif line.startswith((b"CompressedDataSize", b"data file")) or not line:
            continue
        elif line.startswith(b"ElementDataFile"):
            line = b"ElementDataFile = LOCAL"
        out.append(line)
    return with_content(seed, b"\n".join(out) + (b"\n\n" if nrrd else b"\n") + data)


NIFTI = (nifti_field, nifti_field, nifti_field, nifti_field, nifti_bomb)
TEXT = (text_field, text_field, text_field, text_sizes, elsewhere, packed_bomb)
