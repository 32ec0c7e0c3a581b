"""``medgan evaluate``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medgan.cli.console import JsonTarget, print_table, require_targets
from medgan.cli.tracking import TrackTarget, open_tracking, track

if TYPE_CHECKING:
    from medgan.metrics.cases import CaseFiles
    from medgan.report.html import Report, Table
    from medgan.report.images import CaseImages


def command(
    prediction: Annotated[Path, typer.Argument(metavar="PRED", help="Image, or folder of them.")],
    reference: Annotated[Path, typer.Argument(metavar="REF", help="The truth, likewise.")],
    mask: Annotated[
        Path | None,
        typer.Option(help="Voxels that count, likewise; default: the protocol's own rule."),
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option(help="What was translated, likewise; adds the trivial floors to beat."),
    ] = None,
    protocol: Annotated[
        str,
        typer.Option(
            help="For CT: synthrad2023, synthrad2025, wang2003, maskgan2024; for MR: mr-normalised."
        ),
    ] = "synthrad2023",
    labels: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            metavar="PRED REF", help="Segmentations of both, likewise; adds Dice and HD95."
        ),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(help="Another model's predictions, likewise; adds a paired comparison."),
    ] = None,
    attention: Annotated[
        Path | None,
        typer.Option(
            help="Attention maps, <name>_attention as translate writes them; shown in the report."
        ),
    ] = None,
    json: JsonTarget = None,
    html: Annotated[Path | None, typer.Option(help="Write a self-contained report.")] = None,
    track_uri: TrackTarget = None,
) -> None:
    """Measure predictions against their references.

    Two files, or folders of one DICOM series, are a pair; in two folders they pair by their name
    without suffix.

    Example: medgan evaluate synthetic_ct/ ct/ --source mr/ --json quality.json
    """
    require_targets(json, html)
    store = open_tracking(track_uri)
    from medgan.cli.console import result_console
    from medgan.errors import ConfigError
    from medgan.metrics.cases import pair_cases
    from medgan.metrics.evaluation import evaluate
    from medgan.report.attention import attention_files
    from medgan.report.evaluation import DEFINITION, case_table, summary_tables

    maps: dict[str, Path] = {}
    if attention is not None:
        if html is None and store is None:
            raise ConfigError(
                "attention maps are shown in a report, and none was asked for",
                remedy="Add --html report.html",
            )
        # Before the measuring: that may take hours.
        cases = pair_cases(prediction, reference, mask, source)
        maps = attention_files(attention, [case.name for case in cases])
    document = evaluate(
        prediction,
        reference,
        mask=mask,
        source=source,
        protocol=protocol,
        labels=labels,
        against=against,
    )
    report = None
    if html is not None or store is not None:
        report = _report(document, pair_cases(prediction, reference, mask, source), maps)
    _write(document, json, report, html)
    out = result_console(json)
    if len(document["cases"]) > 1:
        print_table(out, case_table(document))
    for table in [*summary_tables(_named(document)), *_comparison_tables(document)]:
        print_table(out, table)
    if html is not None:
        out.print(f"Report: {html}", highlight=False, markup=False)
    predicted_labels, reference_labels = labels or (None, None)
    track(
        store,
        "evaluate",
        document,
        settings={name: document[name] for name in (*DEFINITION, "psnr_peak", "std_ddof")},
        inputs={
            "prediction": prediction,
            "reference": reference,
            "mask": mask,
            "source": source,
            "against": against,
            "attention": attention,
            "predicted_labels": predicted_labels,
            "reference_labels": reference_labels,
        },
        report=report,
        out=out,
    )


def _write(
    document: dict[str, Any], json: str | None, report: "Report | None", html: Path | None
) -> None:
    """Write both results or neither."""
    from medgan.cli.console import emit_json

    if report is None or html is None:
        emit_json(document, json)
        return
    from medgan.io.files import writing
    from medgan.report.html import write_report

    with writing(html) as temporary:
        write_report(temporary, report)
        emit_json(document, json)


def _named(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The document, and the other model's in the same form, by the name of what was measured."""
    if "against" not in document:
        return {"result": document}
    return {"result": document, "other model": {**document, "floors": {}, **document["against"]}}


def _comparison_tables(document: dict[str, Any]) -> "list[Table]":
    from medgan.report.compare import comparison_table

    if "comparison" not in document:
        return []
    return [comparison_table(document["comparison"], "result", "other model")]


def _report(document: dict[str, Any], cases: "list[CaseFiles]", maps: dict[str, Path]) -> "Report":
    from medgan import __version__
    from medgan.metrics.aggregates import counted
    from medgan.report.cases import case_sections
    from medgan.report.evaluation import DEFINITION, FLOOR_NAMES, summary_tables
    from medgan.report.html import Report, Section

    count = counted(len(document["cases"]), "case")
    mean = document["aggregates"]["mae"]["mean"]
    summary = f"Mean absolute error {mean:.4g} ({document['unit']}) over {count}"
    for name, floor in document.get("floors", {}).items():
        summary += f"; {FLOOR_NAMES[name]} {floor['aggregates']['mae']['mean']:.4g}"
    result, *others = (named := _named(document))
    tables = [*summary_tables(named), *_comparison_tables(document)]
    numbering = ["Cases are numbered in the order of the JSON document: by name."]
    return Report(
        "Evaluation of synthetic images",
        summary=[f"{summary}."],
        sections=[
            Section("Summary", numbering, tables=tables),
            *case_sections(
                document,
                _images(document, cases, maps),
                names=False,
                name=result,
                others={name: named[name] for name in others},
            ),
        ],
        provenance={"medgan": __version__, **{name: document[name] for name in DEFINITION}},
    )


def _images(
    document: dict[str, Any], cases: "list[CaseFiles]", maps: dict[str, Path]
) -> "list[CaseImages]":
    """The volumes of the cases that the report shows: the worst ones."""
    from medgan.io import read_volume
    from medgan.metrics.protocols import protocol_named
    from medgan.report.attention import read_attention
    from medgan.report.cases import VIEWED_CASES
    from medgan.report.evaluation import worst_first
    from medgan.report.images import CaseImages

    modality = protocol_named(document["protocol"]).modality
    worst = [cases[position] for position in worst_first(document)[:VIEWED_CASES]]
    return [
        CaseImages(
            case.name,
            read_volume(case.prediction, modality=modality),
            None if case.source is None else read_volume(case.source),
            read_volume(case.reference, modality=modality),
            read_attention(maps[case.name]) if case.name in maps else None,
        )
        for case in worst
    ]
