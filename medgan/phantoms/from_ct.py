"""The anatomy of a real CT as a phantom: its tissues told from HU, so that MR can be simulated.

A CT shows bone, air and fat for certain. What is left is brain inside the skull, where CT says next
to nothing and the folding is drawn at random; elsewhere it passes for muscle.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medgan.phantoms.noise import PlaneWaves
from medgan.phantoms.tissues import Tissue
from medgan.volumes.geometry import Grid, crop, grid_with_spacing, reorient
from medgan.volumes.masks import body_mask
from medgan.volumes.resampling import resample
from medgan.volumes.volume import Volume

Mask = NDArray[np.bool_]

FINE_MM = 1.0
AIR_HU, FAT_HU, BONE_HU, DENSE_HU, TOOTH_HU = -300.0, -30.0, 200.0, 700.0, 2200.0
"""Upper ends of air and fat; lower ends of bone, of cortical bone inside bone, and of teeth."""

SKIN_MM = 2.0
CORTEX_OF_BONE_MM = 1.5
"""Bone within this of its surface is cortical, however partial volume thins its HU."""

CAVITY_CORE_MM = 8.0
"""Openings of the skull narrower than twice this part the brain from what lies outside."""

VENTRICLE_HU = 18.0
_CHUNK = 65536


@dataclass(frozen=True)
class ScannedAnatomy:
    """A real head ready to be imaged.

    Attributes:
        labels: uint8, values of ``Tissue``, at 1 mm, axes nearest to RAS, cropped to the patient.
        ct: float32 HU on the same grid, -1000 outside the body.
    """

    labels: Volume
    ct: Volume


def anatomy_of(ct: Volume, seed: int) -> ScannedAnatomy:
    """Tell the tissues of a head CT.

    Args:
        ct: HU; table and head holder are left out.
        seed: of the folds drawn inside the skull.

    Raises:
        DataError: there is no body in it.
    """
    ct = reorient(ct, "RAS")
    body = body_mask(ct)
    grid = grid_with_spacing(Grid.of(ct), (FINE_MM,) * 3)
    inside = resample(ct.with_array(body, modality="LABEL"), grid).array.astype(bool)
    box = ndimage.find_objects(inside.astype(np.uint8))[0]
    ct, inside = crop(resample(ct, grid), box), inside[box]
    hu = np.where(inside, np.maximum(ct.array, -1000), np.float32(-1000))
    labels = _outside_the_skull(hu, inside)
    _paint_brain(labels, hu, _cranial_cavity(hu), np.random.default_rng(seed))
    return ScannedAnatomy(ct.with_array(labels, modality="LABEL"), ct.with_array(hu))


def _outside_the_skull(hu: NDArray[np.float32], body: Mask) -> NDArray[np.uint8]:
    depth = ndimage.distance_transform_edt(body)
    bone = body & (hu > BONE_HU)
    bone_depth = ndimage.distance_transform_edt(bone)
    labels = np.select(
        [
            ~body | ((hu < AIR_HU) & (depth <= SKIN_MM)),
            hu < AIR_HU,
            hu > TOOTH_HU,
            bone & ((hu > DENSE_HU) | (bone_depth <= CORTEX_OF_BONE_MM)),
            bone,
            depth <= SKIN_MM,
            hu < FAT_HU,
        ],
        [
            Tissue.AIR,
            Tissue.INTERNAL_AIR,
            Tissue.TOOTH,
            Tissue.CORTICAL_BONE,
            Tissue.MARROW,
            Tissue.SKIN,
            Tissue.FAT,
        ],
        Tissue.MUSCLE,
    )
    return labels.astype(np.uint8)


def _cranial_cavity(hu: NDArray[np.float32]) -> Mask:
    """The largest soft region that looks at bone to the sides, to front and back, and above.

    One of the five views may be open: at a suture, a burr hole, or where the scan ends.
    """
    bone = hu > BONE_HU
    views = [_seen(bone, axis, backwards) for axis in (0, 1) for backwards in (False, True)]
    views.append(_seen(bone, 2, True))
    enclosed = (np.sum(views, axis=0) >= len(views) - 1) & (hu > FAT_HU) & ~bone
    core = ndimage.distance_transform_edt(enclosed) > CAVITY_CORE_MM
    pieces, count = ndimage.label(core)
    if not count:
        return np.zeros_like(bone)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    near = ndimage.distance_transform_edt(pieces != sizes.argmax()) <= CAVITY_CORE_MM + 1
    return np.asarray(near & enclosed)


def _seen(bone: Mask, axis: int, backwards: bool) -> Mask:
    """Where there is bone somewhere before a voxel along an axis, or behind it."""
    flipped = np.flip(bone, axis) if backwards else bone
    seen = np.maximum.accumulate(flipped, axis)
    return np.flip(seen, axis) if backwards else seen


def _paint_brain(
    labels: NDArray[np.uint8], hu: NDArray[np.float32], cavity: Mask, rng: np.random.Generator
) -> None:
    if not cavity.any():
        return
    depth = ndimage.distance_transform_edt(cavity)[cavity].astype(np.float32)
    smooth = ndimage.gaussian_filter(hu, 2.0)[cavity]
    points = np.argwhere(cavity).astype(np.float32) * np.float32(FINE_MM)
    folding = PlaneWaves(rng, (16, 38), 16)
    sheet = np.concatenate([_distance_to_zero(folding, points[start : start + _CHUNK])
                            for start in range(0, len(points), _CHUNK)])  # fmt: skip
    gap, cortex, sulcus = rng.uniform(1.5, 3.5), rng.uniform(2.5, 3.5), rng.uniform(0.5, 1.2)
    fluid = (depth < gap) | ((sheet < sulcus) & (depth < 20))
    fluid |= (smooth < VENTRICLE_HU) & (depth > 20)
    grey = np.minimum(depth - gap, np.where(depth < 22, sheet, np.float32(99))) < cortex
    labels[cavity] = np.select([fluid, grey], [Tissue.CSF, Tissue.GREY_MATTER], Tissue.WHITE_MATTER)


def _distance_to_zero(folding: PlaneWaves, points: NDArray[np.float32]) -> NDArray[np.float32]:
    field = folding.with_gradient(points)
    slope = np.linalg.norm(field.gradient, axis=1) + np.float32(0.05)
    return np.asarray(np.abs(field.value) / slope)
