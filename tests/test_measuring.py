"""Seconds and memory, against what is known of the work."""

import numpy as np
import pytest

from medgan.recipes import measuring
from medgan.recipes.measuring import Spread, in_new_process, in_turns, peak_memory_mb

HELD_MB = 128


def held(mb: int) -> float:
    """Peak memory of this process after it has held so much."""
    np.ones(mb * 2**17)
    return peak_memory_mb()


def test_a_spread_is_median_and_quartiles() -> None:
    assert Spread.of([5.0, 1.0, 4.0, 2.0, 3.0]) == Spread(3.0, (2.0, 4.0))


def test_every_piece_of_work_has_its_turn_in_every_round(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    clock = [0.0]

    def work(name: str, *seconds: float) -> None:
        done.append(name)
        clock[0] += seconds[done.count(name) - 1]

    monkeypatch.setattr(measuring.time, "perf_counter", lambda: clock[0])
    works = {"a": lambda: work("a", 1, 9, 3), "b": lambda: work("b", 20, 20, 26)}
    seconds = in_turns(works, 3)
    assert done == ["a", "b"] * 3
    assert {name: spread.median for name, spread in seconds.items()} == {"a": 3, "b": 20}
    assert seconds["b"].quartiles == (20, 23)


def test_the_memory_of_a_new_process_is_that_of_its_own_work() -> None:
    mine = held(2 * HELD_MB)
    little, much = (in_new_process(held, mb) for mb in (1, HELD_MB))
    assert little < mine - HELD_MB
    assert much - little == pytest.approx(HELD_MB, rel=0.2)
