"""Configuration: frozen models, YAML in, effective YAML out, dotted overrides.

A configuration is data. Unknown keys are errors, and every fault of a file is in one message.
"""

from collections.abc import Iterable
from copy import deepcopy
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from medgan.errors import ConfigError

Pair = tuple[float, float]
Triple = tuple[float, float, float]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


Plane = Literal["axial", "sagittal", "coronal"]


class PreparationConfig(_Frozen):
    """What is done to a volume before a network sees it. Travels in the model file."""

    spacing_mm: Triple = Field((2.0, 2.0, 2.0), description="Voxel size of the model's grid, RAS.")
    matrix: tuple[int, int] = Field(
        (128, 128), description="Slices are padded with air to at least this size, in voxels."
    )
    window_hu: Pair = Field((-1000.0, 2000.0), description="HU mapped to -1 and to +1.")
    mr_percentile: float = Field(
        99.5, gt=50, le=100, description="Percentile inside the body that is mapped to +1; 0 to -1."
    )
    planes: tuple[Plane, ...] = Field(
        ("axial",),
        min_length=1,
        description="Planes of the slices; a volume's result is the mean over them.",
    )
    n4: bool = Field(False, description="Correct the MR bias field (N4) before scaling.")
    mask_margin_mm: float = Field(
        4.0, ge=0, description="What lies farther than this outside the body mask becomes air."
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if min(self.spacing_mm) <= 0:
            raise ValueError("spacing_mm must be positive")
        if self.spacing_mm[0] != self.spacing_mm[1]:
            raise ValueError("spacing_mm must be equal along R and A: pixels are square")
        if self.planes != ("axial",) and self.spacing_mm[0] != self.spacing_mm[2]:
            raise ValueError("spacing_mm must be equal along all axes for slices in other planes")
        if len(set(self.planes)) < len(self.planes):
            raise ValueError("planes must not name a plane twice")
        if self.window_hu[0] >= self.window_hu[1]:
            raise ValueError("window_hu must be (low, high) with low < high")
        if min(self.matrix) < 32 or any(size % 4 for size in self.matrix):
            raise ValueError("matrix must be multiples of 4 of at least 32")
        return self


class PhantomConfig(_Frozen):
    """The phantoms that anchor a training."""

    heads: int = Field(48, ge=1, description="Number of different anatomies to train on.")
    validation_heads: int = Field(6, ge=1, description="Anatomies kept for validation.")
    slices: int = Field(32, ge=1, description="Slices taken from each anatomy.")
    scanned_share: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of samples whose anatomy is that of a real CT of the training.",
    )
    contrast: Literal["t1", "t2"] = Field("t1", description="Contrast that is randomised around.")


class ScanConfig(_Frozen):
    """One scan of one patient, a file or DICOM folder; a bare path is short for ``{path: ...}``."""

    path: Path
    series: str | None = Field(
        None,
        description="Picks one series of a DICOM folder, e.g. modality=MR,contrast=T1; null: it "
        "holds one only.",
    )
    hu_offset: float = Field(0.0, description="Added to the file's values, e.g. -1024.")

    @model_validator(mode="before")
    @classmethod
    def _bare_path(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str | Path) else value


class DataConfig(_Frozen):
    """The scans of a training; paths are relative to ``root``, one scan a patient."""

    root: Path | None = Field(
        None, description="Folder of the scans; null: the environment variable MEDGAN_DATA."
    )
    source: tuple[ScanConfig, ...] = ()
    target: tuple[ScanConfig, ...] = ()
    validation_share: float = Field(
        0.0, ge=0, lt=1, description="Share of each domain's patients that only validate."
    )
    match_position: bool = Field(
        True, description="Draw target slices at the source slice's distance below the vertex."
    )
    phantoms: PhantomConfig = PhantomConfig()


class NetworkConfig(_Frozen):
    """Generator and discriminator; as published by default, but for one channel."""

    spatial_dims: Literal[2, 3] = Field(2, description="2: slices; 3: patches of volumes.")
    channels: int = Field(1, ge=1, description="Image channels; 3 in the published network.")
    width: int = Field(64, ge=4, description="Feature maps after the first convolution.")
    blocks: int = Field(9, ge=1, description="Residual blocks.")
    contents: int = Field(9, ge=1, description="Foreground contents; one background map is added.")
    discriminator_width: int = Field(64, ge=4, description="Feature maps of the first layer.")


class LossConfig(_Frozen):
    """Weights of the objective's terms; those of the published code by default."""

    adversarial: float = Field(1.0, ge=0)
    cycle: float = Field(10.0, ge=0)
    identity: float = Field(5.0, ge=0, description="0.5 times cycle in the published code.")
    phantom: float = Field(0.0, ge=0, description="Supervised term on randomised phantoms.")


