"""``medgan report``."""

from pathlib import Path
from typing import Annotated

import typer


def command(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of runs.")],
    out: Annotated[
        Path | None, typer.Option(help="The file to write; default: report.html in the first RUN.")
    ] = None,
) -> None:
    """Write one self-contained HTML file about one run, or several side by side.

    Example: medgan report runs/t1_to_ct runs/t1_to_ct_wide --out comparison.html
    """
    from medgan.cli.console import console
    from medgan.report.html import write_report
    from medgan.report.runs import read_run, run_report

    path = out or runs[0] / "report.html"
    write_report(path, run_report([read_run(run) for run in runs]))
    console(standard_output=True).print(f"Report: {path}", highlight=False, markup=False)
