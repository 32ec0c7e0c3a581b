"""Which voxels count where no mask is given: each protocol's own rule."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from medgan.volumes.geometry import axis_codes
from medgan.volumes.masks import body_mask, dilate_mm
from medgan.volumes.volume import Volume

OUTLINE_MARGIN_MM = 10.0
"""In-plane growth of the SynthRAD outline: 10 voxels, of 1 mm on the grids of the challenge."""


@dataclass(frozen=True, eq=False)
class EvaluationMask:
    """The voxels that count, (X, Y, Z) bool, at least one, and the rule that chose them."""

    voxels: NDArray[np.bool_]
    rule: str


MaskRule = Callable[[Volume, Volume | None], EvaluationMask]
"""(reference, source or None, both on one grid) -> the voxels that count."""


def reference_body(reference: Volume, source: Volume | None) -> EvaluationMask:
    """The patient in the reference; the source has no say."""
    return EvaluationMask(body_mask(reference), "body mask of the reference")


def common_body(reference: Volume, source: Volume | None) -> EvaluationMask:
    """Where both reference and source have patient; the reference alone where no source is given.

    Source: HieuPhan33/MaskGAN, preprocess/main.py.
    """
    if source is None:
        return reference_body(reference, None)
    both = body_mask(reference) & body_mask(source)
    return EvaluationMask(both, "body masks of source and reference, both")


def synthrad_outline(reference: Volume, source: Volume | None) -> EvaluationMask:
    """The patient's outline in the source, grown in plane, inside the source's field of view.

    The outline is that of ``body_mask``, not the challenge's threshold; the challenge's own masks
    come with its data. Without a source the outline is the reference's.

    Source: SynthRAD2025/preprocessing.
    """
    image, name = (reference, "reference") if source is None else (source, "source")
    grown = _grown_in_plane(body_mask(image), image)
    if image.modality == "MR":
        seen = np.zeros_like(grown)
        box = find_objects((image.array != 0).astype(np.uint8))[0]
        seen[box] = True
        grown &= seen
    return EvaluationMask(
        grown, f"body mask of the {name} grown by {OUTLINE_MARGIN_MM:g} mm in plane"
    )


def _grown_in_plane(mask: NDArray[np.bool_], volume: Volume) -> NDArray[np.bool_]:
    through = next(axis for axis, code in enumerate(axis_codes(volume.affine)) if code in "SI")
    # Slices so far apart that the margin reaches no neighbour.
    x, y, z = (
        1e3 * OUTLINE_MARGIN_MM if axis == through else size
        for axis, size in enumerate(volume.spacing_mm)
    )
    return dilate_mm(mask, (x, y, z), OUTLINE_MARGIN_MM)
