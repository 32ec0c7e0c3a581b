"""``medgan export``: models for other people's software."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from medgan.cli.console import JsonTarget

if TYPE_CHECKING:
    from medgan.models.model_file import Direction, Model


def command(
    model: Annotated[
        Path,
        typer.Argument(
            help="Run folder, model file, built-in model's name, or models:/NAME@ALIAS of MLflow."
        ),
    ],
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="The .onnx file, or the folder to make.")
    ],
    to: Annotated[
        Literal["onnx", "monai-bundle", "mlflow"],
        typer.Option(help="onnx: the network; the others: volumes in, volumes out."),
    ],
    direction: Annotated[
        Literal["forward", "backward"] | None,
        typer.Option(help="onnx, monai-bundle: which way; forward by default. mlflow has both."),
    ] = None,
    check: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="onnx: volume to compare on with the original; else a phantom."
        ),
    ] = None,
    register: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="mlflow: also register it, alias champion."),
    ] = None,
    track: Annotated[
        str | None,
        typer.Option(
            metavar="URI",
            help="Where to register: http://HOST:PORT or sqlite:///FILE; by default what "
            "MLFLOW_TRACKING_URI names.",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier export.")
    ] = False,
    json: JsonTarget = None,
) -> None:
    """Write a model for ONNX Runtime, MONAI or MLflow.

    An ONNX file holds the network of one direction and, as metadata, what must be done to a volume
    first. ONNX Runtime runs it beside the original before it is written, and where they differ it
    is not. The other two apply the whole model, and medgan must be installed where they are used.

    Example: medgan export runs/mr_to_ct_head mr_to_ct.onnx --to onnx
    """
    from medgan.cli.console import emit_json, require_targets, result_console
    from medgan.models.model_file import Model

    require_targets(json)
    _require_meaning(to, direction, check, register, track)
    loaded = Model.load(model)
    way = direction or loaded.card.directions[0]
    if to == "onnx":
        facts = _onnx(loaded, out, way, check, overwrite=overwrite)
    elif to == "monai-bundle":
        facts = _bundle(loaded, out, way, overwrite=overwrite)
    else:
        facts = _mlflow(loaded, out, register, track, overwrite=overwrite)
    say = result_console(json).print
    say(
        f"{out}: {loaded.card.source} and {loaded.card.target}, {facts['directions']}; "
        f"licence: {loaded.card.licence}",
        markup=False,
        highlight=False,
    )
    for line in _remarks(facts):
        say(line, markup=False, highlight=False)
    emit_json({"out": out, "format": to, "model_sha256": loaded.sha256, **facts}, json)


def _require_meaning(
    to: str, direction: str | None, check: Path | None, register: str | None, track: str | None
) -> None:
    """Refuse options that would do nothing."""
    from medgan.errors import ConfigError

    only = {
        "--direction": (direction, ("onnx", "monai-bundle")),
        "--check": (check, ("onnx",)),
        "--register": (register, ("mlflow",)),
        "--track": (track, ("mlflow",)),
    }
    useless = [name for name, (value, forms) in only.items() if value and to not in forms]
    if to == "mlflow" and track and not register:
        useless.append("--track without --register")
    if useless:
        raise ConfigError(f"{', '.join(useless)} would do nothing", where=f"--to {to}")


def _onnx(
    model: "Model", out: Path, way: "Direction", check: Path | None, *, overwrite: bool
) -> dict[str, Any]:
    from medgan.io import read_volume
    from medgan.models.export import to_onnx

    source = model.modalities(way)[0]
    modality = None if source == "IMAGE" else source
    volume = None if check is None else read_volume(check, modality=modality)
    made = to_onnx(model, out, way, volume=volume, overwrite=overwrite)
    compared = made.comparison
    return {
        "directions": way,
        "opset": made.opset,
        "inputs": made.inputs,
        "outputs": made.outputs,
        "compared_on": "a phantom" if check is None else "a volume",
        "sizes": compared.sizes,
        "max_difference": compared.max_difference,
        "limit": compared.limit,
    }


def _bundle(model: "Model", out: Path, way: "Direction", *, overwrite: bool) -> dict[str, Any]:
    from medgan.models.export import to_monai_bundle

    to_monai_bundle(model, out, way, overwrite=overwrite)
    return {"directions": way}


def _mlflow(
    model: "Model", out: Path, name: str | None, uri: str | None, *, overwrite: bool
) -> dict[str, Any]:
    from medgan.cli.tracking import open_tracking
    from medgan.models.export import to_mlflow
    from medgan.models.registry import tracking_uri
    from medgan.training.registration import register_model

    store = open_tracking(tracking_uri(uri)) if name else None
    to_mlflow(model, out, overwrite=overwrite)
    facts: dict[str, Any] = {"directions": " and ".join(model.card.directions)}
    if name and store:
        facts["registered"] = register_model(store, out, name)
    return facts


def _remarks(facts: dict[str, Any]) -> Iterator[str]:
    """What else is to be said of an export, a line each."""
    if "max_difference" in facts:
        sizes = " and ".join(" x ".join(map(str, size)) for size in facts["sizes"])
        yield (
            f"ONNX Runtime and torch differ by {facts['max_difference']:.2g} at most on "
            f"{facts['compared_on']} at {sizes} (allowed {facts['limit']:g}; the network's scale "
            "is -1 to 1)"
        )
    if "registered" in facts:
        version = facts["registered"]
        yield f"registered as version {version.version}: {version.uri}"
