"""How far a training is: a bar on a terminal, a line every half minute elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from medgan.cli.console import console, is_first_process

LINE_EVERY_S = 30.0


@contextmanager
def training_progress(
    steps: int | None = None, *, again: str
) -> Iterator[Callable[[int, dict[str, float]], None]]:
    """Yield a function to call with the step and its losses.

    Of several processes the first one shows how far all are.

    Args:
        steps: in all, where known.
        again: the command that goes on with the training, told to who interrupts it.
    """
    out = console()
    shown = out.is_terminal and is_first_process()
    columns = (
        TextColumn("Training"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[losses]}"),
    )
    with Progress(*columns, console=out, disable=not shown) as bar:
        task = bar.add_task("Training", total=steps, losses="")
        total = f"/{steps}" if steps else ""
        last = time.monotonic()

        def on_step(step: int, losses: dict[str, float]) -> None:
            nonlocal last
            shown = f"loss {sum(losses.values()):.3f}"
            bar.update(task, completed=step, losses=shown)
            due = time.monotonic() - last > LINE_EVERY_S
            if not out.is_terminal and due:
                out.print(f"step {step}{total} {shown}", highlight=False)
                last = time.monotonic()

        try:
            yield on_step
        except KeyboardInterrupt:
            if is_first_process():
                told = f"Interrupted. From the last checkpoint goes on: {again}"
                out.print(told, highlight=False, markup=False)
            raise
