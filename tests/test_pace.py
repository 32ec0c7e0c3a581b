"""Log lines of long work."""

import logging

import pytest

from medgan.io import pace
from medgan.io.pace import paced

LOG = logging.getLogger("medgan.test")


def test_the_log_says_every_ten_seconds_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = 0.0
    monkeypatch.setattr(pace.time, "monotonic", lambda: now)
    with caplog.at_level(logging.INFO):
        for item in paced("abcdefgh", LOG, "letter", 8):
            assert item == "abcdefgh"[round(now / 4)]
            now += 4
    # items begin at 0, 4, 8, 12 ... seconds
    assert [record.message for record in caplog.records] == ["letter 4 of 8", "letter 7 of 8"]


def test_nothing_is_said_of_what_is_quick(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert list(paced(iter(range(1000)), LOG, "number", 1000)) == list(range(1000))
    assert not caplog.records
