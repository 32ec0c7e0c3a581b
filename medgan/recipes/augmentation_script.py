"""The command line of ``pipelines/luna16_augmentation.py``."""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from medgan.config import load_as
from medgan.recipes.augmentation import run_experiment
from medgan.recipes.augmentation_config import AugmentationExperiment
from medgan.recipes.command_line import exit_code, experiment_parser, show
from medgan.report.augmentation_tables import arms_table, published_table, verdicts
from medgan.report.text import text_table


def main(description: str | None, arguments: Sequence[str] | None = None) -> int:
    """Run an experiment named on the command line.

    Args:
        description: shown by ``--help``.
        arguments: instead of those of the process.

    Returns:
        The exit code: 0; 1 where a training failed or a scan was left out; 2 for what cannot be
        used as it is.
    """
    parser = experiment_parser(description, "arm")
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    chosen = parser.parse_intermixed_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    return exit_code(lambda: _measure(chosen))


def _measure(chosen: argparse.Namespace) -> int:
    # --only takes all that follows
    only = [item for item in chosen.only if "=" not in item]
    overrides = [*chosen.overrides, *(item for item in chosen.only if "=" in item)]
    config = load_as(AugmentationExperiment, chosen.config, overrides)
    out = chosen.out or Path("runs") / config.name
    document = run_experiment(config, out, chosen.jobs, only=only, on_event=show)
    print(text_table(arms_table(document)))
    print()
    print(text_table(published_table(document)))
    print()
    for sentence in verdicts(document):
        print(sentence)
    for failure in document["failures"]:
        print(f"medgan: {failure['arm']} failed: {failure['reason']}", file=sys.stderr)
    for problem in document["problems"]:
        print(f"medgan: left out: {problem['where']}: {problem['what']}", file=sys.stderr)
    print(f"Report: {out}/report.html")
    return 1 if document["failures"] or document["problems"] else 0
