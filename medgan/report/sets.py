"""The document of ``medgan compare-sets`` as a table, a figure and a report."""

from collections.abc import Mapping
from typing import Any

from medgan.metrics.aggregates import counted
from medgan.report.figures import empty_figure, png_bytes
from medgan.report.html import Figure, Report, Section, Table

Document = Mapping[str, Any]

_ROWS = (("FID", "fid"), ("KID", "kid"), ("precision", "precision"), ("recall", "recall"))


def distance_table(document: Document) -> Table:
    """Each measure, named with the features it was taken from, beside its floor."""
    name = document["features"]["name"]
    rows = [
        [f"{heading} ({name})", _cell(document, key), _cell(document, f"floor_{key}")]
        for heading, key in _ROWS
    ]
    rows += _published_rows(document)
    columns = ["measure", "against real", "floor: real against real"]
    return Table(definition_text(document), columns, rows, sortable=False)


def definition_text(document: Document) -> str:
    """Region, sample, splits, network and window in one line."""
    patients = document["n_patients"]
    shown = "unknown patients" if patients is None else counted(patients, "patient")
    people = f"{shown} in the real set; " if document.get("people", True) else ""
    text = (
        f"{document['region']} region; {document['n_compared']} images at a time of "
        f"{document['n_real']} real and {document['n_fake']} others; {people}"
        f"{document['splits']} splits by {document['split_by']}; "
        f"weights {document['features']['hash'][:12]}; window {document['features']['window']}"
    )
    variant = document.get("kid_variant")
    if variant is None:
        return text
    name = variant["name"]
    return (
        f"{text}; {name}: {document['n_real']} real and {document['n_fake']} others in "
        f"{document[f'blocks_{name}']} blocks of at most {variant['largest_block']} images, "
        "not comparable with the other rows"
    )


def distance_figure(document: Document) -> bytes:
    """FID and KID beside their floors.

    Returns:
        Bytes of a PNG file.
    """
    canvas = empty_figure(6.4, 3.0)
    for axes, (heading, key) in zip(canvas.subplots(1, 2), _ROWS[:2], strict=True):
        values = [document[key], document[f"floor_{key}"]]
        errors = [document.get(f"{name}_std") or 0.0 for name in (key, f"floor_{key}")]
        axes.bar([0, 1], values, yerr=errors, capsize=4, color=["#1f5fa8", "#9aa5b1"])
        axes.set_xticks([0, 1], ["against real", "floor"])
        axes.set(title=f"{heading} ({document['features']['name']})")
        axes.grid(axis="y", alpha=0.3)
    canvas.tight_layout()
    return png_bytes(canvas)


def distance_report(document: Document) -> Report:
    """All of it as one page; neither images nor folders are named."""
    name = document["features"]["name"]
    summary = [
        f"{heading} ({name}) {_cell(document, key)}; "
        f"real against real {_cell(document, f'floor_{key}')}."
        for heading, key in _ROWS[:2]
    ]
    notes = [f"Note: {warning}." for warning in document["warnings"]]
    caption = (
        "The bars are standard deviations. Only what stands out from the floor is a difference."
    )
    return Report(
        "Distance between two sets of images",
        summary=[*summary, *notes],
        sections=[
            Section(
                "Distances",
                tables=[distance_table(document)],
                figures=[Figure(distance_figure(document), " ".join(summary), caption, plot=True)],
            )
        ],
        provenance={
            "features": name,
            "weights": document["features"]["hash"],
            "window": document["features"]["window"],
            "region": document["region"],
            "seed": document["seed"],
        },
    )


def _published_rows(document: Document) -> list[list[str]]:
    variant = document.get("kid_variant")
    if variant is None:
        return []
    name, features = variant["name"], document["features"]["name"]
    kid, error = document[f"kid_{name}"], document[f"kid_{name}_error"]
    return [
        [f"FID x {variant['fid_scale']:g} as {name} ({features})",
         f"{document[f'fid_{name}']:.4g}", "-"],
        [f"KID x {variant['kid_scale']:g} as {name} ({features})",
         f"{kid:.4g}, standard error {error:.2g}", "-"],
    ]  # fmt: skip


def _cell(document: Document, key: str) -> str:
    deviation = document.get(f"{key}_std")
    value = f"{document[key]:.4g}"
    return value if deviation is None else f"{value} ± {deviation:.2g}"
