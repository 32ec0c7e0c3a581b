"""What the tests of exports share: small models of every kind, saved."""

import torch

from medgan.config import NetworkConfig, PreparationConfig
from medgan.models.model_file import Model, ModelCard, save_model
from medgan.networks.build import build_generators

PREPARATION = PreparationConfig(spacing_mm=(6, 6, 6), matrix=(48, 48), patch=(32, 32, 32))


def saved_model(path, *, source="MR", target="CT", provenance=None, **network) -> Model:
    """A model with random weights that has been written and read."""
    torch.manual_seed(1)
    config = NetworkConfig(width=4, blocks=1, **({"contents": 2} | network))
    card = ModelCard(
        source=source,
        target=target,
        preparation=PREPARATION,
        network=config,
        provenance=provenance or {"name": "small"},
        licence="Apache-2.0",
    )
    save_model(path, *build_generators(config), card)
    return Model.load(path)
