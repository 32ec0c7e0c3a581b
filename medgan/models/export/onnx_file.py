"""One direction of a model as an ONNX file that says how it is to be used."""

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from medgan import __version__
from medgan.errors import OutputError
from medgan.io.files import writing
from medgan.models.export.extra import required
from medgan.models.export.onnx_check import Comparison, compare
from medgan.models.export.probe import Inputs, phantom, probes
from medgan.models.model_file import Direction, Model
from medgan.networks import SIZE_MULTIPLE
from medgan.networks.tensor_generator import TensorGenerator
from medgan.volumes import Volume

SUFFIX = ".onnx"

_AXES = ("x", "y", "z")


@dataclass(frozen=True)
class OnnxExport:
    """What was written.

    Attributes:
        path: the file.
        direction: of the model.
        opset: version of ONNX's operators.
        inputs: names and shapes, axes of free size by name.
        outputs: likewise.
        comparison: with the original.
    """

    path: Path
    direction: Direction
    opset: int
    inputs: dict[str, list[str | int]]
    outputs: dict[str, list[str | int]]
    comparison: Comparison


def to_onnx(
    model: Model,
    out: Path,
    direction: Direction = "forward",
    *,
    volume: Volume | None = None,
    overwrite: bool = False,
) -> OnnxExport:
    """Write the network of one direction as an ONNX file, compared with the original first.

    The file takes batches of any number and spatial sizes that are multiples of 4, at least 8. Its
    metadata tell what must be done to a volume before and after.

    Args:
        model: what to export.
        out: the ``.onnx`` file.
        direction: which of the two networks.
        volume: a scan to compare on, of what the direction reads; None: a phantom head.
        overwrite: replace a file that is there.

    Raises:
        ModelError: no weights for the direction, or ONNX Runtime gives something else.
        ConfigError: the extra ``onnx`` is not installed.
        DataError: there is no body in the volume.
        OutputError: the file is there already, has another suffix, or cannot be written.
    """
    for package in ("onnxscript", "onnxruntime"):
        required(package)
    if out.suffix.lower() != SUFFIX:
        raise OutputError("no ONNX file ends like this", where=out, limit=SUFFIX)
    if out.exists() and not overwrite:
        raise OutputError(
            "is there already", where=out, remedy="Use --overwrite, or choose another name"
        )
    attention = model.card.network.has_attention
    network = TensorGenerator(model.generator(direction), attention=attention).cpu().eval()
    channels = network.generator.channels[0]
    volume = volume or phantom(model.card, model.modalities(direction)[0])
    tried = list(probes(model.card, channels, volume))
    program = _program(network, tried[0])
    program.model.metadata_props.update(metadata(model, direction))
    with writing(out) as temporary:
        program.save(temporary)
        comparison = compare(temporary, network, tried)
    return OnnxExport(
        path=out,
        direction=direction,
        opset=program.model.opset_imports[""],
        inputs=_shapes(program.model.graph.inputs),
        outputs=_shapes(program.model.graph.outputs),
        comparison=comparison,
    )


def metadata(model: Model, direction: Direction) -> dict[str, str]:
    """What an ONNX file says of itself, by key; those that are not plain text are JSON."""
    card = model.card
    source, target = model.modalities(direction)
    facts = {
        "version": __version__,
        "notice": f"Synthetic {target}. {card.intended_use}",
        "licence": card.licence,
        "direction": direction,
        "source": source,
        "target": target,
        "window_hu": json.dumps(card.preparation.window_hu),
        "preparation": card.preparation.model_dump_json(),
        "network": card.network.model_dump_json(),
        "provenance": json.dumps(card.provenance),
        "model_sha256": model.sha256,
    }
    return {f"medgan.{key}": text for key, text in facts.items()}


def _program(network: TensorGenerator, inputs: Inputs) -> Any:
    """The network as torch's ONNX program, sizes left open."""
    axes = [SIZE_MULTIPLE * torch.export.Dim(axis, min=2) for axis in _AXES]
    batch = torch.export.Dim("batch")
    free = {
        name: {0: batch, **{2 + k: axes[k] for k in range(array.ndim - 2)}}
        for name, array in inputs.items()
    }
    with _quiet():
        program = torch.onnx.export(
            network,
            kwargs={name: torch.from_numpy(array) for name, array in inputs.items()},
            dynamic_shapes=free,
            input_names=list(inputs),
            output_names=["translated", "attention"][: 1 + network.attention],
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    for node in program.model.graph:
        # traces of this machine's source files, of no use elsewhere
        node.metadata_props.clear()
    return program


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's remarks on packages that it could also serve."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)


def _shapes(values: Any) -> dict[str, list[str | int]]:
    return {
        value.name: [size if isinstance(size, int) else str(size) for size in value.shape]
        for value in values
    }
