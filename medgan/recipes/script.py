"""What the scripts from MR to CT and back share: arguments in, table and exit code out."""

import argparse
import logging
from pathlib import Path

from medgan.config import load_config
from medgan.models.model_file import Direction
from medgan.recipes import mr_ct
from medgan.recipes.command_line import exit_code, script_parser, show_step
from medgan.report.text import text_table


def main(description: str | None, direction: Direction) -> int:
    """Run the recipe for a configuration named on the command line; returns the exit code."""
    parser = script_parser(description)
    parser.add_argument("config", type=Path)
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    chosen = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("medgan").setLevel(logging.INFO)
    return exit_code(lambda: _translate(chosen, direction))


def _translate(chosen: argparse.Namespace, direction: Direction) -> int:
    config = load_config(chosen.config, chosen.overrides)
    out = chosen.out or Path("runs") / config.name
    cases = mr_ct.run(config, out, direction, show_step)
    if cases:
        print(text_table(mr_ct.table(cases)))
    print(f"Report: {out}/report{'' if direction == 'forward' else '_backward'}.html")
    return 0
