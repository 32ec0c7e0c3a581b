"""What a script on pictures in pipelines/ is: arguments in, tables and exit code out."""

import argparse
import json
import logging
from collections.abc import Sequence
from pathlib import Path

from medgan.config import TrainConfig, load_config
from medgan.metrics.features import EFFICIENTNET
from medgan.recipes import pictures
from medgan.recipes.command_line import exit_code, script_parser, show_step
from medgan.report.sets import distance_table
from medgan.report.text import text_table


def main(description: str | None, config: Path, arguments: Sequence[str] | None = None) -> int:
    """Run the recipe for a folder named on the command line; returns the exit code.

    Args:
        description: shown by ``--help``.
        config: the configuration where none is given.
        arguments: instead of those of the process.
    """
    parser = script_parser(description)
    parser.add_argument("root", type=Path, help="folder with trainA, trainB, testA and testB")
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    parser.add_argument("--config", type=Path, default=config, help=f"{config.name} by default")
    parser.add_argument(
        "--features",
        default=EFFICIENTNET,
        metavar="NAME|FILE",
        help=f"of FID and KID, as in medgan compare-sets; {EFFICIENTNET} by default",
    )
    chosen = parser.parse_intermixed_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("medgan").setLevel(logging.WARNING)
    return exit_code(lambda: _translate(chosen))


def _translate(chosen: argparse.Namespace) -> int:
    settings = _load(chosen.config, chosen.root, chosen.overrides)
    out = chosen.out or Path("runs") / settings.name
    documents = pictures.run(settings, out, features=chosen.features, on_step=show_step)
    for direction, document in documents.items():
        print(f"\n{direction}: {pictures.NAMES[direction]}\n")
        print(text_table(distance_table(document)))
        for warning in document["warnings"]:
            print(f"Note: {warning}.")
    print(f"Report: {out}/report.html")
    return 0


def _load(config: Path, root: Path, overrides: Sequence[str]) -> TrainConfig:
    # JSON is YAML, and quotes whatever a folder may be called
    place = json.dumps(str(root.resolve()), ensure_ascii=False)
    return load_config(config, [*overrides, f"data.images.root={place}"])
