"""One translation: a source into a file or a series."""

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Literal
from uuid import uuid4

from medgan.errors import MedganError
from medgan.inference.files import make_folder_of, write_files, write_maps
from medgan.inference.guards import Finding, check_modality, require_sound
from medgan.inference.quality import QualityRecord, examine
from medgan.inference.series import write_translation
from medgan.inference.translator import Translator, VolumeTranslation
from medgan.io import read_volume
from medgan.io.batch.naming import pseudonym
from medgan.io.dicom import DicomSeries, read_series
from medgan.io.dicom.write import frame_of_reference, write_series
from medgan.io.studies import Source

Irregular = Literal["error", "resample"]

MAP_SUFFIX = ".nii.gz"
"""Of maps beside a series whose source is no series and has no headers to derive them from."""


@dataclass(frozen=True)
class Job:
    """A source to translate.

    Attributes:
        source: what to read.
        root: folder that messages name files relative to.
        result: where to write; maps go beside it.
        dicom: whether the result is the folder of a series, not a file.
        created: time of creation that a series carries, ISO 8601.
        seed: what identifiers are derived from where the source has none.
        irregular: "resample" repairs the geometry of DICOM series where that is possible.
        details: also write the maps that explain the result.
        also: files of further contrasts in register with the source.
        strict: refuse what a guard warns of.
    """

    source: Source
    root: Path
    result: Path
    dicom: bool
    created: str
    seed: str
    irregular: Irregular = "error"
    details: bool = False
    also: tuple[Path, ...] = ()
    strict: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of a job."""

    status: Literal["translated", "failed"]
    repairs: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    error_type: str = ""
    error: str = ""


def run(translator: Translator, job: Job) -> Outcome:
    """Do one job; what is wrong with the source is part of the outcome, not raised."""
    try:
        make_folder_of(job.result)
        if job.source.entry is None:
            return _translate_file(translator, job)
        return _translate_entry(
            translator, job, read_series(job.source.entry, irregular=job.irregular)
        )
    except MedganError as error:
        return failed(error, job.root)


def attempt(translator: Translator, job: Job) -> tuple[Job, Outcome]:
    """Do a job in a folder that is this attempt's alone, below the one that the job names.

    A worker that was thought dead may still be writing while another does its job again.
    """
    own = replace(job, result=job.result.parent / uuid4().hex / job.result.name)
    return own, run(translator, own)


def failed(error: MedganError, root: Path) -> Outcome:
    """The outcome that an error stands for; files in it are named relative to a folder."""
    message = str(error).replace(f"{root}/", "")
    return Outcome("failed", error_type=type(error).__name__, error=message)


def _translate_entry(translator: Translator, job: Job, series: DicomSeries) -> Outcome:
    result = translator(series.volume, details=job.details)
    warnings = []
    if job.dicom and frame_of_reference(series).generated:
        warnings.append("the source has no frame of reference: one was generated")
    record = _examine(translator, job, result, repairs=series.repairs, warnings=tuple(warnings))
    record.write(job.result)
    if job.dicom:
        created = datetime.fromisoformat(job.created)
        write_translation(translator, result, series, job.result, created)
    else:
        write_files(result, job.result)
    return _outcome(record)


def _translate_file(translator: Translator, job: Job) -> Outcome:
    contrasts = [read_volume(path) for path in (job.source.paths[0], *job.also)]
    findings = [f for one in contrasts for f in check_modality(one.modality, translator.source)]
    volume, *also = (one.with_array(one.array, modality=translator.source) for one in contrasts)
    result = translator(volume, also=also, details=job.details)
    record = _examine(translator, job, result, findings=tuple(dict.fromkeys(findings)))
    record.write(job.result)
    if job.dicom:
        write_maps(result, job.result, MAP_SUFFIX)
        created = datetime.fromisoformat(job.created)
        write_series(result.image, job.result, created=created, seed=job.seed)
    else:
        write_files(result, job.result)
    return _outcome(record)


def _examine(
    translator: Translator,
    job: Job,
    result: VolumeTranslation,
    *,
    findings: tuple[Finding, ...] = (),
    repairs: tuple[str, ...] = (),
    warnings: tuple[str, ...] = (),
) -> QualityRecord:
    """The record of a result that may be written.

    Raises:
        DataError: it may not.
    """
    entry = job.source.entry
    record = examine(
        translator,
        result,
        pseudonym(entry.series_uid if entry else job.source.name),
        fingerprint=job.seed,
        findings=findings,
        repairs=repairs,
        warnings=warnings,
    )
    require_sound(record.findings, where=job.source.name, strict=job.strict)
    return record


def _outcome(record: QualityRecord) -> Outcome:
    warnings = (*record.warnings, *map(str, record.findings))
    return Outcome("translated", record.repairs, warnings)
