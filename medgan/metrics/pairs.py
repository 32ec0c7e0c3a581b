"""A prediction against its reference."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medgan.errors import DataError, GeometryError
from medgan.metrics.protocols import Protocol, protocol_named
from medgan.volumes.geometry import require_same_grid
from medgan.volumes.masks import body_mask
from medgan.volumes.volume import Volume


@dataclass(frozen=True, eq=False)
class EvaluationMask:
    """The voxels that count, (X, Y, Z) bool, at least one, and the rule that chose them."""

    voxels: NDArray[np.bool_]
    rule: str


MaskLike = Volume | NDArray[np.bool_] | EvaluationMask
"""Non-zero or True counts; on the grid of the images."""


@dataclass(frozen=True)
class PairResult:
    """The numbers of one pair and all that is needed to compare them with others.

    Attributes:
        protocol: name of the protocol.
        values: by measure; NaN where undefined, infinite PSNR for identical images.
        mask_rule: where the mask came from.
        limits: range that PSNR and SSIM clip to and take their peak from.
        unit: of ``limits`` and of every mean absolute error.
        averaging: what one number is averaged over.
        voxels: size of the mask.
    """

    protocol: str
    values: Mapping[str, float]
    mask_rule: str
    limits: tuple[float, float]
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
            "unit": self.unit,
            "mask_rule": self.mask_rule,
            "averaging": self.averaging,
        }


def evaluate_pair(
    prediction: Volume,
    reference: Volume,
    *,
    mask: MaskLike | None = None,
    protocol: str = "synthrad2023",
) -> PairResult:
    """Quality of a prediction by a protocol.

    Args:
        prediction: (X, Y, Z), of the protocol's modality: HU for CT.
        reference: the truth on the same grid.
        mask: voxels that count; by default the body mask of the reference.
        protocol: "synthrad2023" (CT) or "mr-normalised" (MR).

    Raises:
        ConfigError: unknown protocol.
        GeometryError: the grids differ.
        DataError: NaN or infinite values, an empty mask, the wrong modality.
    """
    definition = protocol_named(protocol)
    _require_comparable(prediction, reference, definition)
    counted = resolve_mask(mask, reference)
    values = definition.measure(
        prediction.array.astype(np.float64), reference.array.astype(np.float64), counted.voxels
    )
    return PairResult(
        protocol=definition.name,
        values=values,
        mask_rule=counted.rule,
        limits=definition.limits,
        unit=definition.unit,
        averaging=definition.averaging,
        voxels=int(counted.voxels.sum()),
    )


def resolve_mask(mask: MaskLike | None, reference: Volume) -> EvaluationMask:
    """The voxels that count: those given, else the body of the reference.

    Raises:
        GeometryError: the mask lies on another grid.
        DataError: the mask is empty.
    """
    if isinstance(mask, EvaluationMask):
        chosen = mask
    elif mask is None:
        chosen = EvaluationMask(body_mask(reference), "body mask of the reference")
    elif isinstance(mask, Volume):
        require_same_grid(mask, reference)
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


def _require_comparable(prediction: Volume, reference: Volume, protocol: Protocol) -> None:
    require_same_grid(prediction, reference)
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
