"""Whole MR and CT scans of a phantom head on one grid."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from medgan.errors import GeometryError
from medgan.phantoms.anatomy import HeadAnatomy
from medgan.phantoms.ct import bone_texture, correlated_noise, subject_hounsfield
from medgan.phantoms.mr import (
    add_rician_noise,
    bias_field,
    preset,
    table_relaxation,
)
from medgan.phantoms.randomised import TissueValues, random_tissue_values
from medgan.phantoms.tissues import Tissue
from medgan.volumes.volume import Volume

FIELD_OF_VIEW_MM = (184.0, 236.0, 216.0)
_CENTRE_MM = np.array([0.0, 6.0, -16.0])

RANDOMISED_STREAM = 2


@dataclass(frozen=True)
class HeadScan:
    """MR, CT and labels of one head on one grid.

    Attributes:
        mr: float32, arbitrary unit.
        ct: float32 HU.
        labels: uint8, values of ``Tissue``.
    """

    mr: Volume
    ct: Volume
    labels: Volume


def scan_head(
    seed: int,
    *,
    contrast: str = "t1",
    spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0),
    shape: tuple[int, int, int] | None = None,
    randomised: bool = False,
    supersample: int = 2,
    noise: bool = True,
) -> HeadScan:
    """Scan a phantom head in a random pose; all contrasts of a seed are in register.

    Args:
        seed: of the anatomy, pose, contrast and noise.
        contrast: ``"t1"`` or ``"t2"``, where randomised also ``"any"``.
        spacing_mm: voxel size along (X, Y, Z).
        shape: number of voxels; by default enough for the head from vertex to chin.
        randomised: draw sequence and tissues at random instead of taking the usual ones.
        supersample: points along x and y in each voxel, averaged for partial volume.
        noise: add texture, receive field and noise.

    Raises:
        ConfigError: the contrast is unknown.
        GeometryError: spacing, shape or supersampling is not positive.
    """
    if min(spacing_mm) <= 0 or supersample < 1 or (shape is not None and min(shape) < 1):
        raise GeometryError(
            "spacing, shape and supersampling must be positive",
            measured=(spacing_mm, shape, supersample),
        )
    rng = np.random.default_rng([seed, 1])
    # of a stream of its own: the pose must not depend on the contrast
    imagined = np.random.default_rng([seed, RANDOMISED_STREAM])
    values = _tissue_values(imagined if randomised else rng, contrast, randomised)
    if shape is None:
        x, y, z = (
            round(extent / step) for extent, step in zip(FIELD_OF_VIEW_MM, spacing_mm, strict=True)
        )
        shape = x, y, z
    angles = np.clip(rng.normal(0, [3.0, 2.0, 3.0]), -8, 8)
    turn = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    affine = np.diag([*spacing_mm, 1.0])
    affine[:3, 3] = _CENTRE_MM - np.array(spacing_mm) * (np.array(shape) - 1) / 2
    anatomy = HeadAnatomy(seed)
    mr = np.empty(shape, dtype=np.float32)
    ct = np.empty(shape, dtype=np.float32)
    labels = np.empty(shape, dtype=np.uint8)
    for k in range(shape[2]):
        fine = _fine_slice(anatomy, affine, turn, shape, k, supersample)
        mr[:, :, k] = _averaged(values.signal[fine])
        ct[:, :, k] = _averaged(values.hu[fine])
        centre = _fine_slice(anatomy, affine, turn, shape, k, 1) if supersample % 2 == 0 else fine
        labels[:, :, k] = centre[:, :, centre.shape[2] // 2]
    if noise:
        mr *= bias_field(shape, rng, rng.uniform(0.05, 0.25))
        level = float(values.signal[[Tissue.WHITE_MATTER, Tissue.GREY_MATTER]].mean())
        mr = add_rician_noise(mr, rng, level / rng.uniform(25, 60))
        ct += bone_texture(labels, rng)
        ct += correlated_noise(shape, rng, rng.uniform(3, 9))
    return HeadScan(
        Volume(mr, affine, "MR", synthetic=True),
        Volume(ct, affine, "CT", synthetic=True),
        Volume(labels, affine, "LABEL", synthetic=True),
    )


def _tissue_values(rng: np.random.Generator, contrast: str, randomised: bool) -> TissueValues:
    if randomised:
        return random_tissue_values(rng, contrast)
    signal = preset(contrast).signal(table_relaxation()).astype(np.float32)
    return TissueValues(signal, subject_hounsfield(rng))


def _fine_slice(
    anatomy: HeadAnatomy,
    affine: NDArray[np.float64],
    turn: NDArray[np.float64],
    shape: tuple[int, int, int],
    k: int,
    supersample: int,
) -> NDArray[np.uint8]:
    """Labels of the sub-points of every voxel of slice k: (X, Y, supersample**2)."""
    within = (np.arange(supersample) + 0.5) / supersample - 0.5
    i, j, u, v = np.meshgrid(
        np.arange(shape[0]), np.arange(shape[1]), within, within, indexing="ij"
    )
    index = np.stack([(i + u).ravel(), (j + v).ravel(), np.full(i.size, float(k))], axis=1)
    points = index @ affine[:3, :3].T + affine[:3, 3]
    labels = anatomy.labels((points @ turn).astype(np.float32))
    return labels.reshape(shape[0], shape[1], supersample**2)


def _averaged(values: NDArray[np.float32]) -> NDArray[np.float32]:
    mean: NDArray[np.float32] = values.mean(axis=2, dtype=np.float32)
    return mean
