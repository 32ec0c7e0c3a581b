"""A generator as other software calls a network: tensors in, tensors out."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import ValidationError
from torch import Tensor, nn

from medgan.config import NetworkConfig
from medgan.errors import ConfigError
from medgan.networks.build import Generator, build_generators
from medgan.networks.conditioning import Context


class TensorGenerator(nn.Module):
    """What a generator is told and what it makes, as tensors by name instead of objects.

    Args:
        generator: the network; its weights are shared.
        attention: return the background attention beside the image.
    """

    def __init__(self, generator: Generator, *, attention: bool = False) -> None:
        super().__init__()
        self.generator = generator
        self.attention = attention

    def forward(
        self,
        image: Tensor,
        neighbours: Tensor | None = None,
        depth: Tensor | None = None,
        condition: Tensor | None = None,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Translate a batch.

        Args:
            image: (B, C, *S) float in [-1, 1]; every size in S a multiple of 4, at least 8.
            neighbours: as in ``Context``; so are the others.
            depth: (B,).
            condition: (B, M, *S).

        Returns:
            (B, C', *S) float in [-1, 1]; and, where asked for, (B, 1, *S) background attention.
        """
        made = self.generator(image, Context(neighbours, depth, condition))
        return (made.image, made.background) if self.attention else made.image


def input_names(network: NetworkConfig) -> tuple[str, ...]:
    """What a network is given, by the names that ``TensorGenerator`` has for it."""
    told = {
        "neighbours": network.neighbours > 0,
        "depth": network.position,
        "condition": network.conditions > 0,
    }
    return ("image", *(name for name, given in told.items() if given))


def tensor_generator(
    network: Mapping[str, Any], direction: Literal["forward", "backward"] = "forward"
) -> TensorGenerator:
    """One generator of a model, with torch's default weights.

    Args:
        network: a network's configuration, as YAML and JSON have it.
        direction: "forward" is from source to target.

    Raises:
        ConfigError: the configuration is not one of a network.
    """
    try:
        config = NetworkConfig.model_validate(network)
    except ValidationError as error:
        raise ConfigError("not a network", measured=error.errors()[0]["msg"]) from error
    return TensorGenerator(build_generators(config)[direction == "backward"])
