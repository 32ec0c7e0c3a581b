"""The option that chooses subsets of LUNA16."""

from typing import Annotated

import typer

from medgan.errors import ConfigError

Subsets = Annotated[
    str | None, typer.Option(metavar="N,N...", help="Only these subsets; all by default.")
]


def subset_numbers(text: str | None) -> tuple[int, ...] | None:
    """The numbers that were given; None for all.

    Raises:
        ConfigError: not numbers with commas between them.
    """
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(
            "subsets are numbers with commas between them", measured=text, remedy="e.g. 0,1,2"
        ) from None
