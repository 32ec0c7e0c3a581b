"""``medgan demo``: the main job on generated phantoms."""

import os
from pathlib import Path
from typing import Annotated

import typer

from medgan.cli.console import JsonTarget


def command(
    out: Annotated[
        Path, typer.Option(help="Folder for everything; resumed if it is there.")
    ] = Path("demo"),
    seed: Annotated[int, typer.Option(min=0, help="Another one gives other people.")] = 0,
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="e.g. training.steps=50")
    ] = None,
    json_target: JsonTarget = None,
) -> None:
    """Make phantoms, train on them unpaired, translate heads not seen, evaluate and report.

    Example: medgan demo --out demo
    """
    import torch
    from rich.table import Table

    from medgan.cli.console import emit_json, result_console
    from medgan.cli.progress import training_progress
    from medgan.recipes.demo import demo

    if "OMP_NUM_THREADS" not in os.environ:
        # two threads take a third off the steps of so small a network, but where other programs run
        # they wait for one another and take ten times as long as one
        torch.set_num_threads(1)
    with training_progress(again="the same command") as on_step:
        metrics = demo(out, seed, overrides or (), on_step)
    emit_json(metrics, json_target)
    table = Table("", "MAE (HU)", "bone Dice", title=f"{metrics['cases']} phantom heads not seen")
    rows = {
        "medgan": metrics["result"],
        "floor: best constant": metrics["floors"]["constant"],
        "floor: look-up table": metrics["floors"]["lookup_table"],
    }
    for name, values in rows.items():
        table.add_row(name, f"{values['mae_hu']:.1f}", f"{values['bone_dice']:.3f}")
    screen = result_console(json_target)
    screen.print(table)
    screen.print(f"Report: {out / 'report.html'}", highlight=False, markup=False)
