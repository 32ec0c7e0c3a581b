"""Between a modality's own values and the [-1, 1] of a network, air at -1 in both domains."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medgan.errors import ConfigError, DataError

T = TypeVar("T")


@dataclass(frozen=True)
class WindowScale:
    """A window of HU on [-1, 1]; values beyond it are clipped on the way in.

    Attributes:
        low: the HU that becomes -1.
        high: the HU that becomes +1.

    Raises:
        ConfigError: low is not below high.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ConfigError("a window needs low < high", measured=(self.low, self.high))

    def forward(self, array: ArrayLike) -> NDArray[np.float32]:
        """HU, any shape -> [-1, 1] float32, clipped."""
        return _to_unit(array, self.low, self.high)

    def inverse(self, scaled: T) -> T:
        """[-1, 1], array or tensor of any shape and library -> HU, by arithmetic alone."""
        result: T = _from_unit(scaled, self.low, self.high)
        return result

    def saturated_share(self, array: ArrayLike) -> float:
        """Share of the values, 0 to 1, that lie outside the window and are lost to clipping."""
        values = np.asarray(array)
        return float(((values < self.low) | (values > self.high)).mean())

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form for ``scale_from_dict``."""
        return {"kind": "window", "low": self.low, "high": self.high}


@dataclass(frozen=True)
class PercentileScale:
    """Arbitrary MR units on [-1, 1]: 0 becomes -1 and ``high`` +1, with clipping on the way in.

    Attributes:
        high: the value that becomes +1.
        percentile: which percentile of the patient's values it was, in per cent.

    Raises:
        DataError: high is not above 0.
    """

    high: float
    percentile: float

    def __post_init__(self) -> None:
        if not self.high > 0:
            raise DataError(
                f"percentile {self.percentile:g} of the MR inside the patient must be above 0",
                measured=self.high,
                remedy="Check that the image holds magnitude values and is not empty",
            )

    @classmethod
    def fit(cls, array: ArrayLike, mask: NDArray[np.bool_], percentile: float = 99.5) -> Self:
        """Measure the scale of one scan.

        Args:
            array: (X, Y, Z) MR values.
            mask: (X, Y, Z) bool, the patient.
            percentile: in per cent; 99.5 leaves out vessels and hot spots near the coil.

        Raises:
            DataError: the mask is empty, or the percentile inside it is not above 0.
        """
        if not mask.any():
            raise DataError("the mask of the patient is empty")
        return cls(float(np.percentile(np.asarray(array)[mask], percentile)), percentile)

    def forward(self, array: ArrayLike) -> NDArray[np.float32]:
        """MR values, any shape -> [-1, 1] float32, clipped."""
        return _to_unit(array, 0.0, self.high)

    def inverse(self, scaled: T) -> T:
        """[-1, 1], array or tensor of any shape and library -> MR values, by arithmetic alone."""
        result: T = _from_unit(scaled, 0.0, self.high)
        return result

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form for ``scale_from_dict``."""
        return {"kind": "percentile", "high": self.high, "percentile": self.percentile}


Scale = WindowScale | PercentileScale


def scale_from_dict(state: Mapping[str, Any]) -> Scale:
    """Rebuild a scale from its ``to_dict``.

    Raises:
        ConfigError: unknown kind, or missing or unknown entries.
    """
    kinds: dict[str, type[WindowScale] | type[PercentileScale]] = {
        "window": WindowScale,
        "percentile": PercentileScale,
    }
    arguments = dict(state)
    kind = arguments.pop("kind", None)
    if kind not in kinds:
        raise ConfigError("unknown intensity scale", measured=kind, limit=sorted(kinds))
    try:
        return kinds[kind](**arguments)
    except TypeError as error:
        raise ConfigError(f"entries do not fit a {kind} scale", measured=sorted(state)) from error


def _to_unit(array: ArrayLike, low: float, high: float) -> NDArray[np.float32]:
    # From integers too: float32 is exact up to 2^24, far beyond any HU.
    values = np.asarray(array).astype(np.float32)
    scaled = (values - np.float32(low)) * np.float32(2 / (high - low)) - np.float32(1)
    return np.asarray(np.clip(scaled, -1, 1))


def _from_unit(scaled: Any, low: float, high: float) -> Any:
    return (scaled + 1) * ((high - low) / 2) + low
