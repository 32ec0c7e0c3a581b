"""Mending an irregular series, on request: gaps interpolated, tilt taken out."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from medgan.io.dicom.errors import DuplicateSlices, VariableSpacing
from medgan.io.dicom.lattice import (
    SMALLEST_TOLERANCE_MM,
    TILT_DEGREES,
    Lattice,
    tilt_degrees,
    tolerance_mm,
)
from medgan.io.dicom.rescale import PADDING
from medgan.volumes import Volume
from medgan.volumes.geometry import Grid, apply_affine
from medgan.volumes.resampling import resample

LARGEST_GROWTH = 8
"""A repair that would make this many planes of one invents the image rather than mends it."""


@dataclass(frozen=True, eq=False)
class Planes:
    """Planes of one matrix, maybe irregular.

    Attributes:
        volume: array (X, Y, N); its affine is the lattice's, which irregular planes do not obey.
        lattice: where the planes lie.
        sources: number of the image that each plane came from, or the one nearest to it.
        repairs: what was done so far.
    """

    volume: Volume
    lattice: Lattice
    sources: tuple[int, ...]
    repairs: tuple[str, ...] = ()


def merge_duplicates(planes: Planes, where: object) -> Planes:
    """Leave one of several planes at one place that hold the same values.

    Raises:
        DuplicateSlices: their values differ.
    """
    heights = planes.lattice.heights
    keep = [0]
    for plane in range(1, len(heights)):
        if heights[plane] - heights[keep[-1]] > SMALLEST_TOLERANCE_MM:
            keep.append(plane)
        elif not np.array_equal(
            planes.volume.array[:, :, plane], planes.volume.array[:, :, keep[-1]]
        ):
            raise DuplicateSlices(
                "several images lie at one place and differ",
                where=where,
                measured=f"{heights[plane]:.4g} mm above the first",
                remedy="Remove those that do not belong here",
            )
    if len(keep) == len(heights):
        return planes
    lattice = replace(
        planes.lattice,
        order=tuple(planes.lattice.order[plane] for plane in keep),
        positions=planes.lattice.positions[keep],
    )
    return Planes(
        replace(planes.volume, array=planes.volume.array[:, :, keep], affine=lattice.affine),
        lattice,
        tuple(planes.sources[plane] for plane in keep),
        (*planes.repairs, f"{len(heights) - len(keep)} identical duplicates left out"),
    )


def fill_gaps(planes: Planes, where: object) -> Planes:
    """Interpolate planes at equal distances where the slices lie unevenly.

    The distance is that of the closest slices. Where all gaps are its multiples every given plane
    keeps its values; else all but the first are interpolated between their two neighbours.

    Raises:
        VariableSpacing: far more planes would be made than there are.
    """
    heights, base = planes.lattice.heights, planes.lattice.base_gap_mm
    gaps = np.diff(heights)
    if np.abs(gaps - base).max() <= tolerance_mm(base):
        return planes
    multiples = np.rint(gaps / base)
    whole = bool((np.abs(gaps - multiples * base) <= tolerance_mm(base) * multiples).all())
    count = int(multiples.sum()) + 1 if whole else int(np.ceil(heights[-1] / base - 0.01)) + 1
    if count > LARGEST_GROWTH * len(heights):
        raise VariableSpacing(
            "slice distances vary too much to be mended",
            where=where,
            measured=f"{gaps.min():.4g} to {gaps.max():.4g} mm, {count} planes",
            limit=f"{LARGEST_GROWTH} planes for each of {len(heights)}",
            remedy="Export the series again",
        )
    at = np.interp(np.linspace(0, heights[-1], count), heights, np.arange(len(heights)))
    if whole:
        # Rounding of positions must not blur the planes that are there.
        places = np.concatenate([[0], np.cumsum(multiples)]).astype(int)
        at = np.interp(np.arange(count), places, np.arange(len(heights)))
    array = _between(planes.volume, at)
    first, last = planes.lattice.positions[0], planes.lattice.positions[-1]
    positions = first + np.arange(count)[:, None] / (count - 1) * (last - first)
    lattice = replace(planes.lattice, order=tuple(range(count)), positions=positions)
    step = heights[-1] / (count - 1)
    made = count - len(heights) if whole else count
    words = (
        f"{made} planes interpolated onto equal distances of {step:.4g} mm; "
        f"slices lay {gaps.min():.4g} to {gaps.max():.4g} mm apart"
    )
    nearest = np.rint(at).astype(int)
    return Planes(
        replace(planes.volume, array=array, affine=lattice.affine),
        lattice,
        tuple(planes.sources[index] for index in nearest),
        (*planes.repairs, words),
    )


def _between(volume: Volume, at: NDArray[np.float64]) -> NDArray[np.float32]:
    """Planes at fractional indices along the last axis, linearly interpolated, float32."""
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, volume.shape[2] - 1)
    out = np.empty((len(at), *volume.shape[1::-1]), np.float32).transpose(2, 1, 0)
    for plane, (below, above, share) in enumerate(zip(low, high, at - low, strict=True)):
        first = volume.array[:, :, below]
        if share == 0:
            out[:, :, plane] = first
        else:
            out[:, :, plane] = first * (1 - share) + volume.array[:, :, above] * share
    return out


def straighten(planes: Planes) -> Planes:
    """Resample a sheared stack onto a grid of right angles, with the same rows and columns.

    The grid covers all of the stack; what lies outside is padding: -1024 HU in CT, 0 in MR.
    """
    lattice = planes.lattice
    angle = tilt_degrees(lattice)
    if angle <= TILT_DEGREES:
        return planes
    sheared = planes.volume
    step = float(lattice.step @ lattice.normal)
    upright = replace(
        lattice,
        positions=lattice.positions[0] + lattice.heights[:, None] * lattice.normal,
    )
    affine = upright.affine
    columns, rows, count = sheared.shape
    ends = [(x, y, z) for x in (0, columns - 1) for y in (0, rows - 1) for z in (0, count - 1)]
    corners = apply_affine(np.linalg.inv(affine) @ sheared.affine, ends)
    low, high = np.floor(corners.min(axis=0) + 1e-6), np.ceil(corners.max(axis=0) - 1e-6)
    low[2], high[2] = 0, count - 1
    affine[:3, 3] = apply_affine(affine, low)
    x, y, _ = (int(size) for size in high - low + 1)
    grid = Grid((x, y, count), affine)
    straight = resample(sheared, grid, antialias=False)
    everywhere = Volume(np.ones(sheared.shape, np.uint8), sheared.affine, "LABEL")
    outside = resample(everywhere, grid).array == 0
    padding = PADDING["CT" if straight.modality == "CT" else "MR"]
    straight = straight.with_array(np.where(outside, np.float32(padding), straight.array))
    words = f"tilt of {angle:.4g} degrees taken out by resampling, slices {step:.4g} mm apart"
    return Planes(straight, upright, planes.sources, (*planes.repairs, words))
