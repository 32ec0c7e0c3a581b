"""One conversion: a source into a file or a series, in a folder of its own."""

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Literal

from medgan.errors import GeometryError, MedganError
from medgan.io import read_volume, write_json, write_volume
from medgan.io.batch.modality import known_modality, require_scan
from medgan.io.batch.sidecar import sidecar
from medgan.io.dicom.deidentify import deidentify, deidentify_file
from medgan.io.dicom.index import SeriesEntry
from medgan.io.dicom.series import read_series
from medgan.io.dicom.write import Identity, write_series
from medgan.io.files import shown
from medgan.io.studies import Source
from medgan.volumes import Modality, Volume

Format = Literal["nifti", "dicom", "mha", "nrrd"]

ENDINGS: dict[Format, str] = {"nifti": ".nii.gz", "mha": ".mha", "nrrd": ".nrrd", "dicom": ""}
"""What the name of a result ends in; a DICOM series is a folder."""

SIDECAR = "sidecar.json"

_IS_DICOM = "is DICOM already: with --deidentify it is copied, with --irregular resample repaired"


@dataclass(frozen=True)
class Options:
    """What is done to every source.

    Attributes:
        to: format of the results.
        irregular: "resample" repairs the geometry of DICOM series where that is possible.
        deidentify: DICOM goes to DICOM, without what identifies the patient.
        key: secret that pseudonyms and new UIDs are derived with.
        modality: of the files that are not DICOM and no masks; None: as the ``.json`` beside each
            says, else by its values.
    """

    to: Format
    irregular: Literal["error", "resample"] = "error"
    deidentify: bool = False
    key: bytes | None = None
    modality: Literal["CT", "MR"] | None = None


@dataclass(frozen=True)
class Job:
    """A source to convert.

    Attributes:
        source: what to read.
        root: folder that messages name files relative to.
        options: what to do.
        folder: where to write, not there yet.
        created: time of creation that a DICOM result carries, ISO 8601.
        seed: what its UIDs are derived from.
    """

    source: Source
    root: Path
    options: Options
    folder: Path
    created: str
    seed: str

    @property
    def result(self) -> Path:
        """The file, or the folder of a series, that the job makes."""
        return self.folder / f"result{ENDINGS[self.options.to]}"


@dataclass(frozen=True)
class Outcome:
    """What became of a job; ``error`` is also the reason why something was skipped."""

    status: Literal["converted", "repaired", "refused", "skipped"]
    repairs: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    error_type: str = ""
    error: str = ""


def run(job: Job) -> Outcome:
    """Do one job; what is wrong with the source is part of the outcome, not raised."""
    job.folder.mkdir()
    try:
        if job.source.entry and job.options.to == "dicom":
            return _dicom_to_dicom(job, job.source.entry)
        return _convert(job)
    except MedganError as error:
        return refused(error, job.root)


def foreseen(source: Source, options: Options, root: Path) -> Outcome:
    """What will become of a source as far as its headers tell."""
    entry = source.entry
    if entry is None:
        return Outcome("converted")
    if options.to == "dicom" and not (options.deidentify or is_repairable(entry, options)):
        return Outcome("skipped", error=_IS_DICOM)
    if entry.problem is None or (options.to == "dicom" and options.deidentify):
        return Outcome("converted")
    if is_repairable(entry, options):
        return Outcome("repaired")
    return refused(entry.problem, root)


def is_repairable(entry: SeriesEntry, options: Options) -> bool:
    """Whether a series is one to repair, as far as its headers tell."""
    return options.irregular == "resample" and isinstance(entry.problem, GeometryError)


def refused(error: MedganError, root: Path) -> Outcome:
    """The outcome that an error stands for; files in it are named relative to a folder."""
    message = str(error).replace(f"{root}/", "")
    return Outcome("refused", error_type=type(error).__name__, error=shown(message))


def _convert(job: Job) -> Outcome:
    entry = job.source.entry
    series = read_series(entry, irregular=job.options.irregular) if entry else None
    volume = series.volume if series else read_volume(job.source.paths[0])
    modality: Modality | None = volume.modality
    if series is None:
        modality = known_modality(volume, job.source, job.options.modality)
        volume = replace(volume, modality=modality or volume.modality)
    repairs = series.repairs if series else ()
    if job.options.to == "dicom":
        require_scan(modality, volume)
        created = datetime.fromisoformat(job.created)
        write_series(volume, job.result, created=created, seed=job.seed)
    else:
        write_volume(volume, job.result)
        write_json(job.folder / SIDECAR, sidecar(volume, modality, series))
    return Outcome("repaired" if repairs else "converted", repairs, _warnings(volume))


def _dicom_to_dicom(job: Job, entry: SeriesEntry) -> Outcome:
    """Copy the files of a series under another identity, or write it anew where it is repaired."""
    options = job.options
    if is_repairable(entry, options):
        series = read_series(entry, irregular="resample")
        header = series.planes[0].header
        if options.deidentify:
            header = deidentify(header, options.key or b"")
        created = datetime.fromisoformat(job.created)
        write_series(series.volume, job.result, Identity.of(header), created=created, seed=job.seed)
        return Outcome("repaired", series.repairs, _warnings(series.volume))
    if not options.deidentify:
        return Outcome("skipped", error=_IS_DICOM)
    job.result.mkdir()
    for number, path in enumerate(entry.paths, 1):
        target = job.result / f"{number:04d}.dcm"
        deidentify_file(path, target, options.key or b"", root=job.root)
    return Outcome("converted")


def _warnings(volume: Volume) -> tuple[str, ...]:
    found = []
    low, high = volume.array.min(), volume.array.max()
    if volume.modality == "CT" and low >= 0:
        found.append(
            f"CT without a value below 0 HU (minimum {low:g}): "
            "an offset of -1024 may have been forgotten"
        )
    if low == high:
        found.append(f"every voxel is {low:g}")
    return tuple(found)
