"""Threads that do not get the processors they ask for."""

import logging
from pathlib import Path
from typing import Any

import pytest
import torch

from medgan.config import parse_config
from medgan.recipes.training import train
from medgan.training import thread_watch
from medgan.training.thread_watch import FIRST, LAST, ThreadWatch


def remarks(threads: int, processors: float) -> list[str]:
    """Of steps of two seconds that get so many processors; what came before gets none."""
    at = {"step": 0}

    def wall() -> float:
        return 5.0 + 2.0 * at["step"]

    def used() -> float:
        return 3.0 + 2.0 * processors * max(0, at["step"] - FIRST)

    watch = ThreadWatch(threads, wall, used)
    found = []
    for at["step"] in range(1, 2 * LAST):
        found.append(watch.remark(at["step"]))
    return [remark for remark in found if remark]


@pytest.mark.parametrize(("threads", "processors"), [(2, 1.99), (2, 1.25), (16, 9.7), (1, 0.1)])
def test_threads_that_run_are_not_remarked_on(threads: int, processors: float) -> None:
    assert remarks(threads, processors) == []


@pytest.mark.parametrize(("threads", "processors"), [(2, 1.15), (2, 0.98), (16, 9.0)])
def test_threads_that_wait_are_remarked_on_once(threads: int, processors: float) -> None:
    (said,) = remarks(threads, processors)
    assert said.startswith(f"{threads} threads got {processors:.1f} processors")
    assert "OMP_NUM_THREADS=1" in said


def test_a_training_says_it_in_its_log(
    tiny_document: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(thread_watch, "FIRST", 1)
    monkeypatch.setattr(thread_watch, "LAST", 3)
    # more than any machine has: they cannot all have run
    monkeypatch.setattr(torch, "get_num_threads", lambda: 10_000)
    with caplog.at_level(logging.WARNING):
        train(parse_config(tiny_document), tmp_path / "run")
    assert sum("10000 threads got" in record.message for record in caplog.records) == 1
