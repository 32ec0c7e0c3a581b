"""``medgan froc``: score nodule detections by the rules of LUNA16."""

from pathlib import Path
from typing import Annotated

import typer

from medgan.cli.console import JsonTarget, print_table, require_targets
from medgan.cli.tracking import TrackTarget, open_tracking, track


def command(
    results: Annotated[
        Path,
        typer.Argument(
            metavar="RESULTS", help="CSV: seriesuid, coordX, coordY, coordZ, probability."
        ),
    ],
    annotations: Annotated[Path, typer.Option(help="CSV of the nodules, annotations.csv.")],
    excluded: Annotated[
        Path, typer.Option(help="CSV of irrelevant findings, annotations_excluded.csv.")
    ],
    seriesuids: Annotated[
        Path, typer.Option(help="List of the scans evaluated, seriesuids.csv or that of a fold.")
    ],
    threshold: Annotated[
        float | None,
        typer.Option(help="Least score of a detection: adds precision, recall and F1."),
    ] = None,
    bootstrap: Annotated[
        int, typer.Option(min=0, help="Resamples of the scans; 0: no intervals.")
    ] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of the resamples.")] = 0,
    against: Annotated[
        Path | None, typer.Option(metavar="RESULTS2", help="Another detector to compare with.")
    ] = None,
    json_target: JsonTarget = None,
    html: Annotated[Path | None, typer.Option(help="Write a self-contained report.")] = None,
    track_uri: TrackTarget = None,
) -> None:
    """Score nodule detections by the rules of LUNA16: FROC, CPM, average precision.

    Intervals and the comparison with another detector come from resampling the scans.

    Example: medgan froc --annotations annotations.csv --excluded annotations_excluded.csv
    --seriesuids seriesuids.csv results.csv --threshold 0.5
    """
    from medgan.cli.console import emit_json, result_console
    from medgan.metrics.luna16 import evaluate_detections
    from medgan.report.detection import froc_report, froc_tables

    require_targets(json_target, html)
    store = open_tracking(track_uri)
    document = evaluate_detections(
        results,
        annotations=annotations,
        excluded=excluded,
        seriesuids=seriesuids,
        threshold=threshold,
        bootstrap=bootstrap,
        seed=seed,
        against=against,
    )
    out = result_console(json_target)
    for table in froc_tables(document):
        print_table(out, table)
    emit_json(document, json_target)
    if html is not None:
        from medgan.report.html import write_report

        write_report(html, froc_report(document))
        out.print(f"Report: {html}", highlight=False, markup=False)
    definition = ("protocol", "hit_rule", "marks_per_scan", "bootstrap")
    track(
        store,
        "froc",
        document,
        settings={"threshold": threshold, **{name: document[name] for name in definition}},
        inputs={
            "results": results,
            "annotations": annotations,
            "excluded": excluded,
            "seriesuids": seriesuids,
            "against": against,
        },
        report=None if store is None else froc_report(document),
        out=out,
    )