class TrainingConfig(_Frozen):
    """The loop."""

    steps: int = Field(1000, ge=1)
    warmup_steps: int = Field(0, ge=0, description="First steps, on phantoms alone and supervised.")
    batch: int = Field(1, ge=1)
    warmup_learning_rate: float = Field(
        1e-3, gt=0, description="Rate of the warm-up; falls to learning_rate over its second half."
    )
    learning_rate: float = Field(2e-4, gt=0, description="Rate of Adam after the warm-up.")
    decay_from: float = Field(
        0.5, ge=0, le=1, description="Share of those steps after which the rate falls towards 0."
    )
    average_decay: float = Field(
        0.0, ge=0, lt=1, description="Exponential moving average of the generators; 0: none."
    )
    pool: int = Field(50, ge=0, description="Size of the history pool of each discriminator.")
    max_gradient_norm: float = Field(100.0, gt=0)
    precision: Literal["fp32", "bf16"] = "fp32"
    seed: int = Field(0, ge=0)
    log_every: int = Field(10, ge=1)
    validate_every: int = Field(200, ge=1)
    checkpoint_every: int = Field(200, ge=1)


class TrackingConfig(_Frozen):
    """MLflow beside the run folder, never instead of it."""

    enabled: bool = Field(True, description="Mirror the run to MLflow.")
    uri: str | None = Field(None, description="Tracking server; null: sqlite in the run folder.")
    experiment: str = Field("medgan")


class PairConfig(_Frozen):
    """A registered pair for evaluation; never trained on, never used to choose anything."""

    name: str
    source: ScanConfig
    target: ScanConfig
    register_rigidly: bool = Field(False, description="Move the CT onto the MR first.")


class TrainConfig(_Frozen):
    """One training, whole."""

    name: str = Field(pattern=r"^[A-Za-z0-9_.-]+$")
    source: Literal["MR", "CT"] = "MR"
    target: Literal["MR", "CT"] = "CT"
    data: DataConfig = DataConfig()
    preparation: PreparationConfig = PreparationConfig()
    network: NetworkConfig = NetworkConfig()
    losses: LossConfig = LossConfig()
    training: TrainingConfig = TrainingConfig()
    tracking: TrackingConfig = TrackingConfig()
    evaluation: tuple[PairConfig, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.source == self.target:
            raise ValueError("source and target must be different modalities")
        if self.training.warmup_steps > self.training.steps:
            raise ValueError("training.warmup_steps exceeds training.steps")
        if self.training.warmup_steps and not self.losses.phantom:
            raise ValueError("training.warmup_steps needs losses.phantom > 0")
        return self

    @property
    def uses_phantoms(self) -> bool:
        """Whether randomised phantoms take part in the training."""
        return self.losses.phantom > 0

    @property
    def uses_scans(self) -> bool:
        """Whether unpaired scans take part in the training."""
        return self.training.warmup_steps < self.training.steps


def load_config(path: Path, overrides: Iterable[str] = ()) -> TrainConfig:
    """Read a training configuration.

    Args:
        path: YAML file.
        overrides: ``dotted.key=value`` items, the value in YAML.

    Raises:
        ConfigError: no such file, not YAML, unknown keys or wrong values (all in one message).
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            "cannot read the configuration", where=path, measured=error.strerror
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError("not valid YAML", where=path, measured=str(error)) from error
    if not isinstance(document, dict):
        raise ConfigError("a configuration is a mapping of keys", where=path)
    return parse_config(document, overrides, where=path)


def parse_config(
    document: dict[str, Any], overrides: Iterable[str] = (), *, where: object = "configuration"
) -> TrainConfig:
    """Check a configuration given as a mapping; see ``load_config``."""
    document = deepcopy(document)
    for item in overrides:
        _override(document, item)
    try:
        return TrainConfig.model_validate(document)
    except ValidationError as error:
        raise ConfigError(
            f"{error.error_count()} fault{'s' if error.error_count() > 1 else ''}: "
            + "; ".join(_describe(fault) for fault in error.errors()),
            where=where,
            remedy="`medgan train --help` names the example; configs/ explain every key",
        ) from None


def _override(document: dict[str, Any], item: str) -> None:
    key, equals, text = item.partition("=")
    if not equals or not all(key.split(".")):
        raise ConfigError(
            "an override reads key=value", measured=item, remedy="e.g. training.steps=100"
        )
    *parents, last = key.split(".")
    node = document
    for parent in parents:
        node = node.setdefault(parent, {})
        if not isinstance(node, dict):
            raise ConfigError("an override goes below a value", where=key, measured=parent)
    try:
        node[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(
            "the value of an override is not YAML", where=key, measured=text
        ) from error


def _describe(fault: Any) -> str:
    key = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        return f"{key}: unknown key"
    reason = fault["msg"].removeprefix("Value error, ")
    return f"{key}: {reason}" if key else str(reason)


def dump_config(config: TrainConfig) -> str:
    """The effective configuration as YAML, every default written out."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
