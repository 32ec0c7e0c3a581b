"""One series on its way through a node, and the file that says how far it is."""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal, Self, get_args

from medgan.errors import FileError
from medgan.io.files import write_json

State = Literal["receiving", "complete", "translating", "sending", "done", "failed"]
STATES: tuple[State, ...] = get_args(State)
"""In the order in which a series goes through them."""

RECORD = "item.json"


@dataclass(frozen=True)
class Item:
    """A series.

    Attributes:
        name: pseudonym of its study and series.
        state: how far it is; a series without a record is being received.
        since: when that state began, in seconds since 1970.
        instances: how many there are; of one whose images are gone, how many there were.
        last_arrival: when the newest one came.
        expected: how many there must be; None where nobody said.
        created: time of creation that the result carries, ISO 8601; fixed when it is complete.
        digest: of the content of all instances when it was complete.
        attempts: how often its translation was begun.
        sent: destinations that have the result.
        error: why it failed, or why sending it failed last.
        note: what else is to be said: why it was left aside, which guards warned.
        pruned: whether its images are gone.
    """

    name: str
    state: State = "receiving"
    since: float = 0.0
    instances: int = 0
    last_arrival: float = 0.0
    expected: int | None = None
    created: str = ""
    digest: str = ""
    attempts: int = 0
    sent: tuple[str, ...] = ()
    error: str = ""
    note: str = ""
    pruned: bool = False

    def save(self, folder: Path) -> None:
        """Write the record into the folder of the series, atomically.

        Raises:
            OutputError: it cannot be written.
        """
        write_json(folder / RECORD, asdict(self))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the record of a series; one that has none is being received.

        Raises:
            FileError: it is there, but damaged.
        """
        path = folder / RECORD
        if not path.exists():
            return cls(folder.name)
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            if document.keys() != {field.name for field in fields(cls)}:
                raise ValueError("other keys")
            if document["state"] not in STATES or document["name"] != folder.name:
                raise ValueError("no state, or another name")
            return cls(**{**document, "sent": tuple(document["sent"])})
        except (OSError, ValueError, AttributeError, TypeError) as error:
            raise FileError(
                "is no record of a series",
                where=path,
                remedy="Remove this file: the series then counts as newly received",
            ) from error
