"""``medgan convert``: files and trees of studies from one format to another."""

import sys
from collections import Counter
from pathlib import Path
from typing import Annotated, Literal

import typer

from medgan.cli.console import DaskOption, JsonTarget


def command(
    src: Annotated[
        Path, typer.Argument(metavar="SRC", help="File, or folder searched through and through.")
    ],
    dst: Annotated[
        Path, typer.Argument(metavar="DST", help="Folder for the results, or file for one volume.")
    ],
    to: Annotated[
        Literal["nifti", "dicom", "mha", "nrrd"], typer.Option(help="Format of the results.")
    ],
    series: Annotated[
        str | None,
        typer.Option(
            metavar="RULE",
            help="Take one DICOM series of each study, e.g. modality=MR,contrast=T1,min_slices=20.",
        ),
    ] = None,
    irregular: Annotated[
        Literal["error", "resample"],
        typer.Option(help="Refuse DICOM series of irregular geometry, or repair them and say so."),
    ] = "error",
    modality: Annotated[
        Literal["CT", "MR"] | None,
        typer.Option(help="What files are whose format does not say: all but DICOM and masks."),
    ] = None,
    deidentify: Annotated[
        bool,
        typer.Option("--deidentify", help="Remove from DICOM results what identifies the patient."),
    ] = False,
    key: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Secret that pseudonyms are derived with; your own one where none is given.",
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            metavar="TEMPLATE",
            help="Names of results, from {study} {series} {modality} {part} {folder} {name} "
            "{number}; {patient_id} {patient_name} {study_date} {study_uid} {series_uid} "
            "{description} can identify the patient, and so can {folder} {name}.",
        ),
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Series converted at the same time.")] = 1,
    dask: DaskOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, from headers alone.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Convert again, and replace what others made.")
    ] = False,
    json_target: JsonTarget = None,
) -> None:
    """Convert volumes and DICOM series; what stands already is kept, irregular series are refused.

    The list of everything is manifest.csv in DST. Beside each file lies a .json that says how the
    image was acquired. Exits with 1 when a series was refused, or nothing could be converted.

    Example: medgan convert studies/ volumes/ --to nifti
    """
    from medgan.cli.console import emit_json, progress, result_console
    from medgan.io.batch.job import Options
    from medgan.io.batch.key import own_key, read_key
    from medgan.io.batch.planning import Request, plan

    secret = read_key(key) if key else own_key() if deidentify and to == "dicom" else None
    options = Options(to, irregular, deidentify, secret, modality)
    conversion = plan(Request(src, dst, options, series, name, overwrite, jobs, dask))
    if not dry_run:
        for _ in progress(conversion, "Converting"):
            pass
    rows = conversion.expected() if dry_run else conversion.rows
    out = result_console(json_target)
    for row in rows:
        result = f" -> {row.output}" if row.output else ""
        out.print(f"{row.status:10} {row.label}{result}", markup=False, highlight=False)
    for reason, count in sorted(Counter(row.reason for row in rows if row.reason).items()):
        out.print(f"skipped {count}: {reason}", markup=False, highlight=False)
    if conversion.standing:
        said = f"{conversion.standing} of them stood already: --overwrite makes them anew"
        out.print(said, markup=False, highlight=False)
    if dry_run:
        out.print("nothing was written: --dry-run", markup=False, highlight=False)
    emit_json({"series": rows, "dry_run": dry_run}, json_target)
    for row in rows:
        for warning in row.warnings:
            print(f"medgan: {row.label}: warning: {warning}", file=sys.stderr)
    refused = [row for row in rows if row.error]
    for row in refused:
        print(f"medgan: {row.label}: {row.error}", file=sys.stderr)
    if refused:
        raise typer.Exit(1)
    if not any(row.output for row in rows):
        print("medgan: nothing was converted", file=sys.stderr)
        raise typer.Exit(1)
