"""Methods against each other on equal terms: same data, same steps, same seeds, one table."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from medgan.io.files import make_folder, write_json
from medgan.recipes.comparison_config import ComparisonConfig
from medgan.recipes.comparison_document import Failure, document
from medgan.recipes.comparison_plan import Run, require_same_trainings, runs
from medgan.recipes.comparison_scans import make_scans
from medgan.recipes.trainings import in_workers, require_jobs, require_known
from medgan.report.methods import write_methods_report

OnRun = Callable[[str], None]


def compare(
    config: ComparisonConfig,
    out: Path,
    jobs: int = 1,
    *,
    only: Sequence[str] = (),
    on_run: OnRun = lambda _: None,
) -> dict[str, Any]:
    """Train and test every member, and measure what a step of it costs.

    What is finished is not done again; a training that was interrupted is resumed; one that
    diverges is reported, and the others go on.

    Args:
        config: the comparison.
        out: folder for scans, runs, ``comparison.json`` (anew after every training) and
            ``report.html`` (after every seed, and in the end).
        jobs: trainings at the same time, which share the processor's cores.
        only: names of members to train now; all where there are none. The document holds
            whatever is finished.
        on_run: called with a line for every training that has ended.

    Returns:
        The content of ``comparison.json``; see ``document``.

    Raises:
        ConfigError: a member that cannot be trained, an unknown name, no job.
        TrainingError: the folder holds other trainings.
        MedganError: scans are missing or unusable, or the disk is full.
    """
    planned = list(runs(config, out))
    chosen = _chosen(config, planned, only)
    require_jobs(jobs)
    require_same_trainings(planned)
    make_folder(out / "scans" if config.held_out else out)
    make_scans(config, out / "scans")
    failures = _train(config, out, planned, chosen, jobs, on_run)
    _measure_costs(config, planned, chosen, on_run)
    return _write(config, out, planned, failures)


def _chosen(config: ComparisonConfig, planned: Sequence[Run], only: Sequence[str]) -> list[Run]:
    require_known(only, [member.name for member in config.members], "member")
    return [run for run in planned if not only or run.variant.member.name in only]


def _train(
    config: ComparisonConfig,
    out: Path,
    planned: Sequence[Run],
    chosen: Sequence[Run],
    jobs: int,
    on_run: OnRun,
) -> list[Failure]:
    waiting = [run for run in chosen if not run.result.exists()]
    failures = []
    for number, (run, end) in enumerate(in_workers(_train_and_test, waiting, jobs), 1):
        on_run(f"[{number}/{len(waiting)}] {run.variant.name} seed {run.seed}: {end.line}")
        if end.failed:
            failures.append(Failure(run, end.line))
        if number < len(waiting) and waiting[number].seed != run.seed:
            _write(config, out, planned, failures)
        else:
            write_json(out / "comparison.json", document(config, planned, failures))
    return failures


def _measure_costs(
    config: ComparisonConfig, planned: Sequence[Run], chosen: Sequence[Run], on_run: OnRun
) -> None:
    """Of every variant once, a process each, so that its memory is its own."""
    first = [run for run in planned if run.seed == config.seeds[0]]
    reference = next(run for run in first if run.variant.name == config.reference)
    for run in first:
        if run in chosen and run.result.exists() and not run.cost.exists():
            ((_, end),) = in_workers(_measure_cost, [(run, reference)], jobs=1, threads=1)
            on_run(f"{run.variant.name}: {end.line}")


def _write(
    config: ComparisonConfig, out: Path, planned: Sequence[Run], failures: Sequence[Failure]
) -> dict[str, Any]:
    """Write ``comparison.json`` and ``report.html``."""
    found = document(config, planned, failures)
    write_json(out / "comparison.json", found)
    # of one seed, because every seed has test heads of its own
    pictures = {
        run.variant.name: dict(np.load(run.pictures))
        for run in planned
        if run.seed == config.seeds[0] and run.result.exists()
    }
    write_methods_report(out / "report.html", found, pictures)
    return found


# What the workers do; it loads torch there, which who only waits for them need not.


def _train_and_test(run: Run) -> str:
    from medgan.recipes.comparison_run import train_and_test

    return train_and_test(run)


def _measure_cost(pair: tuple[Run, Run]) -> str:
    from medgan.recipes.comparison_cost import measure_cost

    return measure_cost(*pair)
