"""``medgan translate``: volumes and studies through a trained model, each onto its own grid."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from medgan.cli.console import JsonTarget


def command(
    model: Annotated[Path, typer.Argument(help="Run folder or model file.")],
    src: Annotated[
        Path,
        typer.Argument(metavar="SRC", help="Volume, DICOM series, or folder of both and studies."),
    ],
    dst: Annotated[
        Path, typer.Argument(metavar="DST", help="File for one volume, or folder for the results.")
    ],
    direction: Annotated[
        Literal["forward", "backward"],
        typer.Option(help="forward: the model's source to target; backward: the other way."),
    ] = "forward",
    to: Annotated[
        Literal["same", "nifti", "dicom", "mha", "nrrd"],
        typer.Option(help="Format of the results in a folder."),
    ] = "same",
    series: Annotated[
        str | None,
        typer.Option(
            metavar="RULE",
            help="Which DICOM series of each study, e.g. contrast=T1,min_slices=20.",
        ),
    ] = None,
    irregular: Annotated[
        Literal["error", "resample"],
        typer.Option(help="Refuse DICOM series of irregular geometry, or repair them and say so."),
    ] = "error",
    save_attention: Annotated[
        bool, typer.Option("--save-attention", help="Also write attention and content maps.")
    ] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Volumes translated at the same time.")] = 1,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Translate again, and replace files of others.")
    ] = False,
    json_target: JsonTarget = None,
) -> None:
    """Translate volumes, DICOM series and studies; finished ones are skipped.

    A DICOM series becomes the folder synthetic_ct (or synthetic_mr) in the place of its study: a
    new series of the same study, in the same frame of reference. Series that are synthetic
    already are left aside, unless --series says synthetic=yes. What was done is listed in
    manifest.csv in DST, but for a single file.

    Example: medgan translate runs/mr_to_ct_head studies/ synthetic/
    """
    from medgan.cli.console import emit_json, progress, result_console
    from medgan.inference.planning import Request, plan
    from medgan.inference.translator import Translator

    translator = Translator.load(model, direction)
    request = Request(
        model=model,
        source=src,
        target=dst,
        direction=direction,
        to=to,
        series=series,
        irregular=irregular,
        details=save_attention,
        overwrite=overwrite,
        jobs=jobs,
    )
    batch = plan(request, translator)
    for _ in progress(batch, "Translating"):
        pass
    rows = batch.rows
    emit_json({"files": rows}, json_target)
    out = result_console(json_target)
    for row in rows:
        out.print(f"{row.status:10} {row.label}", markup=False, highlight=False)
        for remark in (*row.repairs, *row.warnings):
            print(f"medgan: {row.label}: {remark}", file=sys.stderr)
    failed = [row for row in rows if row.status == "failed"]
    for row in failed:
        print(f"medgan: {row.error}", file=sys.stderr)
    if failed:
        raise typer.Exit(2 if src.is_file() else 1)
