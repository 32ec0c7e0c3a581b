"""What the configuration of an exported MONAI bundle names: its translator and its run."""

import json
import logging
import pickle
from pathlib import Path

import torch
from pydantic import ValidationError

from medgan.errors import DataError, ModelError
from medgan.inference.planning import Request, plan
from medgan.inference.translator import Translator
from medgan.models.export.monai_bundle import CARD, WEIGHTS
from medgan.models.model_file import Model, ModelCard
from medgan.models.tensor_file import load_weights
from medgan.networks.tensor_generator import TensorGenerator

_log = logging.getLogger(__name__)


def load_translator(
    network: TensorGenerator, bundle_root: str | Path, device: str = "cpu"
) -> Translator:
    """The translator of a bundle, the weights loaded into its network.

    Args:
        network: as the bundle describes it.
        bundle_root: folder of the bundle.
        device: where the network runs.

    Raises:
        ModelError: weights or card are missing, damaged, or do not go together.
    """
    root = Path(bundle_root)
    try:
        document = json.loads((root / CARD).read_text(encoding="utf-8"))
        card = ModelCard.model_validate(document["card"])
        sha256 = str(document["model_sha256"])
        tensors = torch.load(root / WEIGHTS, map_location="cpu", weights_only=True)
    except (OSError, ValueError, KeyError, ValidationError, pickle.UnpicklingError) as error:
        raise ModelError("not a bundle of medgan", where=root, measured=str(error)) from error
    load_weights(network, tensors, where=root / WEIGHTS)
    network.eval().requires_grad_(False)
    (direction,) = card.directions
    forward = network.generator if direction == "forward" else None
    backward = network.generator if direction == "backward" else None
    return Translator(Model(forward, backward, card, sha256), direction, device=device)


def translate_folder(translator: Translator, source: str | Path, target: str | Path) -> list[str]:
    """Translate a file or a folder as ``medgan translate`` does.

    Args:
        translator: from ``load_translator``.
        source: a volume, a DICOM series, or a folder of both and studies.
        target: the file to make of one volume, or the folder for the results.

    Returns:
        What became of each source, a line each.

    Raises:
        DataError: a source could not be translated; the others have been.
        MedganError: as ``plan``.
    """
    direction = translator.model.card.directions[0]
    # jobs stay in this process, so that nothing is loaded from a file again
    request = Request(Path(source), Path(source), Path(target), direction)
    batch = plan(request, translator)
    for row in batch:
        _log.info("%s %s", row.status, row.label)
    failed = [row for row in batch.rows if row.status == "failed"]
    if failed:
        raise DataError(
            f"not translated: {'; '.join(str(row.error) for row in failed)}",
            measured=f"{len(failed)} of {len(batch.rows)} failed",
        )
    return [f"{row.status} {row.label}" for row in batch.rows]
