"""Work spread over processes that end with the one that started them."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from threadpoolctl import ThreadpoolController

from medgan.errors import OutputError

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_in_workers(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int,
    start: Callable[..., None] | None = None,
    arguments: tuple[Any, ...] = (),
) -> Iterator[Result]:
    """Call a function in several new processes at a time.

    They share the processor's cores: the libraries that numpy calculates with get as many threads
    in each as there are cores for it. With as many as there are cores in all they would wait for
    one another.

    Args:
        function: of a module's top level.
        items: its arguments; picklable.
        workers: number of processes.
        start: called once in each process before its first item.
        arguments: of ``start``.

    Yields:
        The results in the order of the items.

    Raises:
        OutputError: a process was killed.
    """
    pool = ProcessPoolExecutor(
        workers,
        # forking beside the threads of torch or ITK can hang
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start,
        initargs=(max(1, (os.cpu_count() or 1) // workers), start, arguments),
    )
    try:
        yield from pool.map(function, items)
    except BrokenProcessPool as error:
        raise OutputError(
            "a worker was killed, most likely for want of memory",
            remedy="Use fewer --jobs; what is finished is kept",
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _start(threads: int, start: Callable[..., None] | None, arguments: tuple[Any, ...]) -> None:
    _end_with_parent()
    # its libraries have to be there to be told
    import numpy  # noqa: F401

    for library in ThreadpoolController().lib_controllers:
        library.set_num_threads(min(threads, library.num_threads))
    if start is not None:
        start(*arguments)


def _end_with_parent() -> None:
    """End a worker whose parent was killed; else it would wait for work for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
