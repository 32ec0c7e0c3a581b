"""One training, whole."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from medgan.config.base import Consistent, Domain, Frozen
from medgan.config.data import CHEST_CHANNELS, DataConfig, PairConfig, PreparationConfig
from medgan.config.method import LossConfig, NetworkConfig


class TrainingConfig(Frozen):
    """The loop."""

    steps: int = Field(1000, ge=1, description="Updates in all, the warm-up included.")
    warmup_steps: int = Field(0, ge=0, description="First steps, on phantoms alone and supervised.")
    batch: int = Field(1, ge=1, description="Images of each domain a step and process.")
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
    max_gradient_norm: float = Field(
        100.0, gt=0, description="Longer gradients are shortened to this."
    )
    differentiable_augmentation: bool = Field(
        False, description="Shift, mirror and cut what discriminators see: for few scans."
    )
    precision: Literal["fp32", "bf16"] = Field("fp32", description="Of the networks' arithmetic.")
    seed: int = Field(0, ge=0, description="Everything random follows from it and the step.")
    log_every: int = Field(10, ge=1, description="Steps between lines of metrics.jsonl.")
    validate_every: int = Field(
        200, ge=1, description="Steps between validations; the best one's model is kept."
    )
    checkpoint_every: int = Field(
        200, ge=1, description="Steps between checkpoints, from which --resume continues."
    )


class TrackingConfig(Frozen):
    """MLflow beside the run folder, never instead of it."""

    enabled: bool = Field(True, description="Mirror the run to MLflow.")
    uri: str | None = Field(None, description="Tracking server; null: sqlite in the run folder.")
    experiment: str = Field("medgan", description="Where the run is listed.")


class TrainConfig(Consistent):
    """One training, whole."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9_.-]+$", description="Of the run folder, and in the model's card."
    )
    method: Literal["cyclic", "contrastive"] = Field(
        "cyclic", description="cyclic: AttentionGAN and CycleGAN; contrastive: CUT."
    )
    source: Domain = Field("MR", description="What G_A reads and G_B writes.")
    target: Domain = Field("CT", description="What G_A writes and G_B reads.")
    data: DataConfig = DataConfig()
    preparation: PreparationConfig = PreparationConfig()
    network: NetworkConfig = NetworkConfig()
    losses: LossConfig = LossConfig()
    training: TrainingConfig = TrainingConfig()
    tracking: TrackingConfig = TrackingConfig()
    evaluation: tuple[PairConfig, ...] = Field(
        (), description="Registered pairs, judged after training, never trained or chosen on."
    )

    def _faults(self) -> Iterator[tuple[bool, str]]:
        yield from self._domain_faults()
        yield from self._chest_faults()
        yield from self._size_faults()
        yield from self._weight_faults()
        yield from self._contrastive_faults()

    def _domain_faults(self) -> Iterator[tuple[bool, str]]:
        """What images are of, where they come from, and how many channels they have."""
        pictures = "IMAGE" in (self.source, self.target)
        network = self.network
        nodules = self.data.nodules is not None
        yield (
            nodules and (self.source, self.target, network.conditions) != ("CT", "CT", 2),
            ("data.nodules needs source: CT, target: CT and network.conditions: 2"),
        )
        yield network.conditions > 0 and not nodules, "network.conditions needs data.nodules"
        yield (
            self.source == self.target and not pictures and not nodules,
            ("source and target must be different modalities"),
        )
        yield (
            pictures and (self.source != self.target or self.data.images is None),
            ("pictures need source: IMAGE, target: IMAGE and data.images"),
        )
        yield (
            self.data.images is not None and not pictures,
            ("data.images needs source: IMAGE and target: IMAGE"),
        )
        yield (
            pictures and (self.uses_phantoms or network.position or network.neighbours > 0),
            ("pictures have no phantoms, neighbours or position"),
        )
        yield pictures and network.spatial_dims == 3, "pictures have two dimensions"
        yield pictures and bool(self.evaluation), "pictures have no evaluation pairs"
        # validation is on phantoms, whether they anchor the training or not
        scans = not pictures and not nodules and self.data.chest_slices is None
        mr, ct = network.channels if self.target == "CT" else network.channels[::-1]
        yield (
            scans and len(self.data.phantoms.contrasts) != mr,
            ("data.phantoms.contrasts must name one contrast for every channel of the MR"),
        )
        yield not pictures and ct != 1, "network.channels: the CT has one channel"

    def _size_faults(self) -> Iterator[tuple[bool, str]]:
        """Dimensions, planes, and how small an image may be."""
        network = self.network
        yield (
            network.discriminator == "image" and min(self.preparation.matrix) < 96,
            ("network.discriminator: image needs a preparation.matrix of at least 96"),
        )
        yield (
            network.spatial_dims == 3 and self.preparation.planes != ("axial",),
            ("preparation.planes are of slices: 3-D patches have none"),
        )
        yield (
            network.spatial_dims == 3 and min(self.preparation.patch) < 24,
            ("preparation.patch of at least 24 is needed: discriminators halve it three times"),
        )
        yield (
            network.position and self.preparation.planes != ("axial",),
            ("network.position is for axial slices"),
        )

    def _weight_faults(self) -> Iterator[tuple[bool, str]]:
        """Steps, and terms of the objective."""
        losses, network = self.losses, self.network
        yield (
            self.training.warmup_steps > self.training.steps,
            ("training.warmup_steps exceeds training.steps"),
        )
        yield (
            self.training.warmup_steps > 0 and not losses.phantom,
            ("training.warmup_steps needs losses.phantom > 0"),
        )
        objective = losses.adversarial + losses.cycle + losses.identity + losses.pixel
        yield (
            self.uses_scans and objective + losses.contrastive + losses.phantom == 0,
            ("the losses have no weight: nothing would be learned"),
        )
        yield losses.tissue > 0 and not losses.phantom, "losses.tissue needs losses.phantom > 0"
        yield (
            losses.phantom_end is not None and not losses.phantom,
            ("losses.phantom_end needs losses.phantom > 0"),
        )
        yield (
            not network.has_attention and losses.background + losses.total_variation > 0,
            ("losses.background and losses.total_variation need attention"),
        )

    def _contrastive_faults(self) -> Iterator[tuple[bool, str]]:
        """What goes with either method alone."""
        losses, network = self.losses, self.network
        yield (
            self.method == "contrastive" and not losses.contrastive,
            ("method: contrastive needs losses.contrastive > 0"),
        )
        yield (
            self.method == "cyclic" and losses.contrastive > 0,
            ("losses.contrastive needs method: contrastive"),
        )
        yield (
            self.method == "contrastive" and network.generator == "mask",
            ("method: contrastive needs network.generator: resnet or attention"),
        )
        yield (
            self.method == "contrastive" and losses.cycle + losses.identity > 0,
            ("method: contrastive has no cycle and no identity: set both to 0"),
        )
        yield (
            self.method == "contrastive"
            and (losses.pixel + losses.total_variation > 0 or losses.ramp is not None),
            ("method: contrastive has no pixel, no total_variation and no ramp"),
        )

    def _chest_faults(self) -> Iterator[tuple[bool, str]]:
        network, data = self.network, self.data
        if data.chest_slices is None:
            labels = "LABEL" in (self.source, self.target)
            yield labels, "source: LABEL needs data.chest_slices and target: CT"
            return
        yield (
            (self.source, self.target) != ("LABEL", "CT"),
            ("data.chest_slices needs source: LABEL and target: CT"),
        )
        yield (
            network.channels != (CHEST_CHANNELS, 1),
            (f"data.chest_slices needs network.channels: [{CHEST_CHANNELS}, 1]"),
        )
        yield (
            network.spatial_dims == 3 or self.preparation.planes != ("axial",),
            ("data.chest_slices are axial slices"),
        )
        yield (
            network.neighbours > 0 or network.position,
            ("data.chest_slices have no neighbours and no position"),
        )
        yield (
            bool(data.source or data.target or data.nodules or data.images or self.evaluation),
            ("data.chest_slices go without other scans, pictures and evaluation pairs"),
        )
        yield (
            data.phantoms.scanned_share > 0,
            ("data.phantoms.scanned_share is of heads: data.chest_slices have their own"),
        )

    @property
    def modalities(self) -> tuple[Literal["MR", "CT"], Literal["MR", "CT"]]:
        """Source and target of a training on scans of both."""
        data = self.data
        assert data.images is None and data.nodules is None and data.chest_slices is None
        return ("MR", "CT") if self.source == "MR" else ("CT", "MR")

    @property
    def uses_phantoms(self) -> bool:
        """Whether randomised phantoms take part in the training."""
        return self.losses.phantom > 0

    @property
    def uses_scans(self) -> bool:
        """Whether unpaired scans take part in the training."""
        return self.training.warmup_steps < self.training.steps
