"""What is optimised: one readable page each."""

from medgan.config import TrainConfig
from medgan.methods.contrastive import Contrastive
from medgan.methods.cyclic import Cyclic
from medgan.methods.method import Method
from medgan.methods.passes import GeneratorPass, Losses

__all__ = ["Contrastive", "Cyclic", "GeneratorPass", "Losses", "Method", "build_method"]


def build_method(config: TrainConfig) -> Contrastive | Cyclic:
    """The networks and objectives that a configuration describes."""
    return Contrastive(config) if config.method == "contrastive" else Cyclic(config)
