"""The program ``medgan``: a table of verbs, each in a module that is imported when it runs."""

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from medgan import __version__
from medgan.errors import ConfigError, MedganError

VERBS = {
    "demo": "Phantoms to report: train, translate and evaluate.",
    "inspect": "Say what is in files and folders, and what is wrong.",
    "convert": "Convert files and trees of studies between formats.",
    "train": "Train a model from a configuration, or resume a run.",
    "translate": "Translate a volume or a folder with a trained model.",
    "listen": "Run a DICOM node that translates what it receives.",
    "import-checkpoint": "Make a model of weights published by other code.",
    "export": "Write a model for ONNX Runtime, MONAI or MLflow.",
    "evaluate": "Measure predictions against their references.",
    "compare-sets": "Measure how far a set of images is from a real one.",
    "froc": "Score nodule detections by the rules of LUNA16.",
    "detect": "Train a nodule detector, or look for nodules with one.",
    "nodules": "Put synthetic nodules into scans, or take nodules out.",
    "report": "Write one self-contained HTML file about runs.",
    "info": "Tell what this version of medgan can do.",
    "doctor": "Check whether this machine is ready.",
    "benchmark": "Measure medgan's speed and memory on this machine.",
}
"""Verb -> line of help. Verb ``x-y`` is the function ``command`` of ``medgan.cli.x_y``, or the
Typer ``group`` there if it has verbs of its own."""

WIDTH = 100
"""Columns of the help at most."""

CONTEXT: dict[str, Any] = {"help_option_names": ["--help", "-h"], "max_content_width": WIDTH}
"""What the program and its verbs share in reading their arguments."""

COMPLETION = "_MEDGAN_COMPLETE"
"""Environment variable by which a shell asks for its script, or for what may come next."""


def load(verb: str) -> TyperCommand | TyperGroup:
    """Import a verb's module and build its command.

    Args:
        verb: a key of `VERBS`.
    """
    module = import_module(f"medgan.cli.{verb.replace('-', '_')}")
    app = getattr(module, "group", None)
    if app is None:
        app = typer.Typer(add_completion=False, rich_markup_mode=None)
        app.command(verb)(module.command)
    command = typer.main.get_command(app)
    assert isinstance(command, TyperCommand | TyperGroup)
    return command


class VerbGroup(TyperGroup):
    """Lists every verb from the table alone; the one that is called is imported."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for verb, line in VERBS.items():
            self.commands[verb] = TyperCommand(verb, help=line, rich_markup_mode=None)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Replace the table's placeholder by the real command."""
        verb, _, rest = super().resolve_command(ctx, args)
        return verb, verb and load(verb), rest


app = typer.Typer(
    name="medgan",
    cls=VerbGroup,
    no_args_is_help=True,
    # Plain help: importing rich would double the time to `medgan --help`.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings=CONTEXT,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"medgan {__version__}")
        raise typer.Exit


@app.callback(epilog="Example: medgan demo --out demo")
def program(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log details, too.")] = False,
) -> None:
    """Translate medical images (MR to CT and back) with attention-guided GANs."""
    from medgan.cli.console import configure_logging

    configure_logging(verbose=verbose)
    _require_one_process(context.invoked_subcommand)


def _require_one_process(verb: str | None) -> None:
    """Refuse a verb that every process of a launcher would do again, all into the same files.

    Raises:
        ConfigError: it is another verb than ``train``, launched in several processes.
    """
    processes = os.environ.get("WORLD_SIZE", "1")
    if verb != "train" and "RANK" in os.environ and processes != "1":
        raise ConfigError(
            "runs in one process, only `medgan train` in several",
            where=f"medgan {verb}",
            measured=f"WORLD_SIZE={processes}",
            remedy="Start it without torchrun or accelerate launch",
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit.

    The status is 0 on full success, 1 when something in a batch failed, 2 when the user gave
    something that cannot be used, 130 when interrupted. A defect of medgan ends with its traceback.

    Args:
        arguments: what follows the program's name; those of the process by default.
    """
    if COMPLETION in os.environ:
        # Typer's own two options would stand first in every help; docs/completion.md has the lines.
        typer.completion.completion_init()  # type: ignore[attr-defined]
    try:
        app(arguments, prog_name="medgan")
    except MedganError as error:
        print(f"medgan: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
