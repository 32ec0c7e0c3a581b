"""``medgan import-checkpoint``: weights that other code has trained."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from medgan.cli.console import JsonTarget, emit_json, require_targets, result_console

if TYPE_CHECKING:
    from medgan.config import PreparationConfig

_PICTURE = 256
"""Side of the pictures that the published generators were trained on."""


def command(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE", help="One generator, or both: ..._net_G_A.pth and G_B."),
    ],
    out: Annotated[Path, typer.Option(help="Run folder to make; new or empty.")],
    source: Annotated[
        Literal["MR", "CT", "IMAGE"], typer.Option(help="Domain A; IMAGE for pictures.")
    ],
    target: Annotated[
        Literal["MR", "CT", "IMAGE"], typer.Option(help="Domain B; IMAGE for pictures.")
    ],
    preparation: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="YAML whose key preparation says how volumes were prepared for the training, as "
            "in a training configuration; needed for MR and CT.",
        ),
    ] = None,
    family: Annotated[
        Literal["geo", "maskgan"] | None,
        typer.Option(
            help="For as many contents as attentions: geo uses all of them, maskgan all but the "
            "last; by default ten are geo's, as published.",
        ),
    ] = None,
    licence: Annotated[
        str | None,
        typer.Option(help="Licence of the weights, where it is not that of the code."),
    ] = None,
    json: JsonTarget = None,
) -> None:
    """Make a model of weights published by AttentionGAN, MaskGAN, CycleGAN or pix2pix (ResNet).

    Family, channels, width, blocks and attentions are told by the tensors; nothing in a file is
    ever run. Which generator a file holds is told by its name (G_A or A2B: from source to target;
    G_B or B2A: back), else by the order. With one file the model has one direction. The licence of
    the code travels in the model file.

    Example: medgan import-checkpoint horse2zebra/latest_net_G_*.pth --out runs/horse2zebra
    --source IMAGE --target IMAGE
    """
    from medgan.models.importers import read_published, save_imported

    require_targets(json)
    prepared = _preparation(preparation, pictures=source == target == "IMAGE")
    imported = read_published(files, family)
    card = save_imported(
        out, imported, source=source, target=target, preparation=prepared, licence=licence
    )
    summary = {
        "out": out,
        "family": imported.family,
        "source": source,
        "target": target,
        "directions": imported.directions,
        "licence": card.licence,
        "network": card.network.model_dump(),
        "notes": imported.notes,
    }
    emit_json(summary, json)
    console = result_console(json)
    ways = " and ".join(imported.directions)
    facts = f"{imported.family}, {source} to {target}, {ways}; licence: {card.licence}"
    for line in (f"{out}: {facts}", *imported.notes):
        console.print(line, markup=False, highlight=False)


def _preparation(path: Path | None, *, pictures: bool) -> "PreparationConfig":
    from medgan.config import PreparationConfig, load_config
    from medgan.errors import ConfigError

    if path is None and pictures:
        return PreparationConfig(matrix=(_PICTURE, _PICTURE))
    if path is not None:
        # a training configuration needs a name, which says nothing here
        config = load_config(path, ["name=imported"])
        if "preparation" in config.model_fields_set:
            return config.preparation
    raise ConfigError(
        "weights do not tell how volumes were prepared for them",
        where=path,
        remedy="Give --preparation a YAML file with, e.g., preparation: {spacing_mm: [1, 1, 1], "
        "matrix: [224, 224], window_hu: [-800, 2000], mr_percentile: 99.5}",
    )
