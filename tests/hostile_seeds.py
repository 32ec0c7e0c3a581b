"""Small sound images in every format, which ``mutations`` spoils."""

import gzip
import struct
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import SimpleITK as sitk
from htj2k import codestream
from pydicom.encaps import encapsulate

from medgan.phantoms.dicom_cases import _compress as compress
from medgan.phantoms.dicom_cases import write_case

FORMATS = ("dicom", "nifti", "metaimage", "nrrd")

DICOM_CASES = (
    "regular", "rescale_per_slice", "padding_range", "implicit_little_endian",
    "explicit_big_endian", "deflated", "rle", "jpeg_lossless_57", "jpeg_lossless_70", "jpeg_ls",
    "jpeg_2000", "enhanced", "single_slice", "jpeg_extended", "htj2k",
)  # fmt: skip
SLICES = 3


@dataclass(frozen=True)
class Seed:
    """A sound image.

    Attributes:
        files: content by name.
        main: the file to spoil, or to read where the voxels lie in another.
        voxels: first byte of the voxels in ``main``; 0 where they lie in another file.
    """

    name: str
    format: str
    files: dict[str, bytes]
    main: str
    voxels: int


def seeds() -> list[Seed]:
    """All of them, made anew and always the same."""
    with tempfile.TemporaryDirectory() as folder:
        return [*_dicom(Path(folder)), *_nifti(), *_itk(Path(folder))]


def _dicom(folder: Path) -> Iterator[Seed]:
    """Three slices of a series, or one multi-frame file; compressed ones in every codec."""
    for modality in ("CT", "MR"):
        for name in DICOM_CASES:
            place = folder / modality / name
            coded = {"jpeg_extended": _as_jpeg_extended, "htj2k": _as_htj2k}.get(name)
            write_case("regular" if coded else name, place, modality)
            paths = sorted(place.iterdir())[:SLICES]
            for path in paths if coded else ():
                coded(path)
            files = {path.name: path.read_bytes() for path in paths}
            main = min(files)
            voxels = files[main].rfind(b"\xe0\x7f\x10\x00")
            if name == "explicit_big_endian":
                voxels = files[main].rfind(b"\x7f\xe0\x00\x10")
            if name == "deflated":
                voxels = 132 + struct.unpack("<I", files[main][140:144])[0]
            yield Seed(f"{name} {modality}", "dicom", files, main, voxels + 12)


def _as_htj2k(path: Path) -> None:
    header = pydicom.dcmread(path)
    header.file_meta.TransferSyntaxUID = pydicom.uid.HTJ2KLossless
    header.PixelData = encapsulate([codestream(header.Rows, header.Columns, header.BitsStored)])
    header["PixelData"].is_undefined_length = True
    header.save_as(path)


def _as_jpeg_extended(path: Path) -> None:
    """Twelve bits with losses, which another decoder reads than other JPEG."""
    compress(path, pydicom.uid.JPEGExtended12Bit)


def _nifti() -> Iterator[Seed]:
    rng = np.random.default_rng(0)
    affine = np.diag([-1.0, 1.5, 2.0, 1.0])
    for kind, header in ((nib.Nifti1Image, 352), (nib.Nifti2Image, 544)):
        for dtype in (np.int16, np.uint8, np.float32, np.float64):
            values = rng.integers(0, 200, (9, 8, 7)).astype(dtype)
            image = kind(values, affine)
            image.set_sform(affine, 1)
            image.set_qform(affine, 1)
            if dtype is np.uint8:
                image.header.set_slope_inter(2, -1000)
            content = image.to_bytes()
            name = f"{kind.__name__} {values.dtype}"
            yield Seed(name, "nifti", {"a.nii": content}, "a.nii", header)
            packed = gzip.compress(content, 6, mtime=0)
            yield Seed(f"{name} gz", "nifti", {"a.nii.gz": packed}, "a.nii.gz", 40)


def _itk(folder: Path) -> Iterator[Seed]:
    rng = np.random.default_rng(1)
    for dtype in (np.int16, np.uint8, np.float32):
        image = sitk.GetImageFromArray(rng.integers(0, 99, (7, 8, 9)).astype(dtype))
        image.SetSpacing((1.0, 1.5, 2.0))
        for suffix in (".mha", ".mhd", ".nrrd"):
            for packed in (False, True):
                place = folder / f"{np.dtype(dtype)}{packed}{suffix}"
                place.mkdir()
                sitk.WriteImage(image, str(place / f"a{suffix}"), useCompression=packed)
                files = {path.name: path.read_bytes() for path in sorted(place.iterdir())}
                main = f"a{suffix}"
                end = b"\n\n" if suffix == ".nrrd" else b"LOCAL\n"
                voxels = files[main].index(end) + len(end) if len(files) == 1 else 0
                kind = "nrrd" if suffix == ".nrrd" else "metaimage"
                yield Seed(place.name, kind, files, main, voxels)
        yield _detached_nrrd(folder / f"{np.dtype(dtype)}True.nrrd" / "a.nrrd", dtype)


def _detached_nrrd(path: Path, dtype: type) -> Seed:
    header, _, voxels = path.read_bytes().partition(b"\n\n")
    files = {"a.nrrd": header + b"\ndata file: a.raw.gz\n", "a.raw.gz": voxels}
    return Seed(f"detached {np.dtype(dtype)}", "nrrd", files, "a.nrrd", 0)
