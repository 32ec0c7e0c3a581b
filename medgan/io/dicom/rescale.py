"""Stored values to Hounsfield units or signal, slice by slice."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medgan.io.dicom.functional_groups import FrameHeader

PADDING = {"CT": -1024, "MR": 0}
"""What stands for the padding outside the field of view: below air in CT, nothing in MR."""


@dataclass(frozen=True, eq=False)
class StoredSlice:
    """Stored values of one slice and what they mean.

    Attributes:
        values: (rows, columns) integers.
        slope: rescale slope.
        intercept: rescale intercept.
        padding: lowest and highest stored value that stand for padding, or None.
    """

    values: NDArray[Any]
    slope: float
    intercept: float
    padding: tuple[int, int] | None


def stored_slice(values: NDArray[Any], part: FrameHeader) -> StoredSlice:
    """Pair stored values with the rescaling and padding of their header.

    Args:
        values: (rows, columns) stored values.
        part: header of the frame, already found to have both slope and intercept or neither.
    """
    slope, intercept = part.number_of("RescaleSlope"), part.number_of("RescaleIntercept")
    first = part.number_of("PixelPaddingValue")
    padding = None
    if first is not None:
        last = part.number_of("PixelPaddingRangeLimit")
        bounds = sorted(
            _as_stored(v, values.dtype) for v in (first, first if last is None else last)
        )
        padding = bounds[0], bounds[1]
    return StoredSlice(
        values,
        1.0 if slope is None else slope,
        0.0 if intercept is None else intercept,
        padding,
    )


def _as_stored(value: float, dtype: np.dtype[Any]) -> int:
    """A padding value in the pixels' own type: some writers give it with the wrong sign."""
    bits = 8 * dtype.itemsize
    pattern = int(value) % (1 << bits)
    return pattern - (1 << bits) if dtype.kind == "i" and pattern >> (bits - 1) else pattern


def real_values(slices: Sequence[StoredSlice], modality: str) -> NDArray[Any]:
    """Apply slope, intercept and padding of every slice.

    Args:
        slices: of one matrix, in order.
        modality: "CT" or "MR".

    Returns:
        (columns, rows, slices): int16, or uint16 where that is needed, when every slope and
        intercept is integral and the values fit; else float32, computed in double precision.

    Source:
        DICOM PS3.3 C.11.1.1.2, modality LUT: output = slope x stored + intercept; C.7.5.1.1.2,
        pixel padding.
    """
    dtype = _smallest_type(slices, modality)
    rows, columns = slices[0].values.shape
    planes = np.empty((len(slices), rows, columns), dtype)
    for plane, part in zip(planes, slices, strict=True):
        _rescale(part, plane)
        if part.padding is not None:
            low, high = part.padding
            plane[(part.values >= low) & (part.values <= high)] = PADDING[modality]
    return planes.transpose(2, 1, 0)


def _rescale(part: StoredSlice, plane: NDArray[Any]) -> None:
    """Write real values into ``plane``, whose type has been found to hold them."""
    if plane.dtype.kind == "f":
        scaled = part.values * np.float64(part.slope)
        scaled += part.intercept
        # What overflows becomes infinite and is refused as such.
        with np.errstate(over="ignore"):
            plane[:] = scaled
    elif part.slope == 1 and part.values.dtype.itemsize == plane.dtype.itemsize:
        # Modulo 2^16, which is exact as the sum fits: four times as fast as in 32 bits.
        words, offset = part.values.view(np.uint16), np.uint16(int(part.intercept) % 65536)
        np.add(words, offset, out=plane.view(np.uint16))
    else:
        plane[:] = part.values.astype(np.int64) * int(part.slope) + int(part.intercept)


def _smallest_type(slices: Sequence[StoredSlice], modality: str) -> np.dtype[Any]:
    if not all(part.slope.is_integer() and part.intercept.is_integer() for part in slices):
        return np.dtype(np.float32)
    ends = [
        float(end) * part.slope + part.intercept
        for part in slices
        for end in (part.values.min(), part.values.max())
    ]
    low, high = min(ends), max(ends)
    if any(part.padding is not None for part in slices):
        low, high = min(low, PADDING[modality]), max(high, PADDING[modality])
    for dtype in (np.int16, np.uint16):
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            return np.dtype(dtype)
    return np.dtype(np.float32)
