"""What all parts of a configuration share."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

Pair = tuple[float, float]
Triple = tuple[float, float, float]
Domain = Literal["MR", "CT", "LABEL", "IMAGE"]
"""What an image is of: a medical modality, "LABEL" for maps of tissues, "IMAGE" for pictures."""


class Frozen(BaseModel):
    """Cannot be changed, and knows no other keys than its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")
