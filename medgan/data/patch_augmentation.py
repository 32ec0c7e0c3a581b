"""Random views of volumes, drawn as a patch and turned in one interpolation."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from medgan.data.samples import Image, Mask

MAX_TURN_DEGREES = 10.0
MAX_SCALING = 0.1
GAMMA = (0.8, 1.25)
GAMMA_SHARE = 0.5
"""How often the contrast of an MR is varied."""


@dataclass(frozen=True, eq=False)
class PatchView:
    """Where the voxels of a patch lie in a volume: mirrored, turned and scaled about its middle.

    Attributes:
        shape: of the patch.
        matrix: (3, 3) float64, from voxels of the patch to voxels of the volume.
        centre: (3,) voxel of the volume that the patch's middle shows.
    """

    shape: tuple[int, int, int]
    matrix: NDArray[np.float64]
    centre: NDArray[np.float64]

    @classmethod
    def draw(
        cls,
        shape: tuple[int, int, int],
        centre: NDArray[np.float64],
        spacing_mm: tuple[float, float, float],
        rng: np.random.Generator,
    ) -> Self:
        """A random view: mirrored left to right or not, turned, larger or smaller.

        Args:
            shape: of the patch.
            centre: (3,) voxel that its middle is to show.
            spacing_mm: voxel size; turning happens in mm.
            rng: determines the view completely.
        """
        angle = rng.uniform(-MAX_TURN_DEGREES, MAX_TURN_DEGREES)
        axis = rng.normal(size=3)
        turn = Rotation.from_rotvec(np.deg2rad(angle) * axis / np.linalg.norm(axis)).as_matrix()
        mirror = np.diag([rng.choice([-1.0, 1.0]), 1.0, 1.0])
        scaling = 1 + rng.uniform(-MAX_SCALING, MAX_SCALING)
        spacing = np.diag(spacing_mm)
        matrix = np.linalg.inv(spacing) @ (scaling * turn @ mirror) @ spacing
        return cls(shape, matrix, centre)

    def of_image(self, images: Image) -> Image:
        """The patch of (C, X, Y, Z) float32 in [-1, 1]; what lies outside them is air."""
        patches = [self._sampled(image, order=1, outside=-1.0) for image in images]
        # rounding beyond -1 would have no power in ``vary_contrast``
        return np.stack(patches).clip(-1.0, 1.0)

    def of_mask(self, mask: Mask) -> Mask:
        """The patch of (X, Y, Z) bool, as (1, X', Y', Z')."""
        return self._sampled(mask.astype(np.uint8), order=0, outside=0.0)[None] > 0

    def _sampled(self, values: NDArray[Any], *, order: int, outside: float) -> NDArray[Any]:
        middle = (np.array(self.shape) - 1) / 2
        return ndimage.affine_transform(
            values,
            self.matrix,
            self.centre - self.matrix @ middle,
            self.shape,
            order=order,
            mode="constant",
            cval=outside,
        )


def vary_contrast(image: Image, rng: np.random.Generator) -> Image:
    """Raise the values of each MR channel, half of the time, to a power between 0.8 and 1.25.

    Args:
        image: (C, *S) float32 in [-1, 1].
        rng: determines the powers completely.
    """
    powers = [rng.uniform(*GAMMA) if rng.random() < GAMMA_SHARE else 1.0 for _ in image]
    exponent = np.array(powers, np.float32).reshape(-1, *[1] * (image.ndim - 1))
    return np.asarray(((image + 1) / 2) ** exponent * 2 - 1, dtype=np.float32)
