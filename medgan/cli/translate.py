"""``medgan translate``: volumes and studies through a trained model, each onto its own grid."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from medgan.cli.console import DaskOption, JsonTarget, PrecisionChoice
from medgan.errors import ConfigError

if TYPE_CHECKING:
    from medgan.inference.batch import Row


def command(
    model: Annotated[
        Path,
        typer.Argument(
            help="Run folder, model file, built-in model's name, or models:/NAME@ALIAS of MLflow."
        ),
    ],
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
    also: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Further contrast in register with SRC, a file; repeat it in the model's order.",
        ),
    ] = None,
    precision: Annotated[
        PrecisionChoice,
        typer.Option(help="bf16 is faster where the processor or GPU has it, and rounds."),
    ] = PrecisionChoice.FP32,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Refuse sources and results that a guard warns of."),
    ] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Volumes translated at the same time.")] = 1,
    dask: DaskOption = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Translate again, and replace files of others.")
    ] = False,
    json_target: JsonTarget = None,
) -> None:
    """Translate volumes, DICOM series and studies; finished ones are skipped.

    A DICOM series becomes the folder synthetic_ct (or synthetic_mr) in the place of its study: a
    new series of the same study, in the same frame of reference. Series that are synthetic
    already are left aside, unless --series says synthetic=yes. What was done is listed in
    manifest.csv in DST, but for a single file. Beside each result lies a record, .qc.json: how it
    was made, what was measured of it, and what warns that it may be wrong.

    A model of pictures reads PNG and JPEG files and writes PNG, in the size it was trained at.

    Example: medgan translate runs/mr_to_ct_head studies/ synthetic/
    """
    from medgan.cli.console import progress
    from medgan.inference.picture_batch import plan_pictures
    from medgan.inference.pictures import PictureTranslator
    from medgan.inference.planning import Request, plan
    from medgan.inference.translator import Translator
    from medgan.models.model_file import Model, find_model

    # once: workers load it again, and an alias may move meanwhile
    model = find_model(model)
    if Model.load(model).card.source == "IMAGE":
        chosen = to != "same" or series or irregular != "error"
        chosen = chosen or precision is PrecisionChoice.BF16
        if chosen or jobs > 1 or dask or also or strict:
            raise ConfigError(
                "a model of pictures has no use for one of these options",
                where=model,
                measured="--to, --series, --irregular, --also, --precision, --strict, --jobs "
                "or --dask",
            )
        pictures = plan_pictures(
            PictureTranslator.load(model, direction),
            src,
            dst,
            attention=save_attention,
            overwrite=overwrite,
        )
        _finish(list(progress(pictures, "Translating")), src, json_target)
        return
    translator = Translator.load(model, direction, bf16=precision is PrecisionChoice.BF16)
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
        dask=dask,
        also=tuple(also or ()),
        strict=strict,
    )
    batch = plan(request, translator)
    for _ in progress(batch, "Translating"):
        pass
    _finish(batch.rows, src, json_target)


def _finish(rows: Sequence["Row"], src: Path, json_target: str | None) -> None:
    """Say what became of each source; exits with 1 or 2 where one failed."""
    from medgan.cli.console import emit_json, result_console

    emit_json({"files": rows}, json_target)
    out = result_console(json_target)
    for row in rows:
        reason = f": {row.reason}" if row.reason else ""
        out.print(f"{row.status:10} {row.label}{reason}", markup=False, highlight=False)
        for remark in (*row.repairs, *row.warnings):
            print(f"medgan: {row.label}: {remark}", file=sys.stderr)
    failed = [row for row in rows if row.status == "failed"]
    for row in failed:
        print(f"medgan: {row.error}", file=sys.stderr)
    if failed:
        raise typer.Exit(2 if src.is_file() else 1)
