"""``medgan info``: what this version can do, found without loading torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from rich.table import Table

from medgan import __version__
from medgan.cli.console import JsonTarget, emit_json, result_console
from medgan.cli.main import VERBS
from medgan.models.catalogue import BuiltInModel


@dataclass(frozen=True)
class Info:
    """The facts about this version.

    Attributes:
        version: of medgan.
        verbs: of the command line, with what each does.
        formats: that are read and written: DICOM, and suffixes of files.
        methods: ways to train.
        generators: networks that translate.
        discriminators: networks that tell real from made.
        contrasts: of the phantoms that anchor a training.
        precisions: of ``training.precision``.
        protocols: of ``medgan evaluate``, with the modality each is for.
        models: that come with medgan, see ``medgan translate``.
        configs: folder of the configurations that help and errors call configs/.
    """

    version: str
    verbs: dict[str, str]
    formats: tuple[str, ...]
    methods: tuple[str, ...]
    generators: tuple[str, ...]
    discriminators: tuple[str, ...]
    contrasts: tuple[str, ...]
    precisions: tuple[str, ...]
    protocols: dict[str, str]
    models: tuple[BuiltInModel, ...]
    configs: str


def gather() -> Info:
    """Collect the facts from where each is defined."""
    from medgan.config import Contrast, NetworkConfig, TrainConfig, TrainingConfig
    from medgan.io import SUFFIXES
    from medgan.metrics.protocols import PROTOCOLS
    from medgan.models.catalogue import builtin_models

    return Info(
        version=__version__,
        verbs=dict(VERBS),
        formats=("DICOM", *SUFFIXES),
        methods=get_args(TrainConfig.model_fields["method"].annotation),
        generators=get_args(NetworkConfig.model_fields["generator"].annotation),
        discriminators=get_args(NetworkConfig.model_fields["discriminator"].annotation),
        contrasts=get_args(Contrast),
        precisions=get_args(TrainingConfig.model_fields["precision"].annotation),
        protocols={name: protocol.modality for name, protocol in PROTOCOLS.items()},
        models=builtin_models(),
        configs=str(_configs()),
    )


def _configs() -> Path:
    """In the package where it was installed from a wheel, beside it in the repository."""
    package = Path(__file__).parents[1]
    installed = package / "configs"
    return installed if installed.is_dir() else package.with_name("configs")


def command(json: JsonTarget = None) -> None:
    """Tell what this version of medgan can do: verbs, formats, methods, built-in models.

    Example: medgan info --json -
    """
    facts = gather()
    table = Table.grid(padding=(0, 2))
    for name, value in vars(facts).items():
        if isinstance(value, dict):
            text = "\n".join(f"{key}: {meaning}" for key, meaning in value.items())
        elif name == "models":
            text = "\n".join(map(str, value)) or "none"
        else:
            text = value if isinstance(value, str) else ", ".join(value)
        table.add_row(name, text)
    result_console(json).print(table)
    emit_json(facts, json)
