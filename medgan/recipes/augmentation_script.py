"""The command line of ``pipelines/luna16_augmentation.py``."""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from medgan.config import load_as
from medgan.errors import MedganError
from medgan.recipes.augmentation import run_experiment
from medgan.recipes.augmentation_config import AugmentationExperiment
from medgan.report.augmentation_tables import arms_table, verdicts
from medgan.report.text import text_table

INTERRUPTED = 130
"""What a shell shows for a program that Ctrl-C ended."""


def main(description: str | None, arguments: Sequence[str] | None = None) -> int:
    """Run an experiment named on the command line.

    Args:
        description: shown by ``--help``.
        arguments: instead of those of the process.

    Returns:
        The exit code: 0; 1 where a training failed or a scan was left out; 2 for what cannot be
        used as it is.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", type=Path)
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    parser.add_argument("--out", type=Path, help="folder; runs/<name> by default")
    parser.add_argument(
        "--jobs", type=int, default=1, help="trainings at the same time, which share the cores"
    )
    parser.add_argument("--only", nargs="+", default=(), metavar="ARM", help="train these arms now")
    chosen = parser.parse_intermixed_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        config = load_as(AugmentationExperiment, chosen.config, chosen.overrides)
        out = chosen.out or Path("runs") / config.name
        document = run_experiment(config, out, chosen.jobs, only=chosen.only, on_event=_line)
    except MedganError as error:
        print(f"medgan: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("medgan: interrupted. The same command goes on where it was.", file=sys.stderr)
        return INTERRUPTED
    print(text_table(arms_table(document)))
    print()
    for sentence in verdicts(document):
        print(sentence)
    for failure in document["failures"]:
        print(f"medgan: {failure['arm']} failed: {failure['reason']}", file=sys.stderr)
    for problem in document["problems"]:
        print(f"medgan: left out: {problem['where']}: {problem['what']}", file=sys.stderr)
    print(f"Report: {out}/report.html")
    return 1 if document["failures"] or document["problems"] else 0


def _line(line: str) -> None:
    print(line, flush=True)
