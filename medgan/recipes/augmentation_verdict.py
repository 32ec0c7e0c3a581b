"""Whether synthetic data helped, in a sentence."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from medgan.metrics.aggregates import counted

Effect = Literal["helped", "made no difference that could be shown", "hurt"]

NO_DIFFERENCE: Effect = "made no difference that could be shown"

CERTAIN_P = 0.01
"""Below it an effect is called clear, where all seeds agree on its direction."""

FEWEST_SEEDS = 3
"""With fewer trainings of each arm nobody can say how much of an effect is luck of the training."""

FEWEST_SCANS = 20
"""Resamples of fewer test scans show less than the spread that other scans would have."""


def effect_of(difference: Mapping[str, Any]) -> Effect | None:
    """What an arm did to the CPM, by the interval of its difference from the reference.

    Args:
        difference: ``cpm_ci``; null without resamples, which leave it open.
    """
    bounds = difference["cpm_ci"]
    if bounds is None or None in bounds:
        return None
    if bounds[0] > 0:
        return "helped"
    return "hurt" if bounds[1] < 0 else NO_DIFFERENCE


def verdict(row: Mapping[str, Any], reference: str) -> str:
    """One arm in one sentence: what it did, by how much, and how sure that is.

    Args:
        row: of the document: ``label``, ``share``, ``difference``.
        reference: label of the arm that it is held against.
    """
    difference = row["difference"]
    effect = effect_of(difference)
    arm = f"{row['label']}, {100 * row['share']:g} % of the real scans"
    change = f"CPM {_signed(difference['cpm'])} against {reference}"
    seeds = difference["cpm_by_seed"]
    if effect is None:
        return f"{arm}: {change} over {counted(len(seeds), 'seed')}; no interval, nothing is sure."
    low, high = difference["cpm_ci"]
    parts = [
        f"{arm}, {effect}: {change}, 95 % interval {_signed(low)} to {_signed(high)}, "
        f"p {difference['cpm_p']:.2g}",
        f"{_agreeing(difference)} of {counted(len(seeds), 'seed')} in that direction",
        _sureness(effect, difference),
    ]
    return "; ".join(parts) + "."


def control_check(rows: Sequence[Mapping[str, Any]], kinds: Mapping[str, str]) -> str | None:
    """Whether the experiment can tell what is known of it: the oracle helps, noise does not.

    Args:
        rows: of the document.
        kinds: of the sources, by name.

    Returns:
        A sentence; None where there is no control with a verdict. Controls are judged beside all
        real scans that their share has; an arm without real scans is no control.
    """
    effects = [
        (kinds[row["source"]], row["effect"], doubt_of(row["difference"]) is None)
        for row in rows
        if row["effect"] and row["real"] and kinds.get(row["source"]) in ("oracle", "noise")
    ]
    if not effects:
        return None
    found = any(effect == "helped" and sure for kind, effect, sure in effects if kind == "oracle")
    fooled = any(effect == "helped" for kind, effect, _ in effects if kind == "noise")
    kinds_seen = {kind for kind, *_ in effects}
    parts = []
    if "oracle" in kinds_seen:
        parts.append(f"the oracle's gain was {'found' if found else 'not found'}")
    if "noise" in kinds_seen:
        parts.append(f"noise {'seemed to help' if fooled else 'did not help'}")
    trusted = found and not fooled
    worth = (
        "the experiment can tell such things apart"
        if trusted
        else "the verdicts on other sources say little"
    )
    return f"Controls: {', '.join(parts)}; {worth}."


def _sureness(effect: Effect, difference: Mapping[str, Any]) -> str:
    low, high = difference["cpm_ci"]
    doubt = doubt_of(difference)
    if doubt is not None:
        return f"not sure, because {doubt}"
    if effect == NO_DIFFERENCE:
        gain, loss = max(high, 0.0), abs(min(low, 0.0))
        return f"a gain above {gain:.3f} or a loss above {loss:.3f} is unlikely"
    return "clear" if difference["cpm_p"] < CERTAIN_P else "likely"


def doubt_of(difference: Mapping[str, Any]) -> str | None:
    """Why a difference is not to be relied on, whatever its interval says; None if it may be.

    Args:
        difference: ``cpm_ci``, ``cpm_by_seed`` and ``scans``, the number of test scans.
    """
    seeds, scans = len(difference["cpm_by_seed"]), difference["scans"]
    if scans < FEWEST_SCANS:
        return f"{counted(scans, 'test scan')} cannot stand for others"
    if seeds < FEWEST_SEEDS:
        return f"{counted(seeds, 'seed')} cannot show the luck of a training"
    if effect_of(difference) != NO_DIFFERENCE and _agreeing(difference) < seeds:
        return "the seeds disagree"
    return None


def _agreeing(difference: Mapping[str, Any]) -> int:
    """Number of seeds whose difference has the direction of the mean."""
    return sum(value * difference["cpm"] > 0 for value in difference["cpm_by_seed"])


def _signed(value: float) -> str:
    """Three decimals and a sign; zero has none."""
    text = f"{value:+.3f}"
    return text[1:] if float(text) == 0 else text
