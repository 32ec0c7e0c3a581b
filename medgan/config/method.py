"""Networks, and what is optimised."""

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field, model_validator

from medgan.config.base import Consistent, Frozen


class NetworkConfig(Consistent):
    """Generator and discriminator; as published by default, but for one channel."""

    generator: Literal["attention", "mask", "resnet"] = Field(
        "attention",
        description="attention: AttentionGAN; mask: its first scheme (AGGAN); resnet: CycleGAN.",
    )
    spatial_dims: Literal[2, 3] = Field(2, description="2: slices; 3: patches of volumes.")
    channels: tuple[int, int] = Field(
        (1, 1), description="Image channels of source and target; one number stands for both."
    )
    width: int = Field(64, ge=4, description="Feature maps after the first convolution.")
    blocks: int = Field(9, ge=1, description="Residual blocks.")
    contents: int = Field(9, ge=1, description="attention: foreground contents.")
    copy_input: bool = Field(
        True, description="attention: one more content is the input; false: all are generated."
    )
    upsampling: Literal["transposed", "resize"] = Field(
        "transposed", description="attention: resize doubles by interpolation, then convolves."
    )
    norm: Literal["instance", "batch"] = Field(
        "instance",
        description="Of mask and resnet generators and of the image discriminator; AttentionGAN's "
        "first scheme has batch.",
    )
    bounded: bool = Field(True, description="mask: tanh after the content; false as published.")
    neighbours: int = Field(0, ge=0, description="Slices beside the one translated: 2.5-D.")
    position: bool = Field(
        False,
        description="Give the image once more, times its depth below the vertex in 100 mm.",
    )
    conditions: int = Field(
        0,
        ge=0,
        description="Maps of what is wanted; nodules have two: the whole and what is solid.",
    )
    discriminator: Literal["patch", "image"] = Field(
        "patch", description="patch: 70 x 70; image: one score, as in AttentionGAN's first scheme."
    )
    discriminator_width: int = Field(64, ge=4, description="Feature maps of the first layer.")
    guided: Literal["none", "beside", "instead"] = Field(
        "none",
        description="Attention-guided discriminators, which see the attention too: beside the "
        "plain ones or instead of them.",
    )

    @model_validator(mode="before")
    @classmethod
    def _one_number(cls, value: Any) -> Any:
        if isinstance(value, dict) and isinstance(value.get("channels"), int):
            value = value | {"channels": (value["channels"],) * 2}
        return value

    def _faults(self) -> Iterator[tuple[bool, str]]:
        volumes = self.spatial_dims == 3
        yield min(self.channels) < 1, "channels must be positive"
        yield self.neighbours % 2 == 1, "neighbours must be even: as many below as above"
        yield (
            self.neighbours > 0 and volumes,
            ("neighbours are for slices: 3-D patches hold them already"),
        )
        yield self.generator == "mask" and volumes, "the mask generator is for slices"
        yield self.discriminator == "image" and volumes, "the image discriminator is for slices"
        yield (
            self.guided != "none" and not self.has_attention,
            ("guided discriminators need attention, and a copied input"),
        )
        yield (
            self.generator != "attention" and not self.copy_input,
            ("copy_input is of the attention generator"),
        )
        yield (
            self.generator == "mask" and self.upsampling != "transposed",
            ("the mask generator has an upsampling of its own"),
        )
        yield self.generator != "mask" and not self.bounded, "bounded is of the mask generator"

    @property
    def has_attention(self) -> bool:
        """Whether an attention map says where the input is copied."""
        return self.generator == "mask" or (self.generator == "attention" and self.copy_input)


class RampConfig(Frozen):
    """Shares of the reconstruction terms, cycle and pixel; adversarial side has what is left.

    As in the code of AttentionGAN's first scheme.
    """

    early: float = Field(0.01, ge=0, le=1, description="Share at first.")
    late: float = Field(0.5, ge=0, le=1, description="Share later.")
    steps: int = Field(10_000, ge=0, description="Where late begins; 10 epochs as published.")


class LossConfig(Frozen):
    """Weights of the objective's terms; those of the published code by default."""

    adversarial: float = Field(1.0, ge=0, description="Least-squares GAN, both directions.")
    cycle: float = Field(10.0, ge=0, description="L1 of there and back again.")
    identity: float = Field(5.0, ge=0, description="0.5 times cycle in the published code.")
    pixel: float = Field(0.0, ge=0, description="L1 between output and input: first scheme.")
    total_variation: float = Field(
        0.0, ge=0, description="Mean step between neighbours of the attention: first scheme."
    )
    ramp: RampConfig | None = Field(None, description="Shares that change: first scheme.")
    contrastive: float = Field(0.0, ge=0, description="Patches keep what they hold: CUT.")
    phantom: float = Field(0.0, ge=0, description="Supervised term on randomised phantoms.")
    phantom_end: float | None = Field(
        None, ge=0, description="What phantom falls to from the warm-up to the end; null: it stays."
    )
    tissue: float = Field(
        0.0, ge=0, description="On phantoms: soft Dice of air, soft tissue and bone in the CT."
    )
    background: float = Field(
        0.0, ge=0, description="Background attention is to be 1 outside the body, 0 inside."
    )
    structure: Literal["gradient", "correlation", "mind"] = Field(
        "mind", description="What keeps edges of the output where those of the input are."
    )
    structure_weight: float = Field(0.0, ge=0, description="Weight of that; 0: none.")
