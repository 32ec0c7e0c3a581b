"""The option that chooses subsets of LUNA16."""

from typing import Annotated

import typer

from medgan.cli.numbers import whole_numbers

Subsets = Annotated[
    str | None, typer.Option(metavar="N,N...", help="Only these subsets; all by default.")
]


def subset_numbers(text: str | None) -> tuple[int, ...] | None:
    """The numbers that were given; None for all.

    Raises:
        ConfigError: not numbers with commas between them.
    """
    return None if text is None else whole_numbers(text, "subsets")
