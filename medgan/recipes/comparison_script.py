"""The command line of ``pipelines/compare_methods.py``."""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from medgan.recipes.command_line import exit_code, experiment_parser, show
from medgan.recipes.comparison import compare
from medgan.recipes.comparison_plan import load_comparison
from medgan.report.methods import methods_table
from medgan.report.text import text_table


def main(description: str | None, arguments: Sequence[str] | None = None) -> int:
    """Run a comparison named on the command line.

    Args:
        description: shown by ``--help``.
        arguments: instead of those of the process.

    Returns:
        The exit code: 0; 1 where a training failed; 2 for what cannot be used as it is.
    """
    parser = experiment_parser(description, "member")
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    return exit_code(lambda: _compare(chosen))


def _compare(chosen: argparse.Namespace) -> int:
    config = load_comparison(chosen.config)
    out = chosen.out or Path("runs") / config.name
    document = compare(config, out, chosen.jobs, only=chosen.only, on_run=show)
    print(text_table(methods_table(document)))
    for failure in document["failures"]:
        print(f"medgan: {failure['member']} failed: {failure['reason']}", file=sys.stderr)
    print(f"Report: {out}/report.html")
    return 1 if document["failures"] else 0
