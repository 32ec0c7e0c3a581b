"""Choosing one series of a study."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

from medgan.errors import ConfigError
from medgan.io.dicom.errors import AmbiguousSeries, NoSeries
from medgan.io.dicom.index import SeriesEntry

_SHOWN = 12


@dataclass(frozen=True)
class SeriesRule:
    """What the wanted series is like; what is None or "" is not asked for.

    Attributes:
        modality: "CT" or "MR".
        contrast: "T1", "T2", "PD", "FLAIR" or "contrast".
        description: text that SeriesDescription contains, whatever its case.
        part: text that the entry's part contains, such as "echo 2".
        min_slices: fewest planes.
        synthetic: "yes" for series that a model made, "no" for others.
    """

    modality: str = ""
    contrast: str = ""
    description: str = ""
    part: str = ""
    min_slices: int = 1
    synthetic: str = ""

    @classmethod
    def parse(cls, text: str) -> "SeriesRule":
        """Read a rule such as ``modality=MR,contrast=T1,description~mprage,min_slices=20``.

        Raises:
            ConfigError: an unknown key, a condition without a value, no number of slices, or
                neither yes nor no.
        """
        known = [item.name for item in fields(cls)]
        values: dict[str, str | int] = {}
        for condition in filter(None, (part.strip() for part in text.split(","))):
            sign = "~" if condition.startswith(("description", "part")) else "="
            key, found, value = (part.strip() for part in condition.partition(sign))
            if key not in known or not found or not value:
                raise ConfigError(
                    "a condition of the rule for series is not understood",
                    measured=condition,
                    limit="modality=, contrast=, description~, part~, min_slices=, synthetic=",
                )
            values[key] = value
        try:
            minimum = int(values.pop("min_slices", 1))
        except ValueError as error:
            raise ConfigError("min_slices is no whole number", measured=text) from error
        if values.get("synthetic", "no") not in ("yes", "no"):
            raise ConfigError("synthetic is yes or no", measured=text)
        return cls(**values, min_slices=minimum)  # type: ignore[arg-type]

    def fits(self, entry: SeriesEntry) -> bool:
        """Whether an entry is what is asked for."""
        return (
            self.modality.upper() in ("", entry.modality)
            and self.contrast.upper() in ("", entry.contrast.upper())
            and self.description.lower() in entry.description.lower()
            and self.part.lower() in entry.part.lower()
            and entry.shape[2] >= self.min_slices
            and self.synthetic in ("", "yes" if entry.synthetic else "no")
        )


def choose(
    entries: Sequence[SeriesEntry],
    rule: str | SeriesRule | None = None,
    *,
    where: object = None,
) -> SeriesEntry:
    """The one series that fits a rule.

    Localizers are left out unless the rule names their part or there is nothing else. An entry with
    a problem is a candidate like any other: it must not be passed over silently for another one.
    Nor may a damaged file be that lies beside the chosen ones: it may be a slice of theirs.

    Args:
        entries: of one study, from ``index_folder``.
        rule: as ``SeriesRule.parse`` reads it; None where there is one series only.
        where: name of the study for errors.

    Raises:
        NoSeries: none fits; the message lists what there is.
        AmbiguousSeries: several fit; the message lists them.
        ConfigError: the rule is not understood.
        FileError: a file beside the chosen ones is damaged.
    """
    wanted = SeriesRule.parse(rule) if isinstance(rule, str) else rule or SeriesRule()
    fitting = [entry for entry in entries if entry.modality and wanted.fits(entry)]
    if not wanted.part:
        fitting = [e for e in fitting if not e.part.startswith("localizer")] or fitting
    if not fitting:
        raise _none_fits(entries, wanted, where)
    if len(fitting) > 1:
        raise AmbiguousSeries(
            f"{len(fitting)} series fit",
            where=where,
            measured=_listed(fitting),
            limit=1,
            remedy="Name one by a rule such as modality=MR,contrast=T1,min_slices=20",
        )
    chosen = fitting[0]
    _require_whole(chosen, entries)
    return chosen


def _none_fits(entries: Sequence[SeriesEntry], wanted: SeriesRule, where: object) -> NoSeries:
    if not entries:
        return NoSeries(
            "there is no CT or MR series", where=where, remedy="Name a folder that holds one"
        )
    made = [e for e in entries if e.modality and replace(wanted, synthetic="yes").fits(e)]
    if wanted.synthetic == "no" and made:
        return NoSeries(
            "every series that fits is synthetic",
            where=where,
            measured=_listed(made),
            remedy="If that is what you want, ask for it by the rule synthetic=yes",
        )
    return NoSeries(
        "no series fits the rule", where=where, measured=_listed(entries), remedy="Loosen the rule"
    )


def _require_whole(chosen: SeriesEntry, entries: Sequence[SeriesEntry]) -> None:
    """Refuse when a file beside the chosen ones is too damaged to say which series it is of."""
    folders = {path.parent for path in chosen.paths}
    for entry in entries:
        if not entry.modality and entry.problem and entry.paths[0].parent in folders:
            raise entry.problem


def _listed(entries: Sequence[SeriesEntry]) -> str:
    """Candidates in words; neither UIDs nor descriptions, which may identify the patient."""
    shown = [_line(entry) for entry in entries[:_SHOWN]]
    more = len(entries) - len(shown)
    return "; ".join([*shown, f"and {more} more"] if more else shown)


def _line(entry: SeriesEntry) -> str:
    origin = "synthetic" if entry.synthetic else ""
    words = [origin, entry.modality, entry.contrast, entry.part, f"{entry.shape[2]} slices"]
    if entry.problem is not None:
        words.append(f"with a problem ({type(entry.problem).__name__})")
    first = entry.paths[0]
    name = first.relative_to(entry.root) if first.is_relative_to(entry.root) else first.name
    return f"{' '.join(filter(None, words))} in {name}"
