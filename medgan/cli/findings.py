"""What a look at this machine finds."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Check:
    """One thing looked at.

    Attributes:
        name: what.
        status: "ok"; "note": an optional part is not there; "warn": medgan works, but slowly or
            not for long; "fail": it does not.
        detail: what was found.
        remedy: what to do; empty where nothing is to be done.
    """

    name: str
    status: Literal["ok", "note", "warn", "fail"]
    detail: str
    remedy: str = ""
