"""The configuration of a comparison of methods."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from medgan.config import Consistent, Frozen, Triple

Contrast = Literal["t1", "t2"]

OWN_KEYS = ("name", "tracking", "training.seed")
"""Of a training, what every run gets from the comparison itself."""

SCAN_KEYS = ("data.root", "data.source", "data.target", "evaluation")
"""What it gets where phantom scans are made for it."""

MOST_HEADS = 100
"""Of each group of phantom scans, so that no two groups share a person."""


class HeldOutConfig(Frozen):
    """Phantom scans of a kind that the anchor's phantoms are not."""

    contrasts: tuple[Contrast, ...] = Field(
        ("t2",), min_length=1, description="MR of the scans; one for every channel."
    )
    spacing_mm: Triple = Field((2.5, 2.5, 2.5), description="Voxel size of the scans.")
    source_heads: int = Field(6, ge=1, le=MOST_HEADS, description="MR scans to train on.")
    target_heads: int = Field(
        6, ge=1, le=MOST_HEADS, description="CT scans to train on, of other people."
    )
    test_heads: int = Field(3, ge=1, description="People to test on, others for every seed.")


class MemberConfig(Frozen):
    """One method."""

    name: str = Field(pattern=r"^[a-z0-9_]+$", description="Of its folder.")
    label: str = Field(description="How the table calls it.")
    settings: tuple[str, ...] = Field((), description="key=value items, on top of the base.")
    anchor: Literal["both", "only", "never"] = Field(
        "both", description="With and without the phantom anchor, only with, or never."
    )
    contrasts: tuple[Contrast, ...] | None = Field(
        None, description="MR that it reads, of phantom scans; null: as the others."
    )


class ComparisonConfig(Consistent):
    """A comparison of methods on equal terms.

    Attributes:
        base: a training configuration that all members share, without what each run gets for
            itself: ``OWN_KEYS``, and ``SCAN_KEYS`` where there is ``held_out``.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9_.-]+$", description="Of the folder, runs/<name>.")
    seeds: tuple[int, ...] = Field(
        (0,), min_length=1, description="One training of every member each."
    )
    minutes: float | None = Field(
        None, gt=0, description="Steps that fill so many minutes; null: base.training.steps."
    )
    held_out: HeldOutConfig | None = Field(
        None, description="Make phantom scans; null: the scans and pairs that base names."
    )
    base: dict[str, Any] = Field(
        description="A training configuration that all members share, without name, tracking and "
        "training.seed, nor, with held_out, data.root, data.source, data.target and evaluation."
    )
    anchor: tuple[str, ...] = Field(
        ("losses.phantom=10",), description="key=value items that turn the anchor on."
    )
    reference: str = Field(description="Member, without anchor, that the others are held against.")
    members: tuple[MemberConfig, ...] = Field(min_length=1, description="What is compared.")

    def _faults(self) -> Iterator[tuple[bool, str]]:
        folders = [variant.name for variant in variants(self)]
        yield len(set(folders)) < len(folders), "members need different names"
        yield len(set(self.seeds)) < len(self.seeds), "seeds must differ"
        yield self.reference not in folders, "reference must name a member without the anchor"
        taken = (*OWN_KEYS, *(SCAN_KEYS if self.held_out else ()))
        for key in taken:
            yield _holds(self.base, key), f"base must not hold {key}: the comparison sets it"
        if self.held_out:
            people = self.held_out.test_heads * len(self.seeds)
            yield people > MOST_HEADS, f"test_heads times seeds must not exceed {MOST_HEADS}"
        else:
            contrasts = [member.name for member in self.members if member.contrasts]
            yield bool(contrasts), f"contrasts of {', '.join(contrasts)} need held_out"


def _holds(document: dict[str, Any], key: str) -> bool:
    first, _, rest = key.partition(".")
    if first not in document:
        return False
    below = document[first]
    return not rest or (isinstance(below, dict) and _holds(below, rest))


@dataclass(frozen=True)
class Variant:
    """A member with or without the anchor: one row of the table."""

    member: MemberConfig
    anchored: bool

    @property
    def name(self) -> str:
        """Of its folder."""
        return self.member.name + ("_anchored" if self.anchored else "")


def variants(config: ComparisonConfig) -> list[Variant]:
    """The rows of the table: each member without the anchor, then with it."""
    return [
        Variant(member, anchored)
        for member in config.members
        for anchored in (False, True)
        if member.anchor == "both" or anchored == (member.anchor == "only")
    ]
