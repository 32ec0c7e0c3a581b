"""Which trainings an augmentation experiment consists of, and the files each of them leaves."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

from medgan.config import load_as, parse_as
from medgan.data.luna16 import Luna16Scan
from medgan.detection.config import DetectorConfig
from medgan.recipes.augmentation_config import ArmConfig, AugmentationExperiment
from medgan.recipes.augmentation_material import Material
from medgan.recipes.augmentation_sources import Source, pick
from medgan.recipes.trainings import require_same


@dataclass(frozen=True)
class RunFiles:
    """The files of one training.

    Attributes:
        folder: all of them lie in it.
    """

    folder: Path

    @property
    def detector(self) -> Path:
        """The detector's run folder."""
        return self.folder / "detector"

    def marks(self, group: str) -> Path:
        """What it marks in the scans of a group, as ``medgan froc`` reads it."""
        return self.folder / f"{group}_marks.csv"

    def diameters(self, group: str) -> Path:
        """The same marks with the diameters it thinks they have."""
        return self.folder / f"{group}_diameters.csv"

    @property
    def result(self) -> Path:
        """What was learnt from, and how long it took; once it is there the run is done with."""
        return self.folder / "result.json"


@dataclass(frozen=True)
class Run:
    """One training.

    Attributes:
        arm: what it learns from.
        share: of the training scans.
        seed: of the training, and of which scans the share is made.
        config: of the detector.
        files: what it leaves.
    """

    arm: ArmConfig
    share: float
    seed: int
    config: DetectorConfig
    files: RunFiles

    @property
    def name(self) -> str:
        """For messages."""
        return f"{self.arm.name} at {100 * self.share:g} %, seed {self.seed}"


@dataclass(frozen=True)
class Lesson:
    """A run and its scans, ready to be trained wherever there is time.

    Attributes:
        run: which.
        train: scans to learn from.
        validation: scans to choose the best state and the threshold by.
        test: scans to be marked in the end.
    """

    run: Run
    train: tuple[Luna16Scan, ...]
    validation: tuple[Luna16Scan, ...]
    test: tuple[Luna16Scan, ...]


def runs(config: AugmentationExperiment, out: Path) -> Iterator[Run]:
    """The trainings, seed by seed, so that an experiment that is interrupted has whole tables.

    Raises:
        ConfigError: settings of an arm that do not exist or contradict each other.
    """
    for seed in config.seeds:
        for arm in config.arms:
            detector = parse_as(
                DetectorConfig,
                deepcopy(config.detector),
                [*arm.settings, f"name={arm.name}", f"training.seed={seed}"],
                where=f"arm {arm.name}",
            )
            for share in config.shares_of(arm):
                folder = out / "runs" / arm.name / f"share_{100 * share:g}" / f"seed_{seed}"
                yield Run(arm, share, seed, detector, RunFiles(folder))


def lesson(run: Run, material: Material, sources: Mapping[str, Source]) -> Lesson:
    """The scans of a run: those of its arm at its share and seed.

    Raises:
        DataError: a source has too few scans.
    """
    part = material.part(run.share, run.seed)
    train = part * run.arm.repeats if run.arm.real else ()
    if run.arm.source is not None:
        train += pick(sources[run.arm.source], run.arm, part, run.seed)
    return Lesson(run, train, material.groups["validation"], material.groups["test"])


def require_same_trainings(planned: list[Run]) -> None:
    """Refuse a folder with trainings of another experiment.

    Raises:
        TrainingError: a run was begun with another configuration; its sections are named.
    """
    for run in planned:
        place = run.files.detector / "config.yaml"
        if not place.exists():
            continue
        require_same(load_as(DetectorConfig, place), run.config, run.files.folder)
