"""Voxel values as the integers that a DICOM image holds."""

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from medgan.errors import DataError
from medgan.io.dicom.codes import code_item
from medgan.io.dicom.stack import as_ds
from medgan.io.values import require_finite
from medgan.volumes import Volume

log = logging.getLogger(__name__)

LOWEST_HU = -1024
"""A synthetic CT goes no lower: the value that scanners give to air and to what lies outside."""

_INT16 = np.iinfo(np.int16)
_UINT16 = np.iinfo(np.uint16)


@dataclass(frozen=True, eq=False)
class StoredPixels:
    """What goes into Pixel Data, and how it is to be understood.

    Attributes:
        array: (X, Y, Z), int16 or uint16.
        scale: multiplied by it, a stored integer is the voxel's value; 1 where nothing was scaled.
        window: centre and width for display, in the stored unit.
    """

    array: NDArray[Any]
    scale: float
    window: tuple[float, float]

    def describe(self) -> Dataset:
        """The attributes that say how pixels are stored and shown.

        Source:
            DICOM PS3.3 C.7.6.3 (Image Pixel module), C.11.2 (VOI LUT module).
        """
        header = Dataset()
        header.SamplesPerPixel = 1
        header.PhotometricInterpretation = "MONOCHROME2"
        header.Columns, header.Rows = self.array.shape[:2]
        header.BitsAllocated = header.BitsStored = 16
        header.HighBit = 15
        header.PixelRepresentation = int(self.array.dtype.kind == "i")
        header.WindowCenter, header.WindowWidth = map(as_ds, self.window)
        if self.scale != 1:
            header.RealWorldValueMappingSequence = [self._real_world_values()]
        return header

    def plane(self, index: int) -> bytes:
        """The pixels of one plane, row by row, little endian."""
        pixels = self.array[:, :, index].T
        return pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()

    def _real_world_values(self) -> Dataset:
        """DICOM PS3.3 C.7.6.16.2.11: an MR image has no rescale slope, but it has this."""
        mapping = Dataset()
        first, last = int(self.array.min()), int(self.array.max())
        vr = "SS" if self.array.dtype.kind == "i" else "US"
        mapping.add_new("RealWorldValueFirstValueMapped", vr, first)
        mapping.add_new("RealWorldValueLastValueMapped", vr, last)
        mapping.RealWorldValueIntercept = 0.0
        mapping.RealWorldValueSlope = self.scale
        mapping.LUTExplanation = "Values of the volume before they became integers"
        mapping.LUTLabel = "VALUE"
        mapping.MeasurementUnitsCodeSequence = [code_item(codes.UCUM.NoUnits)]
        return mapping


def ct_pixels(volume: Volume) -> StoredPixels:
    """HU as int16, rounded to the nearest; a synthetic CT is clipped at -1024 HU, others are not.

    Raises:
        DataError: NaN, infinity, or a real CT beyond the range of int16.
    """
    require_finite(volume.array, f"{volume.modality} volume")
    values = np.rint(volume.array)
    low = LOWEST_HU if volume.synthetic else _INT16.min
    outside = int(np.count_nonzero((values < low) | (values > _INT16.max)))
    if outside and not volume.synthetic:
        raise DataError(
            "HU beyond what a DICOM CT image can hold",
            measured=f"{outside} voxels, {values.min():g} to {values.max():g} HU",
            limit=f"{_INT16.min} to {_INT16.max} HU",
            remedy="Clip the image",
        )
    if outside:
        log.warning("%d voxels clipped to %d to %d HU", outside, low, _INT16.max)
    if volume.array.dtype.kind == "f" and not np.array_equal(values, volume.array):
        log.info("HU were rounded to integers, which is what a DICOM CT image holds")
    return StoredPixels(np.clip(values, low, _INT16.max).astype(np.int16), 1.0, (40.0, 400.0))


def mr_pixels(volume: Volume) -> StoredPixels:
    """MR values as integers of 16 bits: as they are where integral, else the largest becomes 32767.

    Raises:
        DataError: NaN or infinity.
    """
    require_finite(volume.array, f"{volume.modality} volume")
    values = volume.array.astype(np.float64)
    dtype = np.int16 if values.min() < 0 else np.uint16
    limits = _INT16 if values.min() < 0 else _UINT16
    fits = limits.min <= values.min() and values.max() <= limits.max
    scale = 1.0
    if not fits or not np.array_equal(values, np.rint(values)):
        scale = float(np.abs(values).max()) / _INT16.max
        log.info("MR values were divided by %g and rounded to integers of 16 bits", scale)
    stored = np.rint(values / scale).astype(dtype)
    low, high = np.percentile(stored, [1, 99.5])
    return StoredPixels(stored, scale, ((low + high) / 2, max(high - low, 1.0)))
