"""``medgan translate``: volumes through a trained model, each onto its own grid."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from medgan.cli.console import JsonTarget


def command(
    model: Annotated[Path, typer.Argument(help="Run folder or model file.")],
    src: Annotated[Path, typer.Argument(metavar="SRC", help="Volume, or folder of volumes.")],
    dst: Annotated[
        Path, typer.Argument(metavar="DST", help="File for a file, folder for a folder.")
    ],
    direction: Annotated[
        Literal["forward", "backward"],
        typer.Option(help="forward: the model's source to target; backward: the other way."),
    ] = "forward",
    to: Annotated[
        Literal["same", "nifti", "mha", "nrrd"],
        typer.Option(help="Format of the results in a folder."),
    ] = "same",
    save_attention: Annotated[
        bool, typer.Option("--save-attention", help="Also write attention and content maps.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
    json_target: JsonTarget = None,
) -> None:
    """Translate a volume or a folder of volumes; finished ones are skipped.

    Example: medgan translate runs/mr_to_ct_head t1.nii.gz synthetic_ct.nii.gz
    """
    from medgan.cli.console import emit_json, progress, result_console
    from medgan.inference.files import plan, translate_file
    from medgan.inference.translator import Translator

    jobs = plan(src, dst, to)
    translator = Translator.load(model, direction)
    rows = [
        translate_file(translator, job, details=save_attention, overwrite=overwrite)
        for job in progress(jobs, "Translating")
    ]
    emit_json({"files": rows}, json_target)
    out = result_console(json_target)
    failed = [row for row in rows if row.status == "failed"]
    for row in rows:
        out.print(f"{row.status:10} {row.source}", markup=False, highlight=False)
    for row in failed:
        print(f"medgan: {row.error}", file=sys.stderr)
    if failed:
        raise typer.Exit(2 if src.is_file() else 1)
