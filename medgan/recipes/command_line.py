"""What the scripts in pipelines/ share: how they end, and the options of experiments."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from medgan.errors import MedganError

INTERRUPTED = 130
"""What a shell shows for a program that Ctrl-C ended."""


def exit_code(work: Callable[[], int]) -> int:
    """Run a script; the user's errors become one message and 2."""
    try:
        return work()
    except MedganError as error:
        print(f"medgan: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("medgan: interrupted. The same command goes on where it was.", file=sys.stderr)
        return INTERRUPTED


def script_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser that shows a script's docstring as it stands, with ``--out``."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, help="folder; runs/<name> by default")
    return parser


def experiment_parser(description: str | None, part: str) -> argparse.ArgumentParser:
    """A parser for an experiment of many trainings.

    Args:
        description: shown by ``--help``.
        part: what ``--only`` names, e.g. "member".
    """
    parser = script_parser(description)
    parser.add_argument("config", type=Path)
    parser.add_argument(
        "--jobs", type=int, default=1, help="trainings at the same time, which share the cores"
    )
    parser.add_argument(
        "--only", nargs="+", default=(), metavar=part.upper(), help=f"train these {part}s now"
    )
    return parser


def show(line: str) -> None:
    """Print a line of progress at once."""
    print(line, flush=True)


def show_step(step: int, losses: dict[str, float]) -> None:
    """Print every hundredth step of a training."""
    if step % 100 == 0:
        show(f"step {step} loss {sum(losses.values()):.3f}")
