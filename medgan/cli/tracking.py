"""The option ``--track`` of the verbs that measure."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from medgan.report.html import Report
    from medgan.training.tracking_store import TrackingStore

TrackTarget = Annotated[
    str | None,
    typer.Option(
        "--track",
        metavar="URI",
        help="Log the result to MLflow: http://HOST:PORT, or sqlite:///FILE.",
    ),
]
"""The option of every verb whose result can be tracked."""


def open_tracking(uri: str | None) -> "TrackingStore | None":
    """Reach the store before hours are spent on what goes into it.

    Args:
        uri: the value of ``--track``.

    Raises:
        OutputError: it does not answer.
    """
    if uri is None:
        return None
    from medgan.models.mlflow_access import store_errors
    from medgan.training.tracking_store import open_store

    with store_errors(uri):
        return open_store(uri)


def track(
    store: "TrackingStore | None",
    verb: str,
    document: Mapping[str, Any],
    *,
    settings: Mapping[str, Any],
    inputs: Mapping[str, Path | None],
    report: "Report | None" = None,
    out: "Console",
) -> None:
    """Log a result, and say as which run; nothing without a store.

    Args:
        store: from `open_tracking`.
        verb: what measured.
        document: the result, ready for JSON.
        settings: options and protocol.
        inputs: files and folders by their role.
        report: to be kept beside the result.
        out: where to say so.

    Raises:
        OutputError: the store stopped answering.
    """
    if store is None:
        return
    from medgan.report.html import render
    from medgan.training.result_tracking import log_result

    html = None if report is None else render(report)
    run_id = log_result(store, verb, document, settings=settings, inputs=inputs, report=html)
    out.print(f"MLflow: run {run_id}", highlight=False, markup=False)
