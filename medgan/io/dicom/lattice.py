"""The regular lattice that slices should lie on, and how they depart from it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medgan.io.dicom.errors import (
    DuplicateSlices,
    GantryTilt,
    InvalidOrientation,
    MissingGeometry,
    MissingSlices,
    UnalignedSlices,
    VariableSpacing,
    tag,
)
from medgan.io.dicom.frames import Frame
from medgan.io.values import LARGEST_MM, SMALLEST_MM
from medgan.volumes.geometry import Affine, lps_to_ras

Vector = NDArray[np.float64]

SMALLEST_TOLERANCE_MM, TOLERANCE = 0.01, 0.01
"""A slice may lie off its place by 0.01 mm or 1 % of the slice distance, whichever is more: what
rounding in headers makes, and far below what an image shows."""

TILT_DEGREES = 0.1
"""Largest angle between the line through the slices and their normal: 0.3 mm over 200 mm."""

UNIT_TOLERANCE = 1e-3
"""How far direction cosines may be from unit length and from a right angle."""

_RESAMPLE = (
    "Ask for irregular series to be resampled (--irregular resample), or export the series again"
)


@dataclass(frozen=True, eq=False)
class Lattice:
    """Slices in order along their normal, LPS.

    Attributes:
        order: index into the frames given, by ascending position.
        positions: (N, 3) of each slice's first pixel in that order, in mm.
        row: unit vector along a row, towards higher columns.
        column: unit vector along a column, towards higher rows.
        spacing: distance between rows, and between columns, in mm.
        thickness: distance to assume where there is a single slice, in mm.
        tilt: GantryDetectorTilt in degrees, where the header has one.
    """

    order: tuple[int, ...]
    positions: Vector
    row: Vector
    column: Vector
    spacing: tuple[float, float]
    thickness: float
    tilt: float | None = None

    @property
    def normal(self) -> Vector:
        """Unit vector across the slices: row x column."""
        return np.cross(self.row, self.column)

    @property
    def heights(self) -> Vector:
        """(N,) distance of each slice from the first along the normal, in mm."""
        return (self.positions - self.positions[0]) @ self.normal

    @property
    def step(self) -> Vector:
        """(3,) from one slice to the next, on average, in mm."""
        if len(self.positions) == 1:
            return self.normal * self.thickness
        return (self.positions[-1] - self.positions[0]) / (len(self.positions) - 1)

    @property
    def base_gap_mm(self) -> float:
        """The slice distance that most gaps have: the median of those near the smallest."""
        gaps = np.diff(self.heights)
        return float(np.median(gaps[gaps <= gaps.min() + tolerance_mm(gaps.min())]))

    @property
    def affine(self) -> Affine:
        """(4, 4) voxel index (column, row, slice) -> RAS in mm; sheared where tilted."""
        affine = np.eye(4)
        affine[:3, 0] = self.row * self.spacing[1]
        affine[:3, 1] = self.column * self.spacing[0]
        affine[:3, 2] = self.step
        affine[:3, 3] = self.positions[0]
        return lps_to_ras(affine)


def tolerance_mm(step_mm: float) -> float:
    """How far a slice may lie off its place, for a slice distance in mm."""
    return max(SMALLEST_TOLERANCE_MM, TOLERANCE * step_mm)


def lattice_of(frames: Sequence[Frame], where: object) -> Lattice:
    """Put slices in order.

    The normal is row x column direction, so that columns, rows and slices are right-handed in
    LPS. A single slice has its SliceThickness as spacing, or 1 mm: nothing else is known of it.

    Args:
        frames: of one matrix, orientation and pixel spacing.
        where: names them in errors.

    Raises:
        MissingGeometry: position, orientation or pixel spacing absent or invalid.
        InvalidOrientation: the direction cosines are no two unit vectors at right angles.

    Source:
        DICOM PS3.3 C.7.6.2.1.1 (directions, positions), 10.7.1.3 (spacing: rows first).
    """
    for keyword, values in (
        ("ImagePositionPatient", [frame.position for frame in frames]),
        ("ImageOrientationPatient", [frame.orientation for frame in frames]),
        ("PixelSpacing", [frame.pixel_spacing for frame in frames]),
    ):
        if absent := sum(value is None for value in values):
            raise MissingGeometry(
                f"{tag(keyword)} is absent or no set of finite numbers",
                where=where,
                measured=f"{absent} of {len(frames)} images",
                limit=0,
                remedy="Where the images lie is never guessed; export the series again",
            )
    first = frames[0]
    assert first.orientation is not None and first.pixel_spacing is not None
    row, column = _directions(first.orientation, where)
    thickness = first.slice_thickness or 0.0
    thickness = thickness if thickness > 0 else 1.0
    positions = np.array([frame.position for frame in frames], dtype=np.float64)
    _require_possible(first.pixel_spacing, "PixelSpacing", where)
    _require_possible((thickness,), "SliceThickness", where)
    # A position may be 0.
    farthest = max(SMALLEST_MM, float(np.abs(positions).max()))
    _require_possible((farthest,), "ImagePositionPatient", where)
    order = np.argsort(positions @ np.cross(row, column), kind="stable")
    down, along = first.pixel_spacing
    return Lattice(
        tuple(int(index) for index in order),
        positions[order],
        row,
        column,
        (down, along),
        thickness,
        first.tilt,
    )


def _require_possible(lengths: Sequence[float], keyword: str, where: object) -> None:
    if not SMALLEST_MM <= min(lengths) <= max(lengths) <= LARGEST_MM:
        raise MissingGeometry(
            f"{tag(keyword)} is impossible",
            where=where,
            measured=", ".join(f"{length:.3g}" for length in lengths),
            limit=f"{SMALLEST_MM:g} to {LARGEST_MM:g} mm",
        )


def _directions(cosines: Sequence[float], where: object) -> tuple[Vector, Vector]:
    row, column = np.array(cosines[:3]), np.array(cosines[3:])
    lengths = float(np.linalg.norm(row)), float(np.linalg.norm(column))
    wrong = max(abs(lengths[0] - 1), abs(lengths[1] - 1), abs(float(row @ column)))
    if not wrong <= UNIT_TOLERANCE:
        raise InvalidOrientation(
            f"{tag('ImageOrientationPatient')} is not two unit vectors at right angles",
            where=where,
            measured=f"off by {wrong:.3g}",
            limit=UNIT_TOLERANCE,
        )
    row /= lengths[0]
    column -= (column @ row) * row
    return row, column / np.linalg.norm(column)


def require_distinct(lattice: Lattice, names: Sequence[str], where: object) -> None:
    """Refuse two slices at one height.

    Args:
        lattice: of the slices.
        names: of the files, in the lattice's order.
        where: names the series in the error.

    Raises:
        DuplicateSlices: naming them.
    """
    close = np.flatnonzero(np.diff(lattice.heights) <= SMALLEST_TOLERANCE_MM)
    if len(close):
        pairs = [f"{names[index]} and {names[index + 1]}" for index in close[:2]]
        raise DuplicateSlices(
            f"several images lie at one place: {'; '.join(pairs)}",
            where=where,
            measured=f"{len(close)} too many by {tag('ImagePositionPatient')}",
            limit=0,
            remedy="Remove those that do not belong here; identical ones may be merged by asking "
            "for irregular series to be resampled",
        )


def require_regular(lattice: Lattice, names: Sequence[str], where: object) -> None:
    """Refuse slices that lie on no lattice of right angles.

    Args:
        lattice: of the slices, no two at one height.
        names: of the files, in the lattice's order.
        where: names the series in errors.

    Raises:
        MissingSlices: gaps are whole multiples of the slice distance.
        VariableSpacing: they are not.
        UnalignedSlices: the first pixels lie on no straight line.
        GantryTilt: the line is not along the normal.
    """
    if len(names) < 2:
        return
    _require_even(lattice, names, where)
    require_aligned(lattice, names, where)
    angle = tilt_degrees(lattice)
    if angle > TILT_DEGREES:
        stated = "" if lattice.tilt is None else f", {tag('GantryDetectorTilt')} {lattice.tilt:g}"
        raise GantryTilt(
            f"slices are shifted sideways by {tag('ImagePositionPatient')}{stated}",
            where=where,
            measured=f"{angle:.3g} degrees",
            limit=f"{TILT_DEGREES:g} degrees",
            remedy=_RESAMPLE,
        )


def _require_even(lattice: Lattice, names: Sequence[str], where: object) -> None:
    heights, gaps = lattice.heights, np.diff(lattice.heights)
    base = lattice.base_gap_mm
    limit = tolerance_mm(base)
    even = heights[-1] / (len(heights) - 1) * np.arange(len(heights))
    if np.abs(gaps - base).max() <= limit and np.abs(heights - even).max() <= limit:
        return
    widest = int(np.argmax(gaps))
    multiples = np.rint(gaps / base)
    absent = int((multiples - 1).sum())
    measured = (
        f"{gaps.min():.5g} to {gaps.max():.5g} mm, widest between {names[widest]} and "
        f"{names[widest + 1]}"
    )
    allowed = f"{base:.5g} mm within {limit:.2g} mm"
    if absent > 0 and (np.abs(gaps - multiples * base) <= limit * multiples).all():
        raise MissingSlices(
            f"slices are missing by {tag('ImagePositionPatient')}",
            where=where,
            measured=f"{absent} missing, {measured}",
            limit=allowed,
            remedy=_RESAMPLE,
        )
    raise VariableSpacing(
        f"slice distances vary by {tag('ImagePositionPatient')}",
        where=where,
        measured=measured,
        limit=allowed,
        remedy=_RESAMPLE,
    )


def require_aligned(lattice: Lattice, names: Sequence[str], where: object) -> None:
    """Refuse slices whose first pixels lie on no straight line.

    Raises:
        UnalignedSlices: with the largest distance from the line.
    """
    heights = lattice.heights
    if len(names) < 3 or heights[-1] <= 0:
        return
    line = heights[:, None] / heights[-1] * (lattice.positions[-1] - lattice.positions[0])
    away = np.linalg.norm(lattice.positions - lattice.positions[0] - line, axis=1)
    worst = int(np.argmax(away))
    limit = tolerance_mm(lattice.base_gap_mm)
    if away[worst] > limit:
        raise UnalignedSlices(
            f"positions lie on no straight line by {tag('ImagePositionPatient')}",
            where=where,
            measured=f"{away[worst]:.4g} mm off it at {names[worst]}",
            limit=f"{limit:.2g} mm",
        )


def tilt_degrees(lattice: Lattice) -> float:
    """Angle between the line through the slices and their normal.

    0 where the shift over the whole stack is no more than rounding of positions makes.
    """
    across = float(lattice.step @ lattice.normal)
    sideways = float(np.linalg.norm(lattice.step - across * lattice.normal))
    if sideways * (len(lattice.positions) - 1) <= SMALLEST_TOLERANCE_MM:
        return 0.0
    return float(np.degrees(np.arctan2(sideways, across)))
