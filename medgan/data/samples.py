"""What training draws: one image of a domain, or one phantom in both."""

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Sample:
    """An image as a network is given it; air outside the body.

    ``S`` stands for (X, Y) or (X, Y, Z).

    Attributes:
        image: (C, *S) float32 in [-1, 1].
        body: (1, *S) bool.
        neighbours: (N * C, *S) float32 in [-1, 1], the slices beside it, from the lowest to the
            highest; None in trainings without.
        depth_mm: of its middle below the vertex; None where that is not known.
        condition: (M, *S) float32 in [-1, 1], maps of what is wanted; None in trainings without.
    """

    image: Image
    body: Mask
    neighbours: Image | None = None
    depth_mm: float | None = None
    condition: Image | None = None


@dataclass(frozen=True, eq=False)
class Way:
    """One direction of a phantom.

    Attributes:
        given: what a network reads.
        truth: (C, *S), what it should make of it.
    """

    given: Sample
    truth: Image


class SupervisedSample(Protocol):
    """Something made in both domains, so that each way has a truth."""

    @property
    def ways(self) -> tuple[Way, Way]:
        """There and back; of MR and CT, the way to CT first."""


@dataclass(frozen=True, eq=False)
class PhantomSample:
    """One phantom with exact truth; images (C, *S) float32 in [-1, 1].

    Attributes:
        mr: in a random contrast, resolution, bias and noise; one channel a contrast.
        ct: what it should become.
        noisy_ct: the same as a scanner might give it.
        standard_mr: the same in the standard contrasts, without noise or bias.
        body: (1, *S) bool, the head.
        mr_neighbours: (N * C, *S) beside ``mr``; None in trainings without.
        ct_neighbours: (N, *S) beside ``noisy_ct``.
        depth_mm: of its middle below the vertex; None where that is not known.
    """

    mr: Image
    ct: Image
    noisy_ct: Image
    standard_mr: Image
    body: Mask
    mr_neighbours: Image | None = None
    ct_neighbours: Image | None = None
    depth_mm: float | None = None

    def given(self, modality: Literal["MR", "CT"]) -> Sample:
        """What a network that reads MR or CT is given of it."""
        if modality == "MR":
            return Sample(self.mr, self.body, self.mr_neighbours, self.depth_mm)
        return Sample(self.noisy_ct, self.body, self.ct_neighbours, self.depth_mm)

    @property
    def ways(self) -> tuple[Way, Way]:
        """To CT, and to MR."""
        return Way(self.given("MR"), self.ct), Way(self.given("CT"), self.standard_mr)


@dataclass(frozen=True, eq=False)
class NodulePair:
    """One place in a lung twice; both have the same condition: the nodule's mask and density.

    Attributes:
        healthy: without the nodule.
        diseased: with it.
    """

    healthy: Sample
    diseased: Sample

    @property
    def ways(self) -> tuple[Way, Way]:
        """The nodule in, and out again."""
        healthy, diseased = self.healthy, self.diseased
        return Way(healthy, diseased.image), Way(diseased, healthy.image)


@dataclass(frozen=True, eq=False)
class SamplePair:
    """One thing in both domains.

    Attributes:
        source: in the source domain.
        target: in the target domain.
    """

    source: Sample
    target: Sample

    @property
    def ways(self) -> tuple[Way, Way]:
        """There, and back."""
        return Way(self.source, self.target.image), Way(self.target, self.source.image)
