"""The configuration of a nodule detector."""

from typing import Literal, Self

from pydantic import Field, model_validator

from medgan.config import Frozen, Pair

LUNG_WINDOW_HU = (-1000.0, 400.0)
COARSEST_STRIDE = 8
"""Voxels to a cell of the network's coarsest level; every size it sees is a multiple of it."""


class DetectorInput(Frozen):
    """What is done to a scan before the network sees it.

    Attributes:
        spacing_mm: edge of the cubic voxels it is resampled to.
        window_hu: clipped to this and scaled to [-1, 1].
        lung_margin_mm: how far outside the lungs a mark may lie; the pleura is to be seen, too.
        margin_mm: of the scan around the lungs that is kept.
    """

    spacing_mm: float = Field(1.5, gt=0.3, le=4.0)
    window_hu: Pair = LUNG_WINDOW_HU
    lung_margin_mm: float = Field(4.0, ge=0, le=50)
    margin_mm: float = Field(16.0, ge=0, le=100)

    @model_validator(mode="after")
    def _window_ascends(self) -> Self:
        if not self.window_hu[0] < self.window_hu[1]:
            raise ValueError("window_hu must ascend")
        return self


class DetectorNetwork(Frozen):
    """The network.

    Attributes:
        width: feature maps at half the resolution; twice and four times as many below, half as many
            at the full one.
        stride: voxels along an edge of a cell of the heatmap.
    """

    width: int = Field(16, ge=4, le=64)
    stride: Literal[2, 4] = 2


class AugmentationConfig(Frozen):
    """Random views of the training patches; zero or false switches one off.

    Patches are turned and scaled half of the time: the interpolation smooths noise, and scans have
    theirs when nodules are looked for.

    Attributes:
        flips: mirrored along each axis, each half of the time.
        rotation_degrees: turned about a random axis by up to this.
        scaling: made larger or smaller by up to this share.
        shift_hu: all values raised or lowered by up to this, before the window.
    """

    flips: bool = True
    rotation_degrees: float = Field(10.0, ge=0, le=180)
    scaling: float = Field(0.1, ge=0, lt=0.5)
    shift_hu: float = Field(20.0, ge=0, le=500)


class SamplingConfig(Frozen):
    """Where the training patches lie.

    Attributes:
        patch: edge in voxels, a multiple of 8.
        positive: share with a nodule, the groups of diameters in equal parts.
        hard: share around false positives of the network itself, once there are any. What is left
            lies anywhere in the lungs.
        mine_every: steps after which false positives are looked for anew; 0 never.
        mine_scans: number of scans looked at each time, in turn.
        mine_marks: number of false positives kept of each, the surest.
    """

    patch: int = Field(48, ge=16, le=192, multiple_of=COARSEST_STRIDE)
    positive: float = Field(0.5, ge=0, le=1)
    hard: float = Field(0.25, ge=0, le=1)
    mine_every: int = Field(200, ge=0)
    mine_scans: int = Field(8, ge=1)
    mine_marks: int = Field(8, ge=1)

    @model_validator(mode="after")
    def _shares_fit(self) -> Self:
        if self.positive + self.hard > 1:
            raise ValueError("positive and hard are more than 1 together")
        return self


class PredictionConfig(Frozen):
    """How marks are made of heatmaps.

    Attributes:
        tile: edge in voxels of what the network sees at once, at most; a multiple of 8.
        halo: voxels at a tile's inner borders that another tile answers for; a multiple of 8. With
            16 no probability was off by more than 0.02 on phantoms, without by up to 0.16.
        threshold: least probability of a mark.
        separation_mm: of two marks nearer than this, or nearer than the surer one's radius, only
            the surer one stays.
        mirrored: take the mean of what is said of the scan and of its mirror image, left to right;
            takes twice the time.
    """

    tile: int = Field(160, ge=32, multiple_of=COARSEST_STRIDE)
    halo: int = Field(16, ge=0, multiple_of=COARSEST_STRIDE)
    threshold: float = Field(0.02, ge=0, lt=1)
    separation_mm: float = Field(6.0, gt=0)
    mirrored: bool = True

    @model_validator(mode="after")
    def _tile_has_a_core(self) -> Self:
        if self.tile <= 2 * self.halo:
            raise ValueError("tile must be more than twice halo")
        return self


class DetectorTraining(Frozen):
    """The loop.

    Attributes:
        steps: number of updates.
        batch: patches in each.
        learning_rate: the highest, reached after ``warmup`` of the steps; a cosine to 0 follows.
        warmup: share of the steps in which the rate rises from 0.
        regression_weight: of the losses of place and diameter beside that of the heatmap.
        max_gradient_norm: longer gradients are shortened.
        precision: of the convolutions.
        seed: determines everything random.
        validate_every: steps between two scores on the validation scans; the last step has one.
        checkpoint_every: steps between two checkpoints; the last step has one.
        log_every: steps between two lines in ``metrics.jsonl``.
    """

    steps: int = Field(3000, ge=1)
    batch: int = Field(4, ge=1)
    learning_rate: float = Field(3e-3, gt=0)
    warmup: float = Field(0.1, ge=0, lt=1)
    regression_weight: float = Field(0.5, ge=0)
    max_gradient_norm: float = Field(5.0, gt=0)
    precision: Literal["fp32", "bf16"] = "fp32"
    seed: int = Field(0, ge=0)
    validate_every: int = Field(500, ge=1)
    checkpoint_every: int = Field(250, ge=1)
    log_every: int = Field(10, ge=1)


class DetectorConfig(Frozen):
    """All that makes one detector unlike another trained on the same scans."""

    name: str = Field(
        "nodule_detector", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="In its card."
    )
    input: DetectorInput = DetectorInput()
    network: DetectorNetwork = DetectorNetwork()
    augmentation: AugmentationConfig = AugmentationConfig()
    sampling: SamplingConfig = SamplingConfig()
    prediction: PredictionConfig = PredictionConfig()
    training: DetectorTraining = DetectorTraining()
