"""What the scripts in pipelines/ share: arguments in, table and exit code out."""

import argparse
import logging
import sys
from pathlib import Path

from medgan.config import load_config
from medgan.errors import MedganError
from medgan.models.model_file import Direction
from medgan.recipes import mr_ct
from medgan.report.text import text_table


def main(description: str | None, direction: Direction) -> int:
    """Run the recipe for a configuration named on the command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", type=Path)
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    parser.add_argument("--out", type=Path, help="run folder; runs/<name> by default")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("medgan").setLevel(logging.INFO)
    try:
        config = load_config(arguments.config, arguments.overrides)
        out = arguments.out or Path("runs") / config.name
        cases = mr_ct.run(config, out, direction, _line)
    except MedganError as error:
        print(f"medgan: {error}", file=sys.stderr)
        return 2
    if cases:
        print(text_table(mr_ct.table(cases)))
    print(f"Report: {out}/report{'' if direction == 'forward' else '_backward'}.html")
    return 0


def _line(step: int, losses: dict[str, float]) -> None:
    if step % 100 == 0:
        print(f"step {step} loss {sum(losses.values()):.3f}", flush=True)
