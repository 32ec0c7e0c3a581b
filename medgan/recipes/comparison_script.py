"""The command line of ``pipelines/compare_methods.py``."""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from medgan.errors import MedganError
from medgan.recipes.comparison import compare
from medgan.recipes.comparison_plan import load_comparison
from medgan.report.methods import methods_table
from medgan.report.text import text_table

INTERRUPTED = 130
"""What a shell shows for a program that Ctrl-C ended."""


def main(description: str | None, arguments: Sequence[str] | None = None) -> int:
    """Run a comparison named on the command line.

    Args:
        description: shown by ``--help``.
        arguments: instead of those of the process.

    Returns:
        The exit code: 0; 1 where a training failed; 2 for what cannot be used as it is.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", type=Path)
    parser.add_argument("--out", type=Path, help="folder; runs/<name> by default")
    parser.add_argument(
        "--jobs", type=int, default=1, help="trainings at the same time, which share the cores"
    )
    parser.add_argument(
        "--only", nargs="+", default=(), metavar="MEMBER", help="train these members now"
    )
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        config = load_comparison(chosen.config)
        out = chosen.out or Path("runs") / config.name
        document = compare(config, out, chosen.jobs, only=chosen.only, on_run=_line)
    except MedganError as error:
        print(f"medgan: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("medgan: interrupted. The same command goes on where it was.", file=sys.stderr)
        return INTERRUPTED
    print(text_table(methods_table(document)))
    for failure in document["failures"]:
        print(f"medgan: {failure['member']} failed: {failure['reason']}", file=sys.stderr)
    print(f"Report: {out}/report.html")
    return 1 if document["failures"] else 0


def _line(line: str) -> None:
    print(line, flush=True)
