"""Whether synthetic data helps a nodule detector: trained on equal terms, tested once, reported."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from medgan.config import dump_config
from medgan.errors import DataError
from medgan.io.files import make_folder, write_json, write_text
from medgan.recipes.augmentation_config import AugmentationExperiment
from medgan.recipes.augmentation_document import Failure, document
from medgan.recipes.augmentation_material import Material, prepare_material
from medgan.recipes.augmentation_plan import Lesson, Run, lesson, require_same_trainings, runs
from medgan.recipes.augmentation_sources import Source, prepare_source
from medgan.recipes.trainings import in_workers, require_jobs, require_known
from medgan.report.augmentation import write_augmentation_report

OnEvent = Callable[[str], None]


def run_experiment(
    config: AugmentationExperiment,
    out: Path,
    jobs: int = 1,
    *,
    only: Sequence[str] = (),
    on_event: OnEvent = lambda _: None,
) -> dict[str, Any]:
    """Make the scans, train every arm, mark the test scans, and report.

    What is finished is not done again; a training that was interrupted is resumed; one that
    diverges, or has too few scans, is reported, and the others go on.

    Args:
        config: the experiment.
        out: folder for scans, runs, ``experiment.json`` and ``report.html``.
        jobs: trainings at the same time, which share the processor's cores.
        only: names of arms to train now; all where there are none. The report holds whatever is
            finished.
        on_event: called with a line for every step of the work that has ended.

    Returns:
        The content of ``experiment.json``; see ``document``.

    Raises:
        ConfigError: an arm that cannot be trained, an unknown name, no job.
        TrainingError: the folder holds another experiment.
        MedganError: scans are missing or unusable, or the disk is full.
    """
    planned = list(runs(config, out))
    chosen = _chosen(config, planned, only)
    require_jobs(jobs)
    require_same_trainings(planned)
    make_folder(out)
    write_text(out / "config.yaml", dump_config(config))
    on_event("scans: opened, or drawn where they are phantoms and not there yet")
    material = prepare_material(config, out, jobs)
    counts = ", ".join(f"{len(scans)} {group}" for group, scans in material.groups.items())
    on_event(f"scans: {counts}; left out: {len(material.problems)}")
    sources = _sources(config, chosen, material, out, on_event)
    failures = _train(chosen, material, sources, jobs, on_event)
    return report(config, out, planned, material, failures)


def report(
    config: AugmentationExperiment,
    out: Path,
    planned: Sequence[Run],
    material: Material,
    failures: Sequence[Failure] = (),
) -> dict[str, Any]:
    """Write ``experiment.json`` and ``report.html`` from the files that the runs have left."""
    found = document(config, out, planned, material, failures)
    write_json(out / "experiment.json", found)
    write_augmentation_report(out / "report.html", found)
    return found


def _chosen(
    config: AugmentationExperiment, planned: Sequence[Run], only: Sequence[str]
) -> list[Run]:
    require_known(only, [arm.name for arm in config.arms], "arm")
    return [run for run in planned if not only or run.arm.name in only]


def _sources(
    config: AugmentationExperiment,
    chosen: Sequence[Run],
    material: Material,
    out: Path,
    on_event: OnEvent,
) -> dict[str, Source]:
    wanted = {run.arm.source for run in chosen}
    found = {}
    for source in config.sources:
        if source.kind == "slices":
            # torch is loaded here only
            from medgan.recipes.augmentation_slices import compare_slices

            summary = compare_slices(source, config, material, out)
            counts = f"{summary['slices']} slices of {summary['scans']} scans"
            on_event(f"{source.name}: {counts}; left out: {len(summary['problems'])}")
            continue
        if source.name not in wanted:
            continue
        found[source.name] = made = prepare_source(source, config, material, out)
        _summarise(config, source.name, made, material, out)
        on_event(f"{source.name}: {len(made.scans)} scans; left out: {len(made.problems)}")
    return found


def _summarise(
    config: AugmentationExperiment, name: str, source: Source, material: Material, out: Path
) -> None:
    """Write what the report says of a source; its distances are measured once."""
    place = out / "synthetic" / name / "summary.json"
    known = json.loads(place.read_text(encoding="utf-8")) if place.exists() else {}
    summary: dict[str, Any] = {
        "scans": len(source.scans),
        "inserted": sum(len(one.inserted) for one in source.scans),
        "unknown_origin": sum(one.origin is None for one in source.scans),
        "problems": list(source.problems),
    }
    if config.images is not None:
        settings = config.images.model_dump(mode="json")
        distances = known.get("distances")
        same = (known.get("images"), known.get("scans")) == (settings, summary["scans"])
        if not same:
            # torch and its features are loaded here only
            from medgan.metrics.features import extractor_named
            from medgan.recipes.augmentation_images import image_distances

            extractor = extractor_named(config.images.features)
            distances = image_distances(material.groups["test"], source, extractor, config.images)
        summary |= {"images": settings, "distances": distances}
    make_folder(place.parent)
    write_json(place, summary)


def _train(
    chosen: Sequence[Run],
    material: Material,
    sources: Mapping[str, Source],
    jobs: int,
    on_event: OnEvent,
) -> list[Failure]:
    failures, lessons = [], []
    for run in chosen:
        if not run.files.result.exists():
            try:
                lessons.append(lesson(run, material, sources))
            except DataError as error:
                failures.append(Failure(run, str(error)))
    for number, (one, end) in enumerate(in_workers(_train_and_mark, lessons, jobs), 1):
        on_event(f"[{number}/{len(lessons)}] {one.run.name}: {end.line}")
        if end.failed:
            failures.append(Failure(one.run, end.line))
    return failures


# What the workers do; it loads torch there, which who only waits for them need not.


def _train_and_mark(one: Lesson) -> str:
    from medgan.recipes.augmentation_run import train_and_mark

    return train_and_mark(one)
