"""How sharp the edges of a chest CT are."""

import math

import numpy as np
from scipy import ndimage

from medgan.errors import DataError
from medgan.volumes.geometry import require_same_grid
from medgan.volumes.masks import dilate_mm
from medgan.volumes.volume import Volume

STEP_HU = 890.0
"""From lung (-850 HU) to soft tissue (40 HU)."""

_SHARPEST = 99.0
"""Percentile of the slopes at the wall: most of it is blurred by breathing and partial volume."""


def edge_sigma_mm(scan: Volume, lungs: Volume) -> float:
    """Blur of a scan's sharpest edges, from the slope where the lungs meet the wall.

    A step of height h behind a Gaussian of standard deviation s has the slope ``h / (s sqrt(2
    pi))`` in its middle.

    Args:
        scan: CT in HU, any orientation.
        lungs: LABEL on the same grid; what is not 0 is lung.

    Returns:
        Standard deviation in mm; across thick slices the image is blurred more than that.

    Raises:
        GeometryError: the two lie on different grids.
        DataError: no lung in the mask.
    """
    require_same_grid(scan, lungs)
    mask = lungs.array != 0
    found = ndimage.find_objects(mask.view(np.uint8))
    if not found or found[0] is None:
        raise DataError("the mask of the lungs is empty")
    box = tuple(slice(max(0, side.start - 3), side.stop + 3) for side in found[0])
    mask, spacing = mask[box], scan.spacing_mm
    reach = max(spacing)
    wall = dilate_mm(mask, spacing, reach) & dilate_mm(~mask, spacing, reach)
    # Bone and air in the bowel would make steeper steps than the one that is assumed.
    hu = np.clip(scan.array[box], -1000, 100).astype(np.float32)
    slopes = np.gradient(hu, *spacing)
    slope = np.sqrt(sum(part[wall] ** 2 for part in slopes))
    return STEP_HU / (math.sqrt(2 * math.pi) * float(np.percentile(slope, _SHARPEST)))
