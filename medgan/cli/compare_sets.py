"""``medgan compare-sets``: how far a set of images is from a real one."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from medgan.cli.console import (
    JsonTarget,
    emit_json,
    print_table,
    require_targets,
    result_console,
)
from medgan.cli.tracking import TrackTarget, open_tracking, track

_DEFINITION = ("features", "region", "crop_mm", "splits", "split_by", "seed", "std_ddof")
"""What two comparisons must share for their numbers to mean the same."""


def command(
    real: Annotated[Path, typer.Argument(metavar="REAL", help="Folder of real images.")],
    fake: Annotated[Path, typer.Argument(metavar="FAKE", help="Folder of the images to judge.")],
    features: Annotated[
        str,
        typer.Option(
            metavar="NAME|FILE",
            help="efficientnet-lite0 (ImageNet), inception (the network of FID), astra (3-D chest "
            "CT), or a TorchScript or ONNX file.",
        ),
    ] = "efficientnet-lite0",
    region: Annotated[
        Literal["full", "masked", "planes"],
        typer.Option(help="Axial slices, crops, or slices along all three axes."),
    ] = "full",
    real_masks: Annotated[
        Path | None, typer.Option(help="Folder of masks named as the real images, for crops.")
    ] = None,
    fake_masks: Annotated[Path | None, typer.Option(help="Likewise for the others.")] = None,
    annotations: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="Findings as in LUNA16, for crops instead of masks."),
    ] = None,
    crop_mm: Annotated[
        float | None, typer.Option(help="Side of a crop in mm; 50 if not given.")
    ] = None,
    window: Annotated[
        tuple[float, float] | None,
        typer.Option(
            metavar="LOW HIGH",
            help="HU shown as black and white; -1000 2000 if not given, -1000 400 with "
            "annotations.",
        ),
    ] = None,
    modality: Annotated[
        Literal["CT", "MR"] | None,
        typer.Option(help="Of all volumes; told from the values if not given."),
    ] = None,
    patients: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX",
            help="What names the patient in a file's name below the folder; if not given, the "
            "first subfolder, the DICOM patient, or the volume.",
        ),
    ] = None,
    splits: Annotated[
        int, typer.Option(help="Divisions of the real set for the floor, at least 10.")
    ] = 10,
    kid_subset: Annotated[
        int | None,
        typer.Option(help="Images in each KID subset; 1000 or all, if not given."),
    ] = None,
    kid_variant: Annotated[
        Literal["standard", "attentiongan2019"],
        typer.Option(
            help="attentiongan2019 adds what that publication's script prints: KID x 100 in blocks "
            "of at most 10 images, FID / 100."
        ),
    ] = "standard",
    seed: Annotated[int, typer.Option(min=0, help="Of all random draws.")] = 0,
    json: JsonTarget = None,
    html: Annotated[Path | None, typer.Option(help="Write a self-contained report.")] = None,
    track_uri: TrackTarget = None,
) -> None:
    """Measure how far a set of images is from a real one, beside real against real images.

    Example: medgan compare-sets real_ct/ synthetic_ct/ --region planes --json distance.json
    """
    from medgan.metrics.features import extractor_named
    from medgan.metrics.set_evaluation import SetOptions, compare_sets
    from medgan.report.html import write_report
    from medgan.report.sets import distance_report, distance_table

    require_targets(json, html)
    store = open_tracking(track_uri)
    options = SetOptions(
        region=region,
        real_masks=real_masks,
        fake_masks=fake_masks,
        annotations=annotations,
        crop_mm=crop_mm,
        window_hu=window,
        modality=modality,
        patients=patients,
        splits=splits,
        kid_subset=kid_subset,
        kid_variant=kid_variant,
        seed=seed,
    )
    document = compare_sets(real, fake, extractor_named(features), options)
    out = result_console(json)
    print_table(out, distance_table(document))
    for warning in document["warnings"]:
        out.print(f"Note: {warning}.", markup=False, highlight=False)
    emit_json(document, json)
    report = distance_report(document) if html or store else None
    if html is not None and report is not None:
        write_report(html, report)
        out.print(f"Report: {html}", highlight=False, markup=False)
    track(
        store,
        "compare-sets",
        document,
        settings={
            "kid_subset": kid_subset,
            "kid_variant": kid_variant,
            "modality": modality,
            **{name: document[name] for name in _DEFINITION if name in document},
        },
        inputs={
            "real": real,
            "fake": fake,
            "real_masks": real_masks,
            "fake_masks": fake_masks,
            "annotations": annotations,
        },
        report=report,
        out=out,
    )
