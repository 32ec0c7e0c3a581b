"""``medgan listen``: a DICOM node that translates what it receives."""

import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from medgan.errors import ConfigError, MedganError

if TYPE_CHECKING:
    from medgan.node.config import ListenConfig


def command(
    config: Annotated[Path, typer.Argument(help="YAML file of the node; see configs/listen.yaml.")],
    check: Annotated[
        bool,
        typer.Option("--check", help="Try model, folder, ports and archives, and start nothing."),
    ] = False,
) -> None:
    """Run a DICOM node: it takes series, translates them and sends the synthetic ones on.

    Series come by C-STORE or are fetched from a DICOMweb server, results go out by C-STORE or
    STOW-RS. What was acknowledged is on the disk: a node that is killed and started again goes on
    where it was. SIGTERM, or Ctrl-C, stops it after what is running; a second one at once. Needs
    the extra dicom-net.

    Example: medgan listen configs/listen.yaml --check
    """
    from medgan.config import load_as

    try:
        import dicomweb_client  # noqa: F401
        import pynetdicom  # noqa: F401
    except ModuleNotFoundError as error:
        raise ConfigError(
            "a DICOM node needs packages that are not installed",
            measured=error.name,
            remedy='Install them: pip install "medgan[dicom-net]"',
        ) from error
    from medgan.node.config import ListenConfig
    from medgan.node.node import run

    settings = load_as(ListenConfig, config)
    if check:
        _check(settings)
        return
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        # Not here: the main thread may be about to wait for it, and hold its lock.
        threading.Thread(target=stop.set).start()
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, signal.SIG_DFL)

    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, on_signal)
    run(settings, stop)


def _check(settings: "ListenConfig") -> None:
    """Say what works; exits with 1 where something does not."""
    from medgan.cli.console import result_console
    from medgan.node.node import check, keep_quiet

    keep_quiet()
    out, failed = result_console(None), False
    for name, attempt in check(settings):
        try:
            attempt()
            out.print(f"ok    {name}", markup=False, highlight=False)
        except MedganError as error:
            failed = True
            out.print(f"fail  {name}", markup=False, highlight=False)
            print(f"medgan: {error}", file=sys.stderr)
    if failed:
        raise typer.Exit(1)
