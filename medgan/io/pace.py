"""How far long work is, told in the log no more often than it is read."""

import logging
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

EVERY_S = 10.0

T = TypeVar("T")


def paced(items: Iterable[T], log: logging.Logger, what: str, total: int) -> Iterator[T]:
    """Pass items on; the log says every ten seconds which one comes next.

    Args:
        items: whatever is worked on, one after another.
        log: gets lines such as "phantom head 3 of 64".
        what: of an item.
        total: how many there are.
    """
    said = time.monotonic()
    for number, item in enumerate(items, 1):
        if time.monotonic() - said > EVERY_S:
            log.info("%s %d of %d", what, number, total)
            said = time.monotonic()
        yield item
