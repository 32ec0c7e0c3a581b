"""The configuration of an augmentation experiment: does synthetic data help a detector?"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from medgan.config import Consistent, Frozen

Name = r"^[a-z0-9][a-z0-9_]*$"

OWN_KEYS = ("name", "training.seed")
"""Of a detector, what every run gets from the experiment itself."""


class PhantomGroup(Frozen):
    """Phantom scans of one group."""

    scans: int = Field(ge=1, description="Number of them, of as many people.")
    nodules: int | None = Field(None, ge=0, le=40, description="In each; null: as in LUNA16.")


class PhantomMaterial(Frozen):
    """Scans that are made for the experiment."""

    spacing_mm: float = Field(1.5, gt=0.5, le=4, description="Edge of their cubic voxels.")
    seed: int = Field(0, ge=0, description="Of all people; no group shares any.")
    train: PhantomGroup
    validation: PhantomGroup
    test: PhantomGroup

    def group_seed(self, group: "Group") -> int:
        """Seed of a group's people: no group shares any."""
        return 3 * self.seed + GROUPS.index(group)


class Luna16Material(Frozen):
    """Scans that there are: a folder of LUNA16, divided by subset."""

    root: Path = Field(description="Folder in the form of LUNA16.")
    train: tuple[int, ...] = Field(min_length=1, description="Subsets to learn from.")
    validation: tuple[int, ...] = Field(min_length=1, description="Subsets to choose by.")
    test: tuple[int, ...] = Field(min_length=1, description="Subsets that are only tested on.")
    annotations: Path | None = Field(None, description="null: the annotations.csv in root.")
    excluded: Path | None = Field(None, description="null: the annotations_excluded.csv in root.")

    @model_validator(mode="after")
    def _no_scan_in_two_groups(self) -> Self:
        several = [*self.train, *self.validation, *self.test]
        if len(set(several)) < len(several):
            raise ValueError("a subset belongs to train, validation or test, to one of them")
        return self


Group = Literal["train", "validation", "test"]
GROUPS: tuple[Group, ...] = ("train", "validation", "test")


class SourceConfig(Frozen):
    """Where synthetic scans come from.

    Attributes:
        kind: "oracle": the nodules that the phantoms themselves would have; "noise": balls of
            noise; "generator": a generator that is trained on the training scans first, or was
            trained elsewhere; "folder": scans made by any program, in the form of LUNA16;
            "slices": a model from masks to CT, trained likewise, whose slices are compared with
            those of test scans; no arm learns from single slices.
    """

    name: str = Field(pattern=Name, description="By which arms call it.")
    label: str = Field(description="How the report calls it.")
    kind: Literal["oracle", "noise", "generator", "folder", "slices"]
    nodules: int = Field(2, ge=1, le=20, description="Put into every copy of a scan.")
    seed: int = Field(0, ge=0, description="Of what is put where.")
    path: Path | None = Field(
        None, description="Folder of the scans, or run folder of a trained model."
    )
    training: Path | None = Field(
        None, description="Training configuration of a model, in place of path."
    )
    settings: tuple[str, ...] = Field((), description="key=value items on top of training.")

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> Self:
        given = self.path is not None, self.training is not None
        either = {(True, False), (False, True)}
        allowed = {"folder": {(True, False)}, "generator": either, "slices": either}
        if given not in allowed.get(self.kind, {(False, False)}):
            raise ValueError(
                "a folder has a path, a generator either path or training, and so have slices; a "
                "control has neither"
            )
        if self.settings and self.training is None:
            raise ValueError("settings belong to training")
        return self


