"""The record beside every result: how it was made, what it holds, and what warns of it."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from medgan import __version__
from medgan.data.statistics import DomainStatistics
from medgan.inference.figures import ResultFigures
from medgan.inference.guards import Finding, check_input, check_result
from medgan.inference.series import in_words, is_resampled
from medgan.inference.translator import Translator, VolumeTranslation
from medgan.io import write_json
from medgan.volumes import Modality

ENDING = ".qc.json"


@dataclass(frozen=True)
class QualityRecord:
    """What is to be known of one result; nothing in it identifies a patient.

    Attributes:
        medgan: version that made it.
        source: pseudonym of what was translated.
        fingerprint: hash of all that the result follows from, by which a finished one is known
            again; None where nothing is to be.
        direction: e.g. "MR to CT".
        model: name, sha256, licence and intended use.
        precision: "fp32" or "bf16", of the networks' arithmetic.
        preparation: what was done to the source, in words.
        compared_with: "scans" or "phantoms", where the model's file tells of those it was trained
            on; else None, and the source was compared with nothing.
        findings: in the order in which they were made.
        result: figures inside the body.
        repairs: what was done to irregular geometry.
        warnings: what else is odd about the source.
    """

    medgan: str
    source: str
    fingerprint: str | None
    direction: str
    model: dict[str, str]
    precision: str
    preparation: str
    compared_with: str | None
    findings: tuple[Finding, ...]
    result: ResultFigures
    repairs: tuple[str, ...]
    warnings: tuple[str, ...]

    def write(self, result: Path) -> None:
        """Write the record beside a file or the folder of a series.

        Raises:
            OutputError: it cannot be written.
        """
        write_json(record_path(result), asdict(self))


def fingerprint_of(result: Path) -> str | None:
    """What a finished result follows from; None where its record is missing, or says nothing."""
    try:
        document = json.loads(record_path(result).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return document.get("fingerprint") if isinstance(document, dict) else None


def record_path(result: Path) -> Path:
    """Where the record of a result lies: its whole name and the ending ``.qc.json``.

    ``a.nii`` and ``a.mha`` are results of their own and so have records of their own.
    """
    return result.with_name(f"{result.name}{ENDING}")


def examine(
    translator: Translator,
    result: VolumeTranslation,
    source: str,
    *,
    fingerprint: str | None = None,
    findings: Sequence[Finding] = (),
    repairs: Sequence[str] = (),
    warnings: Sequence[str] = (),
) -> QualityRecord:
    """Measure a result and its source.

    Args:
        translator: that made it.
        result: what it made.
        source: pseudonym of what was translated.
        fingerprint: of all that the result follows from.
        findings: made before.
        repairs: what was done to irregular geometry.
        warnings: what else is odd about the source.
    """
    card = translator.model.card
    figures = ResultFigures.of(result, result.prepared, translator.scale)
    reads = _statistics(translator, translator.source)
    found = [
        *findings,
        *check_input(result.prepared, reads),
        *check_result(figures, _statistics(translator, translator.target)),
    ]
    resampled = is_resampled(result.image, card.preparation)
    return QualityRecord(
        medgan=__version__,
        source=source,
        fingerprint=fingerprint,
        direction=f"{translator.source} to {translator.target}",
        model={
            "name": str(card.provenance.get("name", "")),
            "sha256": translator.model.sha256,
            "licence": card.licence,
            "intended_use": card.intended_use,
        },
        precision="bf16" if translator.bf16 else "fp32",
        preparation=in_words(card, translator.source, resampled=resampled),
        compared_with=reads.origin if reads else None,
        findings=tuple(found),
        result=figures,
        repairs=tuple(repairs),
        warnings=tuple(warnings),
    )


def _statistics(translator: Translator, modality: Modality) -> DomainStatistics | None:
    """Of the domain that a modality stands for; both never have the same one."""
    card = translator.model.card
    return (card.domains or {}).get("source" if modality == card.source else "target")
