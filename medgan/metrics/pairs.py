"""A prediction against its reference."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medgan.errors import DataError, GeometryError
from medgan.metrics.mask_rules import EvaluationMask
from medgan.metrics.protocols import Protocol, protocol_named
from medgan.volumes.geometry import apply_affine, axis_codes, reorient, same_grid
from medgan.volumes.volume import Volume

__all__ = [
    "EvaluationMask",
    "MaskLike",
    "PairResult",
    "evaluate_pair",
    "require_on_grid",
    "resolve_mask",
]

MaskLike = Volume | NDArray[np.bool_] | EvaluationMask
"""Non-zero or True counts; on the grid of the images."""

MEASURED_AXES = "LPS"
"""Axes the images are turned to before they are measured: those of the SynthRAD files.

MS-SSIM halves an axis from its first voxel and MaskGAN's slices are axial, so that the order in
which a file stores its voxels would change the numbers.
"""


@dataclass(frozen=True)
class PairResult:
    """The numbers of one pair and all that is needed to compare them with others.

    Attributes:
        protocol: name of the protocol.
        values: by measure; NaN where undefined, infinite PSNR for identical images.
        mask_rule: where the mask came from.
        limits: range that PSNR and SSIM clip to.
        peak: the signal in PSNR.
        unit: of ``limits``, ``peak`` and every mean absolute error.
        averaging: what one number is averaged over.
        voxels: size of the mask.
    """

    protocol: str
    values: Mapping[str, float]
    mask_rule: str
    limits: tuple[float, float]
    peak: float
    unit: str
    averaging: str
    voxels: int

    def to_dict(self) -> dict[str, Any]:
        """Flat form: the measures beside what defines them."""
        return {**self.values, **self.definition(), "voxels": self.voxels}

    def definition(self) -> dict[str, Any]:
        """What two results must share to be comparable."""
        return {
            "protocol": self.protocol,
            "range": list(self.limits),
            "psnr_peak": self.peak,
            "unit": self.unit,
            "mask_rule": self.mask_rule,
            "averaging": self.averaging,
        }


def evaluate_pair(
    prediction: Volume,
    reference: Volume,
    *,
    mask: MaskLike | None = None,
    source: Volume | None = None,
    protocol: str = "synthrad2023",
) -> PairResult:
    """Quality of a prediction by a protocol.

    Args:
        prediction: (X, Y, Z), of the protocol's modality: HU for CT.
        reference: the truth on the same grid.
        mask: voxels that count; by default the protocol's own rule chooses them.
        source: the image that was translated, for that rule.
        protocol: "synthrad2023", "synthrad2025", "wang2003", "maskgan2024" (all CT) or
            "mr-normalised" (MR).

    Raises:
        ConfigError: unknown protocol.
        GeometryError: the grids differ.
        DataError: NaN or infinite values, an empty mask, the wrong modality.
    """
    definition = protocol_named(protocol)
    _require_comparable(prediction, reference, definition)
    counted = resolve_mask(mask, reference, source=source, protocol=protocol)
    voxels = reference.with_array(counted.voxels, modality="LABEL")
    turned = [reorient(volume, MEASURED_AXES).array for volume in (prediction, reference, voxels)]
    values = definition.measure(
        turned[0].astype(np.float64), turned[1].astype(np.float64), turned[2]
    )
    return PairResult(
        protocol=definition.name,
        values=values,
        mask_rule=counted.rule,
        limits=definition.limits,
        peak=definition.peak,
        unit=definition.unit,
        averaging=definition.averaging,
        voxels=int(counted.voxels.sum()),
    )


def resolve_mask(
    mask: MaskLike | None,
    reference: Volume,
    *,
    source: Volume | None = None,
    protocol: str = "synthrad2023",
) -> EvaluationMask:
    """The voxels that count: those given, else those that the protocol's rule chooses.

    Args:
        mask: a volume has one value besides 0; True counts in an array.
        reference: whose grid the mask lies on.
        source: the image that was translated, for the rule.
        protocol: whose rule applies without a mask.

    Raises:
        GeometryError: mask or source lies on another grid.
        DataError: the mask is empty or a map of several labels.
    """
    if isinstance(mask, EvaluationMask):
        chosen = mask
    elif mask is None:
        if source is not None:
            require_on_grid(source, reference, "source image")
        chosen = protocol_named(protocol).mask_rule(reference, source)
    elif isinstance(mask, Volume):
        require_on_grid(mask, reference, "mask")
        _require_binary(mask)
        chosen = EvaluationMask(mask.array > 0, "given mask")
    else:
        chosen = EvaluationMask(np.asarray(mask, dtype=bool), "given mask")
    if chosen.voxels.shape != reference.shape:
        raise GeometryError(
            "the mask has another shape than the image",
            measured=chosen.voxels.shape,
            limit=reference.shape,
        )
    if not chosen.voxels.any():
        raise DataError("the mask is empty", remedy="Give a mask that covers the patient")
    return chosen


def require_on_grid(volume: Volume, reference: Volume, name: str) -> None:
    """Refuse a volume whose voxels do not lie where those of the reference do.

    Args:
        volume: what is to be compared.
        reference: the grid that it must lie on.
        name: of ``volume``, for the message.

    Raises:
        GeometryError: with the shape, spacing and place of both.
    """
    if not same_grid(volume, reference):
        raise GeometryError(
            "lies on another grid than the reference",
            where=name,
            measured=_place(volume),
            limit=_place(reference),
            remedy="Resample it onto the grid of the reference",
        )


def _place(volume: Volume) -> str:
    """Shape, spacing and both ends, which together tell most grids apart."""
    ends = apply_affine(volume.affine, np.outer([0, 1], np.subtract(volume.shape, 1)))
    first, last = (", ".join(f"{mm:.6g}" for mm in end) for end in ends)
    return (
        f"shape {' x '.join(map(str, volume.shape))}, spacing "
        f"{' x '.join(f'{mm:.6g}' for mm in volume.spacing_mm)} mm, axes "
        f"{axis_codes(volume.affine)}, origin ({first}) mm, last voxel ({last}) mm"
    )


def _require_binary(mask: Volume) -> None:
    inside = mask.array[mask.array != 0]
    if inside.size and (inside != inside[0]).any():
        raise DataError(
            "a mask has one value besides 0; this is a label map or an image",
            where="mask",
            measured=f"{np.unique(inside).size} values besides 0",
            limit="1",
            remedy="Give a binary mask: label maps are compared by --labels",
        )


def _require_comparable(prediction: Volume, reference: Volume, protocol: Protocol) -> None:
    require_on_grid(prediction, reference, "prediction")
    for name, volume in (("prediction", prediction), ("reference", reference)):
        if volume.modality != protocol.modality:
            raise DataError(
                f"protocol {protocol.name} measures {protocol.modality}",
                where=name,
                measured=volume.modality,
                remedy="Choose another protocol, or state the modality when reading",
            )
        wrong = int(np.count_nonzero(~np.isfinite(volume.array)))
        if wrong:
            raise DataError("NaN or infinite values", where=name, measured=f"{wrong} voxels")
