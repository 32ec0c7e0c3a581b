"""One direction of a model as a MONAI bundle, which prepares volumes as medgan does."""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import torch

from medgan.io import write_json
from medgan.io.files import make_folder, output_errors, write_text
from medgan.io.folders import making_folder
from medgan.models.export.bundle_metadata import bundle_name, bundle_readme, metadata
from medgan.models.export.kinds import require_volumes
from medgan.models.model_file import Direction, Model
from medgan.networks.tensor_generator import TensorGenerator

METADATA = "configs/metadata.json"
WEIGHTS = "models/model.pt"
CARD = "models/card.json"


def to_monai_bundle(
    model: Model, out: Path, direction: Direction = "forward", *, overwrite: bool = False
) -> None:
    """Write a bundle: ``configs``, ``models``, ``docs`` and ``LICENSE``.

    ``python -m monai.bundle run`` then translates a folder as ``medgan translate`` does, where
    medgan is installed. The weights are tensors alone, as ``torch.load(weights_only=True)`` takes
    them; the configuration holds no expression.

    Args:
        model: of volumes.
        out: the folder to make; its name is the bundle's.
        direction: which of the two networks.
        overwrite: replace a bundle that is there.

    Raises:
        ModelError: a model of pictures or nodules, or without weights for the direction.
        OutputError: there is something already, or the folder cannot be written.
    """
    require_volumes(model, "a MONAI bundle")
    network = TensorGenerator(model.generator(direction))
    with making_folder(out, METADATA, overwrite=overwrite) as folder:
        for name in ("configs", "models", "docs"):
            make_folder(folder / name)
        write_json(folder / METADATA, metadata(model, direction))
        write_json(folder / "configs/inference.json", inference(model, direction))
        write_json(folder / CARD, _card(model, direction))
        with output_errors(out):
            torch.save(
                {name: tensor.cpu() for name, tensor in network.state_dict().items()},
                folder / WEIGHTS,
            )
        write_text(folder / "docs/README.md", bundle_readme(model, direction, out.name))
        write_text(folder / "LICENSE", _licence(model))


def inference(model: Model, direction: Direction) -> dict[str, Any]:
    """The configuration that ``monai.bundle run`` takes, for paths relative to the bundle."""
    return {
        "bundle_root": ".",
        "dataset_dir": "data",
        "output_dir": "output",
        "device": "cpu",
        "network_def": {
            "_target_": "medgan.networks.tensor_generator.tensor_generator",
            "network": model.card.network.model_dump(mode="json"),
            "direction": direction,
        },
        "translator": {
            "_target_": "medgan.inference.bundle.load_translator",
            "network": "@network_def",
            "bundle_root": "@bundle_root",
            "device": "@device",
        },
        "run": {
            "_target_": "medgan.inference.bundle.translate_folder",
            "translator": "@translator",
            "source": "@dataset_dir",
            "target": "@output_dir",
        },
    }


def _card(model: Model, direction: Direction) -> dict[str, Any]:
    # not in the configuration, where MONAI would run what begins with a $
    card = model.card.model_copy(update={"directions": (direction,)})
    return {"model_sha256": model.sha256, "card": card.model_dump(mode="json")}


def _licence(model: Model) -> str:
    """Of the weights and, as far as it is installed with medgan, its text."""
    licence = model.card.licence
    text = f"{bundle_name(model)}: the weights are licensed under {licence}.\n"
    if licence != "Apache-2.0":
        return text
    try:
        full = distribution("medgan").read_text("licenses/LICENSE") or ""
    except PackageNotFoundError:
        full = ""
    return f"{text}\nhttps://www.apache.org/licenses/LICENSE-2.0\n\n{full}"