class ArmConfig(Frozen):
    """What one detector learns from; all learn for the same number of steps."""

    name: str = Field(pattern=Name, description="Of its folder.")
    label: str = Field(description="How the table calls it.")
    real: bool = Field(True, description="Learns from the real scans.")
    repeats: int = Field(1, ge=1, description="How often each real scan is listed.")
    source: str | None = Field(None, description="Name of a source of synthetic scans.")
    times: float = Field(1, gt=0, le=20, description="Synthetic scans for each real one.")
    settings: tuple[str, ...] = Field((), description="key=value items on top of detector.")
    shares: tuple[float, ...] | None = Field(None, description="null: those of the experiment.")

    @model_validator(mode="after")
    def _learns_from_something(self) -> Self:
        if not self.real and self.source is None:
            raise ValueError("an arm without real scans needs a source")
        if not self.real and self.repeats > 1:
            raise ValueError("repeats are those of the real scans")
        return self


class ImagesConfig(Frozen):
    """FID and KID of the synthetic scans against the test scans.

    Attributes:
        features: see ``medgan compare-sets``.
        crop_mm: side of the crops around nodules (masked region).
        scans: the most of either set in the full-image comparison.
        every: of the slices in that comparison, each so many-th one is shown.
    """

    features: str = "efficientnet-lite0"
    crop_mm: float = Field(32.0, gt=0, le=200)
    scans: int = Field(12, ge=2)
    every: int = Field(4, ge=1)


class AugmentationExperiment(Consistent):
    """An augmentation experiment.

    Attributes:
        detector: a detector's configuration that all arms share, without ``OWN_KEYS``.
    """

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="Of the folder, runs/<name>."
    )
    seeds: tuple[int, ...] = Field(min_length=1, description="One training of every arm each.")
    shares: tuple[float, ...] = Field(
        (1.0,), min_length=1, description="Of the training scans: the low-data curve."
    )
    phantoms: PhantomMaterial | None = None
    luna16: Luna16Material | None = None
    sources: tuple[SourceConfig, ...] = ()
    arms: tuple[ArmConfig, ...] = Field(min_length=1)
    reference: str = Field(description="Arm that the others are held against.")
    detector: dict[str, Any] = Field(
        default_factory=dict,
        description="Of a nodule detector, what all arms share: no name and no training.seed.",
    )
    bootstrap: int = Field(1000, ge=0, description="Resamples of the test scans.")
    bootstrap_seed: int = Field(0, ge=0, description="Draws those.")
    images: ImagesConfig | None = Field(ImagesConfig(), description="null: no FID and KID.")

    def _faults(self) -> Iterator[tuple[bool, str]]:
        names = [arm.name for arm in self.arms]
        sources = [source.name for source in self.sources]
        shares = [share for arm in self.arms for share in self.shares_of(arm)]
        yield (self.phantoms is None) == (self.luna16 is None), "one of phantoms and luna16 is due"
        yield len(set(names)) < len(names), "arms need different names"
        yield len(set(sources)) < len(sources), "sources need different names"
        yield len(set(self.seeds)) < len(self.seeds), "seeds must differ"
        yield min(self.seeds) < 0, "seeds must not be negative"
        yield self.reference not in names, "reference must name an arm"
        yield not all(0 < share <= 1 for share in shares), "shares must lie above 0, up to 1"
        for arm in self.arms:
            unknown = arm.source is not None and arm.source not in sources
            yield unknown, f"arm {arm.name}: no source of that name"
        slices = {source.name for source in self.sources if source.kind == "slices"}
        for arm in self.arms:
            yield arm.source in slices, f"arm {arm.name}: nothing learns from single slices"
        yield bool(slices) and self.images is None, "slices are compared by images, which is null"
        oracle = any(source.kind == "oracle" for source in self.sources)
        yield oracle and self.phantoms is None, "an oracle knows phantoms only"
        training = self.detector.get("training")
        taken = "name" in self.detector or (isinstance(training, dict) and "seed" in training)
        yield taken, f"detector must not hold {' or '.join(OWN_KEYS)}: the experiment sets them"

    def shares_of(self, arm: ArmConfig) -> tuple[float, ...]:
        """The shares of the training scans at which an arm is trained, descending."""
        return tuple(sorted(set(self.shares if arm.shares is None else arm.shares), reverse=True))

    def source(self, name: str) -> SourceConfig:
        """The source of a name."""
        return next(source for source in self.sources if source.name == name)
