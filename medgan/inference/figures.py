"""What is measured of a translated volume, for its guards and its record."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from medgan.data.preparation import Prepared
from medgan.data.statistics import FULL
from medgan.inference.translator import VolumeTranslation
from medgan.metrics.tissues import AIR_BELOW_HU, BONE_ABOVE_HU
from medgan.volumes import Unit
from medgan.volumes.geometry import Grid
from medgan.volumes.intensity import Scale
from medgan.volumes.resampling import resample

PERCENTILES = (0, 1, 5, 25, 50, 75, 95, 99, 100)


@dataclass(frozen=True)
class ResultFigures:
    """Figures of a result inside the body of its source, on the model's grid.

    Attributes:
        unit: of ``percentiles``, ``lowest``, ``highest`` and ``window``.
        window: what the model can express.
        percentiles: by their number in per cent.
        deviation: standard deviation on the scale from -1 to 1.
        saturated: share at the upper end of that scale.
        air: share below -300 HU; None in MR.
        bone: share above 150 HU; None in MR.
        correlation: with the source, Pearson's; 0 where either is constant.
        background_attention: its mean; None where no map was made.
    """

    unit: Unit
    window: tuple[float, float]
    percentiles: dict[int, float]
    deviation: float
    saturated: float
    air: float | None
    bone: float | None
    correlation: float
    background_attention: float | None

    @property
    def lowest(self) -> float:
        """The smallest value in the body."""
        return self.percentiles[0]

    @property
    def highest(self) -> float:
        """The largest value in the body."""
        return self.percentiles[100]

    @property
    def suffix(self) -> str:
        """The unit after a number, for people; empty for MR, which has none."""
        return " HU" if self.unit == "HU" else ""

    @classmethod
    def of(cls, result: VolumeTranslation, scan: Sequence[Prepared], scale: Scale) -> Self:
        """Measure a result.

        Args:
            result: on the source's grid.
            scan: what the network was given, its first contrast first.
            scale: from the result's unit to [-1, 1].
        """
        first = scan[0]
        grid, body = Grid.of(first.volume), first.mask
        values = resample(result.image, grid).array[body]
        scaled = scale.forward(values)
        air = bone = None
        if result.image.modality == "CT":
            air = float((values < AIR_BELOW_HU).mean())
            bone = float((values > BONE_ABOVE_HU).mean())
        attention = None
        if result.attention is not None:
            attention = float(resample(result.attention, grid).array[body].mean())
        found = np.percentile(values, PERCENTILES)
        low, high = scale.inverse(np.array([-1.0, 1.0]))
        return cls(
            unit=result.image.unit,
            window=(float(low), float(high)),
            percentiles={p: float(value) for p, value in zip(PERCENTILES, found, strict=True)},
            deviation=float(scaled.std()),
            saturated=float((scaled >= FULL).mean()),
            air=air,
            bone=bone,
            correlation=_correlation(scaled, first.scaled()[body]),
            background_attention=attention,
        )


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    if not (one.std() > 0 and other.std() > 0):
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])
