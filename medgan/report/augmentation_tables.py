"""The tables of an augmentation experiment."""

from collections.abc import Mapping, Sequence
from typing import Any

from medgan.report.html import Table
from medgan.report.numbers import interval_text, rate_text

Document = Mapping[str, Any]
Row = Mapping[str, Any]

REGIONS = {"full": "full-image", "masked": "masked-region"}


def verdicts(document: Document) -> list[str]:
    """What each arm did, a sentence each; before them, what the controls say of the experiment."""
    controls = [document["controls"]] if document["controls"] else []
    return controls + [row["verdict"] for row in document["rows"] if row["verdict"]]


def arms_table(document: Document) -> Table:
    """All arms beside each other: CPM, difference from the reference, detections at a threshold."""
    columns = [
        "arm", "real (%)", "scans", "nodules", "CPM", "of seeds", "CPM - reference's", "p",
        "precision", "recall", "F1", "FP a scan",
    ]  # fmt: skip
    rows = [
        [
            row["label"],
            _percent(row),
            _count(row["train_scans"]),
            _count(row["train_nodules"]),
            _cell(row, "cpm"),
            ", ".join(f"{value:.3f}" for value in row["cpm_by_seed"]),
            *_against(row["difference"]),
            *(_cell(row, name) for name in ("precision", "recall", "f1", "fppi")),
        ]
        for row in document["rows"]
    ]
    return Table(_caption(document), columns, rows)


def size_table(document: Document) -> Table:
    """CPM by diameter of the nodules."""
    definition = document["definition"]
    edges, counts = definition["size_edges_mm"], definition["size_nodules"]
    groups = range(len(counts))
    columns = ["arm", "real (%)", *(f"{_size(edges, i)}, n = {counts[i]}" for i in groups)]
    rows = [
        [row["label"], _percent(row), *(_entry(row, "by_size", i) for i in groups)]
        for row in document["rows"]
    ]
    caption = "CPM by diameter of the nodules; the false positives are all of them."
    return Table(caption, columns, rows)


def rates_table(document: Document) -> Table:
    """Sensitivity at the seven rates of false positives."""
    rates = document["definition"]["fppi"]
    columns = ["arm", "real (%)", *(rate_text(rate) for rate in rates)]
    rows = [
        [
            row["label"],
            _percent(row),
            *(_entry(row, "sensitivities", i) for i in range(len(rates))),
        ]
        for row in document["rows"]
    ]
    return Table("Sensitivity at so many false positives a scan.", columns, rows)


def slices_table(document: Document) -> Table:
    """The form in which 2-D detectors are published, named as such."""
    iou = document["definition"]["slice_iou"]
    columns = ["arm", "real (%)", "precision", "recall", "F1", "AP50", "false boxes a scan"]
    names = ("slice_precision", "slice_recall", "slice_f1", "slice_ap50", "slice_fppi")
    rows = [
        [row["label"], _percent(row), *(_cell(row, name) for name in names)]
        for row in document["rows"]
    ]
    caption = (
        f"2-D form: boxes on axial slices at IoU {iou:g}, all slices of the test scans, the same "
        "thresholds, scans divided before slices were. Not comparable with the rules of LUNA16: a "
        "nodule counts once for every slice it is on, and excluded findings are false."
    )
    return Table(caption, columns, rows)


def published_table(document: Document) -> Table:
    """FID and precision in one row, as synthesis on LUNA16 is published."""
    name = _extractor(document)
    iou = document["definition"]["slice_iou"]
    columns = ["source", "arm", "real (%)"]
    for region in REGIONS.values():
        columns += [f"{region} FID ({name})", "floor", "n"]
    columns += ["precision (LUNA16 hits)", f"precision (2-D boxes, IoU {iou:g})"]
    rows = [
        [
            row["label"],
            row["arm"],
            None if row["share"] is None else _percent(row),
            *(cell for region in REGIONS for cell in _distance(row[region], "fid")),
            *(_cell(row, key) for key in ("precision", "slice_precision")),
        ]
        for row in document["published"]
    ]
    return Table(_published_caption(document), columns, rows, sortable=False)


def distances_table(document: Document) -> Table:
    """FID and KID of the sources' images beside their floors; or why there are none."""
    name = _extractor(document)
    columns = ["source", "region", f"FID ({name})", "floor", f"KID ({name})", "floor", "n"]
    rows = []
    seen = set()
    for row in document["published"]:
        if row["source"] is None or row["source"] in seen:
            continue
        seen.add(row["source"])
        for region, said in REGIONS.items():
            found = row[region] or {}
            cells = [*_distance(found, "fid")[:2], *_distance(found, "kid")]
            rows.append([row["label"], said, *cells])
            if "refused" in found:
                rows[-1][2] = found["refused"]
    return Table(_distance_caption(document), columns, rows, sortable=False)


