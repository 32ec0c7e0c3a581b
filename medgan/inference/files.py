"""Files through a translator: a volume, or a folder of volumes."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from medgan.errors import FileError, MedganError, OutputError
from medgan.inference.translator import Translator
from medgan.io import SUFFIXES, read_volume, split_suffix, write_volume
from medgan.io.files import output_errors
from medgan.volumes import Modality, Volume

_SUFFIX_OF = {"nifti": ".nii.gz", "mha": ".mha", "nrrd": ".nrrd"}

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """One file to translate; ``name`` is its place below the folder that was given."""

    name: str
    source: Path
    target: Path


@dataclass(frozen=True)
class JobResult:
    """What became of a job."""

    source: str
    status: Literal["translated", "skipped", "failed"]
    output: str | None = None
    error: str | None = None


def plan(source: Path, target: Path, to: str = "same") -> list[Job]:
    """The jobs of a file or a folder.

    Args:
        source: a volume, or a folder searched through and through.
        target: the file to write, or the folder that mirrors the source's. Where it lies inside
            the source, it is not searched: a second run does not translate the first one's results.
        to: "same" keeps each file's format; "nifti", "mha" and "nrrd" change it.

    Raises:
        FileError: nothing there, or no volume in the folder.
        OutputError: a file is to become a folder that is there, or a folder a file; a result
            would replace a source or another result, or its format is unknown.
    """
    if source.is_file():
        if target.is_dir():
            raise OutputError("is a folder", where=target, remedy="Name the file to write")
        return _checked([Job(source.name, source, target)])
    if not source.is_dir():
        raise FileError("no such file or folder", where=source)
    if target.is_file():
        raise OutputError("is a file", where=target, remedy="Name a folder for the results")
    found = _search(source, target)
    if not found:
        raise FileError("no volume in this folder", where=source, limit=", ".join(SUFFIXES))
    jobs = []
    for path in found:
        stem, suffix = split_suffix(path)
        folder = target / path.relative_to(source).parent
        name = str(path.relative_to(source))
        jobs.append(Job(name, path, folder / f"{stem}{_SUFFIX_OF.get(to, suffix)}"))
    return _checked(jobs)


def _search(source: Path, target: Path) -> list[Path]:
    """Volumes below a folder, but for those in a folder of results inside it."""
    found = (
        path for path in source.rglob("*") if path.is_file() and split_suffix(path)[1] in SUFFIXES
    )
    results = target.resolve()
    if source.resolve() in results.parents:
        return sorted(path for path in found if results not in path.resolve().parents)
    return sorted(found)


def _checked(jobs: list[Job]) -> list[Job]:
    """The jobs, if no result would take the place of a source or of another result."""
    sources = {job.source.resolve() for job in jobs}
    makers: dict[Path, Job] = {}
    for job in jobs:
        target = job.target.resolve()
        if target in sources:
            raise OutputError(
                "the result would replace a source", where=job.target, remedy="Name another place"
            )
        first = makers.setdefault(target, job)
        if first is not job:
            raise OutputError(
                "two sources would become the same file",
                where=job.target,
                measured=f"{first.name} and {job.name}",
                remedy="Rename one of them, or translate them one by one",
            )
        if split_suffix(job.target)[1] not in SUFFIXES:
            raise OutputError(
                "no format ends like this", where=job.target, limit=", ".join(SUFFIXES)
            )
    return jobs


def translate_file(
    translator: Translator, job: Job, *, details: bool = False, overwrite: bool = False
) -> JobResult:
    """Run one job; a fault of the input is reported in the result, not raised.

    With ``details``, maps lie beside the result as ``<name>_attention``, ``<name>_disagreement``
    (models of several planes) and ``<name>_content_<k>``.
    """
    if job.target.exists() and not overwrite:
        return JobResult(job.name, "skipped", str(job.target))
    try:
        volume = _read(job, translator.source)
        result = translator(volume, details=details)
        with output_errors(job.target):
            job.target.parent.mkdir(parents=True, exist_ok=True)
        stem, suffix = split_suffix(job.target)
        maps: dict[str, Volume] = {}
        for name in ("attention", "disagreement"):
            if (values := getattr(result, name)) is not None:
                maps[name] = values
        maps |= {f"content_{k}": content for k, content in enumerate(result.contents, 1)}
        for name, values in maps.items():
            write_volume(values, job.target.with_name(f"{stem}_{name}{suffix}"))
        # last, because its presence says that the job is done
        write_volume(result.image, job.target)
    except MedganError as error:
        return JobResult(job.name, "failed", error=str(error))
    return JobResult(job.name, "translated", str(job.target))


def _read(job: Job, modality: Modality) -> Volume:
    """The source as the modality that the model reads, with a warning where it looks unlike it.

    Values cannot prove a modality (a CT without air has none below -500), so this is no error.
    """
    volume = read_volume(job.source)
    if volume.modality == modality:
        return volume
    _log.warning(
        "%s: by its values this looks like %s, and is translated as the %s that the model reads",
        job.name,
        volume.modality,
        modality,
    )
    return volume.with_array(volume.array, modality=modality)
