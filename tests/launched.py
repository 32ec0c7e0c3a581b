"""Processes that a test starts together, as torchrun and its like do."""

import multiprocessing
import os
from collections.abc import Callable
from typing import Any

from ports import free_port

# its children begin with all that a training imports, which takes longer than the training
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(
    ["medgan.recipes.training", "torch._dynamo", "matplotlib.backends.backend_agg"]
)


def run_together(count: int, job: Callable[..., Any], *arguments: Any) -> list[int]:
    """Run a job in so many processes that find each other, as if on nodes of two; exit codes.

    Ranks 0 and 1 are the first of a node each, 2 and 3 the second.
    """
    port = free_port()
    processes = [
        _processes.Process(target=_joined, args=(rank, count, port, job, arguments))
        for rank in range(count)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=300)
        process.kill()
    return [process.exitcode for process in processes]


def _joined(rank: int, count: int, port: int, job: Callable[..., Any], arguments: Any) -> None:
    os.environ |= {
        "RANK": str(rank), "LOCAL_RANK": str(rank // 2), "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }  # fmt: skip
    job(*arguments)