def _caption(document: Document) -> str:
    definition = document["definition"]
    bootstrap, scans = definition["bootstrap"], definition["scans"]
    steps = sorted({step for row in document["rows"] for step in row["steps"]})
    parts = [
        f"Trainings of {' or '.join(map(str, steps)) or 'no'} steps on {definition['material']}; "
        f"{scans['train']} scans to learn from, {scans['validation']} to choose by, tested on "
        f"{scans['test']} scans with {definition['nodules']['test']} nodules",
        f"hit: {definition['hit_rule']}; at most {definition['marks_per_scan']} marks a scan",
        "precision, recall and F1 at the threshold of the best F1 on the validation scans",
        "figures are means over seeds",
    ]
    if bootstrap["replicates"]:
        parts.append(
            f"in brackets the {100 * bootstrap['confidence']:g} % interval of "
            f"{bootstrap['replicates']} resamples of the test scans"
        )
    return "; ".join(parts) + "."


def _extractor(document: Document) -> str:
    names = {row["features"]["name"] for row in document["published"] if row["features"]}
    return ", ".join(sorted(names)) or "no features"


def _published_caption(document: Document) -> str:
    return (
        "Image quality and detection in one row, in the form in which synthesis on LUNA16 is "
        "published. In brackets 95 % intervals: of precision over resamples of the test scans, of "
        "FID over divisions of the test scans; the floor is that of test scans against other test "
        "scans at the same number n. precision (LUNA16 hits): centre within the nodule's radius, "
        "whole scans; precision (2-D boxes): boxes on axial slices, all slices of the test scans; "
        "both at the threshold fixed on the validation scans, means over seeds. "
        + " ".join([_distance_caption(document), *_refusals(document)])
    )


def _refusals(document: Document) -> list[str]:
    """Why a distance is not there, a sentence each."""
    reasons = [
        f"No {name} FID of {row['label']}: {row[region]['refused'].rstrip('.')}."
        for row in document["published"]
        for region, name in REGIONS.items()
        if row[region] and "refused" in row[region]
    ]
    return list(dict.fromkeys(reasons))


def _distance_caption(document: Document) -> str:
    for source in document["sources"]:
        facts = source.get("distances")
        if facts:
            low, high = facts["window_hu"]
            return (
                f"Features {facts['features']['name']} ({facts['features']['hash'][:12]}), window "
                f"{low:g} to {high:g} HU; full-image: each {facts['every']}. axial slice; "
                f"masked-region: crops of {facts['crop_mm']:g} mm around nodules."
            )
    return "No images were compared."


def _distance(found: Mapping[str, Any] | None, name: str) -> list[Any]:
    """Value, floor and n of a region."""
    if not found or "refused" in found:
        return [None] * 3
    return [_spread(found, name), _spread(found, f"floor_{name}"), found["n"]]


def _spread(found: Mapping[str, Any], name: str) -> str:
    bounds = found[f"{name}_ci"]
    value = f"{found[name]:.4g}"
    return value if bounds is None else f"{value} [{bounds[0]:.4g}, {bounds[1]:.4g}]"


def _against(difference: Mapping[str, Any] | None) -> list[Any]:
    if difference is None:
        return [None, None]
    bounds = difference["cpm_ci"]
    value = f"{difference['cpm']:+.3f}"
    if bounds and None not in bounds:
        value += f" [{bounds[0]:+.3f}, {bounds[1]:+.3f}]"
    return [value, difference["cpm_p"]]


def _percent(row: Row) -> float:
    return _count(round(100 * row["share"], 6))


def _count(mean: float) -> float:
    """A mean of counts; a whole number where it is one."""
    return int(mean) if mean == int(mean) else mean


def _cell(row: Row, name: str) -> str:
    return interval_text(row[name], row[f"{name}_ci"])


def _entry(row: Row, name: str, index: int) -> str:
    bounds = row[f"{name}_ci"]
    return interval_text(row[name][index], bounds[index] if bounds else None)


def _size(edges: Sequence[Any], index: int) -> str:
    low, high = edges[index], edges[index + 1]
    if not low:
        return f"below {high:g} mm"
    return f"{low:g} mm and more" if high == "inf" else f"{low:g} to below {high:g} mm"
