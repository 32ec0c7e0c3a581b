"""Where in the lungs a nodule may be put."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from medgan.data.luna16_scan import Nodule
from medgan.data.samples import Mask
from medgan.errors import DataError
from medgan.io.luna16 import to_world
from medgan.volumes import Volume
from medgan.volumes.geometry import Grid, crop, grid_with_spacing, require_same_grid
from medgan.volumes.masks import dilate_mm
from medgan.volumes.resampling import resample

VESSEL_HU = -500.0
"""Half way from lung at full inspiration (-850 HU) to blood, darkened by partial volume."""

THICK_VESSEL_MM = 4.0
"""Vessels of this diameter and more are not crossed; thinner ones reach everywhere."""

DENSE_SHARE = 0.02
"""The most of a site that may be denser than VESSEL_HU."""

GAP_MM = 5.0
"""Kept free between a new nodule and a finding that is there."""

WORKING_MM = 1.5
"""Voxel size, or the scan's own where that is larger, on which sites are judged."""

_TRIES = 200
"""Positions drawn for each site wanted before giving up."""


@dataclass(frozen=True)
class Site:
    """A place for a nodule.

    Attributes:
        position_mm: world coordinates of the centre, LPS.
        radius_mm: of the ball that was found free.
        wall_mm: distance from the centre to the nearest voxel that is not lung.
    """

    position_mm: tuple[float, float, float]
    radius_mm: float
    wall_mm: float


class SiteFinder:
    """Finds healthy sites in a scan.

    A ball of the nodule's radius about a voxel's centre is a site when

    * its centre lies in the lungs, and the ball too with a margin to spare: the wall is farther
      away than ``radius + margin``. On the wall instead: the wall is between 0.3 and 0.9 radii
      away, so that the nodule is cut by the pleura, and only what lies in the lungs counts below;
    * it touches no vessel of 4 mm and more in diameter, and at most 2 % of it is denser than
      -500 HU;
    * it keeps 5 mm from every finding of the scan, nodules and excluded findings alike, and from
      every site given out before.

    Args:
        ct: HU, any orientation.
        lungs: LABEL on the same grid; what is not 0 is lung.
        findings: what is there already; a diameter of -1 counts as 10 mm.

    Raises:
        GeometryError: the two lie on different grids.
        DataError: no lung in the mask.
    """

    def __init__(self, ct: Volume, lungs: Volume, findings: Sequence[Nodule] = ()) -> None:
        require_same_grid(ct, lungs)
        box = _box(lungs.array != 0)
        near, mask = crop(ct, box), crop(lungs, box)
        x, y, z = (max(WORKING_MM, size) for size in ct.spacing_mm)
        self._grid = grid_with_spacing(Grid.of(near), (x, y, z))
        self._lungs = resample(mask.with_array(mask.array != 0), self._grid).array
        self._wall_mm = _depth_mm(self._lungs, self._grid)
        self._dense = (resample(near, self._grid).array > VESSEL_HU) & self._lungs
        self._vessel_mm = self._distance_to_thick_vessels()
        self._taken = [(finding.position_mm, finding.radius_mm) for finding in findings]

    def find(
        self,
        radius_mm: float,
        rng: np.random.Generator,
        *,
        margin_mm: float = 3.0,
        on_wall: bool = False,
    ) -> Site:
        """Draw a site, evenly over the voxels that the first two rules allow, and reserve it.

        Args:
            radius_mm: of the nodule.
            rng: determines the site.
            margin_mm: between nodule and wall; of no effect on the wall.
            on_wall: a site at the pleura instead of one away from it.

        Raises:
            DataError: none was found.
        """
        wall = self._wall_mm
        if on_wall:
            allowed = (wall >= 0.3 * radius_mm) & (wall <= 0.9 * radius_mm)
        else:
            allowed = wall > radius_mm + margin_mm
        allowed &= self._lungs & (self._vessel_mm > radius_mm)
        indices = np.argwhere(allowed)
        for index in rng.permutation(indices)[:_TRIES]:
            position = to_world(self._grid, index)
            if self._is_free(position, radius_mm) and self._is_healthy(index, radius_mm):
                x, y, z = position.tolist()
                self._taken.append(((x, y, z), radius_mm))
                return Site((x, y, z), radius_mm, float(wall[tuple(index)]))
        raise DataError(
            "no site for a nodule in these lungs",
            measured=f"{len(indices)} voxels of {WORKING_MM:g} mm far enough from wall and vessels",
            remedy="Ask for a smaller nodule or margin, or for fewer nodules",
        )

    def _distance_to_thick_vessels(self) -> NDArray[np.float32]:
        spacing = self._grid.spacing_mm
        # Voxels at the wall are dense by partial volume; a nodule's own distance from it is judged.
        inner = self._dense & (self._wall_mm > 2 * WORKING_MM)
        half = max(THICK_VESSEL_MM / 2, max(spacing))
        core = inner & ~dilate_mm(~inner, spacing, half)
        thick = dilate_mm(core, spacing, half)
        return _depth_mm(~thick, self._grid)

    def _is_free(self, position_mm: NDArray[np.float64], radius_mm: float) -> bool:
        return all(
            np.linalg.norm(position_mm - other) >= radius_mm + radius + GAP_MM
            for other, radius in self._taken
        )

    def _is_healthy(self, index: NDArray[np.int64], radius_mm: float) -> bool:
        spacing = np.asarray(self._grid.spacing_mm)
        steps = np.ceil(radius_mm / spacing).astype(int)
        low, high = np.maximum(index - steps, 0), np.minimum(index + steps + 1, self._grid.shape)
        box = tuple(slice(a, b) for a, b in zip(low.tolist(), high.tolist(), strict=True))
        offset = np.indices(high - low).T + low - index
        ball: Mask = (np.linalg.norm(offset * spacing, axis=-1) <= radius_mm).T
        ball &= self._lungs[box]
        return bool(self._dense[box][ball].mean() <= DENSE_SHARE)


def _box(lungs: Mask) -> tuple[slice, slice, slice]:
    """Where the lungs lie, with two voxels of wall where the image has them."""
    found = ndimage.find_objects(lungs.view(np.uint8))
    if not found or found[0] is None:
        raise DataError("the mask of the lungs is empty", remedy="Check the scan and its mask")
    x, y, z = (slice(max(0, side.start - 2), side.stop + 2) for side in found[0])
    return x, y, z


def _depth_mm(mask: Mask, grid: Grid) -> NDArray[np.float32]:
    """Distance of every voxel's centre to the nearest centre outside a mask; 0 outside."""
    if mask.all():
        return np.full(mask.shape, np.inf, np.float32)
    # Ten times as fast as SciPy's transform.
    image = sitk.GetImageFromArray(np.ascontiguousarray(~mask.T).view(np.uint8))
    image.SetSpacing(grid.spacing_mm)
    distance = sitk.SignedMaurerDistanceMap(image, squaredDistance=False, useImageSpacing=True)
    return np.asarray(sitk.GetArrayFromImage(distance).T.clip(min=0), np.float32)
