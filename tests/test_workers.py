import os

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from medgan.errors import OutputError
from medgan.io.batch.workers import map_in_workers


def threads(size):
    """Most threads of a library that numpy calculates with, after a product."""
    np.ones((size, size)) @ np.ones((size, size))
    return max(library["num_threads"] for library in threadpool_info())


def killed(number):
    os._exit(number)


def test_workers_share_the_cores():
    found = list(map_in_workers(threads, [8, 8, 8], 2))
    assert found == [max(1, (os.cpu_count() or 1) // 2)] * 3


def test_a_worker_has_no_more_threads_than_its_user_allows(monkeypatch):
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    assert list(map_in_workers(threads, [8], 1)) == [1]


def test_a_worker_that_is_killed_ends_the_work_with_a_reason():
    with pytest.raises(OutputError, match="was killed"):
        list(map_in_workers(killed, [1], 1))
