"""Finished images as files, one for each plane, with identifiers that follow from their content."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from medgan import __version__
from medgan.io.dicom.stored_pixels import StoredPixels
from medgan.io.dicom.uids import derived_uid
from medgan.io.files import output_errors, writing

IMPLEMENTATION_UID = UID(derived_uid("implementation", "medgan"))


def write_instances(
    headers: Sequence[Dataset], pixels: StoredPixels, folder: Path
) -> tuple[Path, ...]:
    """Write a series, one file a plane, each atomically.

    Series and SOP Instance UIDs are derived from everything the headers say and from the pixels:
    the same work done twice is the same series, and no UID ever has two contents.

    Args:
        headers: what each plane says, all but pixels and these two UIDs, which are added here.
        pixels: the planes, in the same order.
        folder: made where it does not exist; a series has it for itself.

    Returns:
        The files ``0001.dcm``, ``0002.dcm``, ... in the order of the planes.

    Raises:
        OutputError: a file cannot be written.
    """
    digests = [content_digest(header, pixels.plane(k)) for k, header in enumerate(headers)]
    series_uid = derived_uid("series", *digests)
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for k, header in enumerate(headers):
        header.SeriesInstanceUID = series_uid
        header.SOPInstanceUID = derived_uid("instance", series_uid, str(k))
        header.PixelData = pixels.plane(k)
        header["PixelData"].VR = "OW"
        path = folder / f"{k + 1:04d}.dcm"
        write_file(header, path)
        del header.PixelData
        paths.append(path)
    return tuple(paths)


def write_file(header: Dataset, path: Path) -> None:
    """Write one data set as a DICOM file in Explicit VR Little Endian, atomically.

    Raises:
        OutputError: the file cannot be written.
    """
    header.file_meta = file_meta(header, ExplicitVRLittleEndian)
    with writing(path) as temporary:
        dcmwrite(temporary, header, implicit_vr=False, little_endian=True, enforce_file_format=True)


def file_meta(header: Dataset, transfer_syntax: UID) -> FileMetaDataset:
    """The File Meta Information of a data set.

    Source:
        DICOM PS3.10 7.1.
    """
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = header.SOPClassUID
    meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
    meta.TransferSyntaxUID = transfer_syntax
    meta.ImplementationClassUID = IMPLEMENTATION_UID
    meta.ImplementationVersionName = f"MEDGAN {__version__}"[:16]
    return meta


def content_digest(header: Dataset, pixels: bytes = b"") -> str:
    """SHA-256, hexadecimal, of all that a data set says and of pixels that are not part of it."""
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_dataset(buffer, header)
    return hashlib.sha256(buffer.getvalue() + pixels).hexdigest()
