"""What a training learns from and is judged by."""

from dataclasses import dataclass
from typing import Any

from medgan.data.batches import Batches
from medgan.data.statistics import DomainStatistics, Side
from medgan.training.validation import Validator


@dataclass(frozen=True)
class Material:
    """What a training learns from and is judged by.

    Attributes:
        batches: of every step.
        validator: scores the generators.
        provenance: facts for the model card.
        domains: figures to know unlike scans by, for the model card; None for pictures.
    """

    batches: Batches
    validator: Validator
    provenance: dict[str, Any]
    domains: dict[Side, DomainStatistics] | None = None
