"""An imported model as a run folder, which every verb takes."""

from pathlib import Path

from torch import Tensor, nn

from medgan.config import Domain, PreparationConfig
from medgan.errors import ConfigError, OutputError
from medgan.io.files import output_errors
from medgan.models.importers.published_model import Imported
from medgan.models.model_file import FILE_NAME, ModelCard, save_model
from medgan.models.tensor_file import load_weights
from medgan.networks.build import build_generators


def save_imported(
    folder: Path,
    imported: Imported,
    *,
    source: Domain,
    target: Domain,
    preparation: PreparationConfig,
    licence: str | None = None,
) -> ModelCard:
    """Write a model file into a new folder.

    Args:
        folder: new or empty.
        imported: from ``read_published``.
        source: what domain A shows.
        target: what domain B shows.
        preparation: what was done to images before the network saw them in training.
        licence: of the weights, where it is not that of the family.

    Returns:
        The card that travels with the weights.

    Raises:
        ConfigError: domains that do not go together or do not have the network's channels.
        OutputError: the folder is not empty, or cannot be written.
    """
    pictures = "IMAGE" in (source, target)
    if pictures != (source == target):
        raise ConfigError(
            "a model translates between MR and CT, or between pictures",
            measured=f"{source} to {target}",
        )
    if "CT" in (source, target):
        channels = imported.network.channels[0 if source == "CT" else 1]
        if channels != 1:
            raise ConfigError("CT has one channel", measured=f"{channels} in these weights")
    card = ModelCard(
        source=source,
        target=target,
        preparation=preparation,
        network=imported.network,
        directions=imported.directions,
        provenance={
            "name": f"{imported.family} (imported)",
            "files_sha256": imported.sha256,
            "notes": list(imported.notes),
        },
        licence=licence or imported.licence,
    )
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise OutputError("is not empty", where=folder, remedy="Name another folder")
    forward, backward = build_generators(imported.network)
    save_model(
        folder / FILE_NAME,
        _loaded(forward, imported.forward),
        _loaded(backward, imported.backward),
        card,
    )
    return card


def _loaded(generator: nn.Module, state: dict[str, Tensor] | None) -> nn.Module | None:
    if state is None:
        return None
    load_weights(generator, state, where="imported weights")
    return generator
