"""Image quality and detection in one row, as synthesis on LUNA16 is published."""

from collections.abc import Mapping, Sequence
from typing import Any

REGIONS = ("full", "masked")

_DETECTION = ("precision", "slice_precision", "cpm")


def published_rows(
    rows: Sequence[Mapping[str, Any]], sources: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """A row for every arm and share, then one for every source that no arm has learnt from.

    Args:
        rows: of the experiment's document, an arm and a share each.
        sources: likewise, with the distances of their images.

    Returns:
        ``source`` and ``label`` (null without one), ``arm`` and ``share`` (null without one),
        ``features`` (name and hash), for the regions ``full`` and ``masked`` ``fid``, ``kid``,
        their ``_ci`` (middle 95 % over splits), ``floor_`` and the same, ``n``; or ``refused`` and
        why; null where nothing was compared. ``precision`` by the rules of LUNA16,
        ``slice_precision`` of boxes on slices, ``cpm``, each with ``_ci``; null without an arm.
    """
    by_name = {source["name"]: source for source in sources}
    learnt = {row["source"] for row in rows}
    found = [_row(row, by_name.get(row["source"])) for row in rows]
    return found + [_row(None, source) for source in sources if source["name"] not in learnt]


def _row(row: Mapping[str, Any] | None, source: Mapping[str, Any] | None) -> dict[str, Any]:
    distances = (source or {}).get("distances") or {}
    keys = [name for key in _DETECTION for name in (key, f"{key}_ci")]
    return {
        "source": None if source is None else source["name"],
        "label": None if source is None else source["label"],
        "arm": None if row is None else row["label"],
        "share": None if row is None else row["share"],
        "features": distances.get("features"),
        **{region: _region(distances.get(region)) for region in REGIONS},
        **{key: None if row is None else row[key] for key in keys},
    }


def _region(found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if found is None or "refused" in found:
        return None if found is None else dict(found)
    values: dict[str, Any] = {"n": found["n_compared"]}
    for key in ("fid", "floor_fid", "kid", "floor_kid"):
        bounds = [found.get(f"{key}_low"), found.get(f"{key}_high")]
        values |= {key: found[key], f"{key}_ci": None if None in bounds else bounds}
    return values
