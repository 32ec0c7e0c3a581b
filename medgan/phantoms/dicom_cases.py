"""Kinds of DICOM series, good and faulty, that a reader meets: each with what must come of it."""

from collections.abc import Callable
from pathlib import Path

import gdcm  # type: ignore[import-untyped]
from pydicom import uid

from medgan.phantoms import dicom_faulty, dicom_readable
from medgan.phantoms.dicom_case import Case, CaseMaker

SYNTAXES = {
    "implicit_little_endian": uid.ImplicitVRLittleEndian,
    "explicit_big_endian": uid.ExplicitVRBigEndian,
    "deflated": uid.DeflatedExplicitVRLittleEndian,
    "rle": uid.RLELossless,
    "jpeg_lossless_57": uid.JPEGLossless,
    "jpeg_lossless_70": uid.JPEGLosslessSV1,
    "jpeg_ls": uid.JPEGLSLossless,
    "jpeg_2000": uid.JPEG2000Lossless,
}
"""Every lossless transfer syntax but explicit VR little endian, which all other cases have."""


def _coded(syntax: uid.UID) -> Callable[[CaseMaker], Case]:
    def write(make: CaseMaker) -> Case:
        images = make.slices()
        if not syntax.is_encapsulated:
            return make.plain(images, syntax=syntax)
        for path in make.write(images):
            _compress(path, syntax)
        return make.case(images)

    return write


def _compress(path: Path, syntax: uid.UID) -> None:
    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(str(syntax))))
    change.SetInput(reader.GetImage())
    change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(path))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    if not writer.Write():
        raise RuntimeError(f"GDCM cannot write {syntax.name}")


_MAKERS: dict[str, Callable[[CaseMaker], Case]] = {
    **{maker.__name__: maker for maker in (*dicom_readable.MAKERS, *dicom_faulty.MAKERS)},
    **{name: _coded(syntax) for name, syntax in SYNTAXES.items()},
}

CASES = tuple(_MAKERS)
"""Names of all cases."""


def describe(name: str) -> str:
    """What a case is about, in one line."""
    if name in SYNTAXES:
        return f"Transfer syntax {SYNTAXES[name].name}."
    return str(_MAKERS[name].__doc__)


def write_case(name: str, folder: Path, modality: str = "CT") -> Case:
    """Write the files of one case.

    Args:
        name: one of ``CASES``.
        folder: made where missing; the files go into it.
        modality: "CT" or "MR".
    """
    return _MAKERS[name](CaseMaker(name, folder, modality))
