"""One translation: a source into a file or a series."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from medgan.errors import MedganError
from medgan.inference.files import make_folder_of, write_files, write_maps
from medgan.inference.series import translate_series
from medgan.inference.translator import Translator
from medgan.io import read_volume
from medgan.io.dicom import DicomSeries, read_series
from medgan.io.dicom.write import frame_of_reference, write_series
from medgan.io.studies import Source
from medgan.volumes import Modality

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
    """

    source: Source
    root: Path
    result: Path
    dicom: bool
    created: str
    seed: str
    irregular: Irregular = "error"
    details: bool = False


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


def failed(error: MedganError, root: Path) -> Outcome:
    """The outcome that an error stands for; files in it are named relative to a folder."""
    message = str(error).replace(f"{root}/", "")
    return Outcome("failed", error_type=type(error).__name__, error=message)


def _translate_entry(translator: Translator, job: Job, series: DicomSeries) -> Outcome:
    warnings = []
    if job.dicom:
        created = datetime.fromisoformat(job.created)
        translate_series(translator, series, job.result, created=created, details=job.details)
        if frame_of_reference(series).generated:
            warnings.append("the source has no frame of reference: one was generated")
    else:
        write_files(translator(series.volume, details=job.details), job.result)
    return Outcome("translated", series.repairs, tuple(warnings))


def _translate_file(translator: Translator, job: Job) -> Outcome:
    volume = read_volume(job.source.paths[0])
    warnings: tuple[str, ...] = ()
    if volume.modality != translator.source:
        # Values cannot prove a modality: a CT without air has none below -500.
        warnings = (_unlike(volume.modality, translator.source),)
        volume = volume.with_array(volume.array, modality=translator.source)
    result = translator(volume, details=job.details)
    if job.dicom:
        write_maps(result, job.result, MAP_SUFFIX)
        created = datetime.fromisoformat(job.created)
        write_series(result.image, job.result, created=created, seed=job.seed)
    else:
        write_files(result, job.result)
    return Outcome("translated", warnings=warnings)


def _unlike(found: Modality, wanted: Modality) -> str:
    return (
        f"by its values this looks like {found}, "
        f"and is translated as the {wanted} that the model reads"
    )
