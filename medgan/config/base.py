"""What all parts of a configuration share."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

Pair = tuple[float, float]
Triple = tuple[float, float, float]
Domain = Literal["MR", "CT", "IMAGE"]
"""What an image is of: a medical modality, or "IMAGE" for pictures."""


class Frozen(BaseModel):
    """Cannot be changed, and knows no other keys than its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")
