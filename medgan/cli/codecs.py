"""Whether compressed DICOM images are decoded, and decoded right."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from medgan.cli.codec_frames import BASELINE, EDGE, FRAMES, LOSSY
from medgan.cli.findings import Check

if TYPE_CHECKING:
    from pydicom import Dataset

PACKAGES = {
    "JPEG": "python-gdcm",
    "JPEG-LS": "python-gdcm",
    "JPEG 2000": "pylibjpeg pylibjpeg-openjpeg",
    "HTJ2K": "pylibjpeg pylibjpeg-openjpeg",
    "RLE": "pylibjpeg pylibjpeg-rle",
}
"""Kind of compression -> what decodes it, of the packages that medgan requires."""

TOLERANCE = 3
"""Stored values that a lossy frame may be off by; pixels beside each other differ by 4 and more."""


def check_codecs() -> Iterator[Check]:
    """Decode one small image in every compressed transfer syntax.

    Yields:
        What works, by the last numbers of the UIDs, then each transfer syntax that does not.
    """
    from pydicom.uid import UID

    working, failures = [], []
    for kind, frames in FRAMES.items():
        right = []
        for syntax, frame in frames.items():
            number = syntax.rpartition(".")[2]
            fault = _fault(_image(syntax, bytes.fromhex(frame)))
            if not fault:
                right.append(number)
                continue
            # A package that is there may be damaged; what it needs is checked by itself.
            remedy = f"pip install --force-reinstall --no-deps {PACKAGES[kind]}"
            failures.append(
                Check(f"codec {number}", "fail", f"{UID(syntax).name}: {fault}", remedy)
            )
        if right:
            working.append(f"{kind} ({', '.join(right)})")
    if working:
        yield Check("codecs", "ok", ", ".join(working))
    yield from failures


def _image(syntax: str, frame: bytes) -> "Dataset":
    from pydicom import Dataset
    from pydicom.dataset import FileMetaDataset
    from pydicom.encaps import encapsulate
    from pydicom.uid import UID

    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = UID(syntax)
    image.SamplesPerPixel = 1
    image.Rows = image.Columns = EDGE
    image.BitsAllocated, image.BitsStored = (8, 8) if syntax == BASELINE else (16, 12)
    image.HighBit = image.BitsStored - 1
    image.PixelRepresentation = 0
    image.PixelData = encapsulate([frame])
    return image


def _fault(image: "Dataset") -> str:
    """What is wrong with the way the image is decoded; empty where nothing is."""
    import numpy as np

    from medgan.errors import MedganError
    from medgan.io.dicom.decode import stored_frames
    from medgan.io.dicom.errors import UnsupportedTransferSyntax

    try:
        (found,) = stored_frames(image, [1], "doctor")
    except UnsupportedTransferSyntax:
        return "no decoder is installed"
    except MedganError as error:
        return error.what
    step = 2**image.BitsStored // EDGE**2
    truth = step * np.arange(EDGE**2).reshape(EDGE, EDGE)
    off = int(np.abs(found - truth).max())
    if off > (TOLERANCE if image.file_meta.TransferSyntaxUID in LOSSY else 0):
        return f"decoded pixels are wrong by up to {off}"
    return ""
