"""Maps of tissues of chests: what is where, from CT numbers, the lungs and the nodules."""

from collections.abc import Sequence
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medgan.config import CHEST_CHANNELS
from medgan.data.nodule_condition import SOLID_HU, density_of
from medgan.data.nodule_sites import VESSEL_HU
from medgan.data.samples import Image, Mask
from medgan.volumes.intensity import WindowScale

TissueMap = NDArray[np.uint8]
"""Values of ``ChestTissue``."""

AIR_BELOW_HU = -400.0
"""Half way from air or lung (-1000 to -850 HU) to soft tissue; above it the body is tissue."""

FAT_BELOW_HU = -30.0
"""Half way from fat (-100 HU) to soft tissue (40 HU)."""

BONE_HU = 200.0
"""Above soft tissue with its noise; contrast agent in vessels counts as bone."""

SMOOTH_MM = 0.8
"""Standard deviation of the blur before CT numbers are compared with limits, against noise."""


class ChestTissue(IntEnum):
    """What a voxel of a chest is.

    Attributes:
        AIR: around the patient, in airways and in bowel.
        FAT: and what of other tissue shares a voxel with air.
        SOFT: muscle, blood, organs.
        BONE: and what else is as dense.
        LUNG: without its vessels.
        VESSEL: and walls of airways, in the lungs.
        NODULE: a nodule's solid part.
        GROUND_GLASS: the rest of a nodule.
    """

    AIR = 0
    FAT = 1
    SOFT = 2
    BONE = 3
    LUNG = 4
    VESSEL = 5
    NODULE = 6
    GROUND_GLASS = 7


IN_LUNG = (ChestTissue.LUNG, ChestTissue.VESSEL)
IN_NODULE = (ChestTissue.NODULE, ChestTissue.GROUND_GLASS)

_MAPPED = tuple(ChestTissue)[1:]

assert 1 + len(_MAPPED) == CHEST_CHANNELS

TYPICAL_HU = np.array([-1000, -100, 40, 350, -850, -300, -20, -570], np.float32)
"""CT number of each tissue in a plain drawing. Vessels and nodules share their voxels with lung:
-350 and -60 HU in phantoms of 2.5 mm; ground glass lies at -690 to -500 HU there.
"""


def chest_tissues(
    hu: Image, spacing_mm: Sequence[float], body: Mask, lungs: Mask, nodules: NDArray[np.uint8]
) -> TissueMap:
    """The tissue of every voxel.

    Args:
        hu: (X, Y, Z) float32.
        spacing_mm: voxel size.
        body: (X, Y, Z) bool; all outside is air.
        lungs: (X, Y, Z) bool, vessels in them included.
        nodules: (X, Y, Z), number of the nodule from 1 on, 0 where there is none.

    Returns:
        (X, Y, Z) uint8.
    """
    smooth = ndimage.gaussian_filter(hu, [SMOOTH_MM / size for size in spacing_mm])
    found = np.full(hu.shape, ChestTissue.AIR, np.uint8)
    dense = body & (smooth > AIR_BELOW_HU)
    found[dense] = ChestTissue.FAT
    found[dense & (smooth > FAT_BELOW_HU)] = ChestTissue.SOFT
    found[dense & (smooth > BONE_HU)] = ChestTissue.BONE
    found[lungs] = ChestTissue.LUNG
    found[lungs & (smooth > VESSEL_HU)] = ChestTissue.VESSEL
    for number, box in enumerate(ndimage.find_objects(nodules), 1):
        if box is None:
            continue
        mask = nodules[box] == number
        density = density_of(hu[box], mask)
        solid = mask & (density == "solid" or (smooth[box] > SOLID_HU))
        if density == "ground-glass":
            solid = np.zeros_like(mask)
        found[box][mask] = ChestTissue.GROUND_GLASS
        found[box][solid] = ChestTissue.NODULE
    return found


def mask_picture(tissues: TissueMap, noise_hu: Image, scale: WindowScale) -> Image:
    """What a generator reads: a plain drawing of the map, and a map for each tissue but air.

    The drawing gives every tissue its typical CT number and adds noise: a generator may copy it
    where that is all there is to see, and has something to make the grain of a scan of.

    Args:
        tissues: (*S) values of ``ChestTissue``.
        noise_hu: (*S) float32, what a scanner adds.
        scale: from HU to [-1, 1].

    Returns:
        (CHEST_CHANNELS, *S) float32 in [-1, 1]: the drawing; then 1 where the tissue is, else -1.
    """
    drawing = scale.forward(TYPICAL_HU[tissues] + noise_hu)
    maps = [np.where(tissues == kind, np.float32(1), np.float32(-1)) for kind in _MAPPED]
    return np.stack([drawing, *maps])


def picture_tissues(picture: Image) -> TissueMap:
    """The tissues that a mask picture (CHEST_CHANNELS, *S) shows most; air where none is above 0.

    Returns:
        (*S) uint8.
    """
    maps = picture[1:]
    found = 1 + maps.argmax(axis=0)
    return np.where(maps.max(axis=0) > 0, found, ChestTissue.AIR).astype(np.uint8)
