"""What all parts of a configuration share."""

from abc import abstractmethod
from collections.abc import Iterator
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator

Pair = tuple[float, float]
Triple = tuple[float, float, float]
Domain = Literal["MR", "CT", "LABEL", "IMAGE"]
"""What an image is of: a medical modality, "LABEL" for maps of tissues, "IMAGE" for pictures."""


class Frozen(BaseModel):
    """Cannot be changed, and knows no other keys than its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Consistent(Frozen):
    """Has keys that must go together; everything that does not is told at once."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        faults = [fault for found, fault in self._faults() if found]
        if faults:
            raise ValueError("; ".join(faults))
        return self

    @abstractmethod
    def _faults(self) -> Iterator[tuple[bool, str]]:
        """Whether each fault is there, and what to say of it."""
