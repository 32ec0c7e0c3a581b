"""The batch of every step: a pure function of the seed and the step number."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medgan.config import TrainConfig
from medgan.data.samples import Sample, SupervisedSample, Way
from medgan.networks.conditioning import DEPTH_UNIT_MM, UNKNOWN, UNKNOWN_DEPTH, Context

UNPAIRED_STREAM, PHANTOM_STREAM = 1, 2

HIDDEN_SHARE = 0.25
"""How often a sample is shown without its neighbours, and how often without its depth."""


WayName = Literal["A", "B"]
"""Of a generator: G_A translates domain A to B, G_B back."""

WAYS: tuple[WayName, WayName] = ("A", "B")


@dataclass(frozen=True)
class Domain:
    """Real images of one domain. ``S`` stands for the spatial axes.

    Attributes:
        real: (B, C, *S) float32 in [-1, 1].
        body: (B, 1, *S) bool.
        context: what is known about them.
    """

    real: Tensor
    body: Tensor
    context: Context


@dataclass(frozen=True)
class UnpairedBatch:
    """Real images of the two domains. ``S`` stands for the spatial axes.

    Attributes:
        real_A: (B, C, *S) float32 in [-1, 1], source domain.
        real_B: (B, C', *S) float32 in [-1, 1], target domain.
        body_A: (B, 1, *S) bool.
        body_B: (B, 1, *S) bool.
        context_A: what is known about the images of real_A.
        context_B: the same of real_B.
    """

    real_A: Tensor
    real_B: Tensor
    body_A: Tensor
    body_B: Tensor
    context_A: Context = UNKNOWN
    context_B: Context = UNKNOWN

    def ways(self, way: WayName) -> tuple[Domain, Domain]:
        """The domain that a generator reads, and the one that it writes."""
        a = Domain(self.real_A, self.body_A, self.context_A)
        b = Domain(self.real_B, self.body_B, self.context_B)
        return (a, b) if way == "A" else (b, a)


@dataclass(frozen=True)
class PhantomBatch:
    """Supervised samples, each (B, C, *S) float32 in [-1, 1].

    ``source`` is an image of domain A in a random contrast and ``source_truth`` what it should
    become in B; ``target`` and ``target_truth`` are the same for the way back. ``body`` is
    (B, 1, *S) bool.
    """

    source: Tensor
    source_truth: Tensor
    target: Tensor
    target_truth: Tensor
    body: Tensor
    source_context: Context = UNKNOWN
    target_context: Context = UNKNOWN


@dataclass(frozen=True)
class Batch:
    """What one step learns from."""

    unpaired: UnpairedBatch | None
    phantoms: PhantomBatch | None


@dataclass(frozen=True)
class Share:
    """The samples of a step that are one process's; together they are one batch of all.

    Attributes:
        rank: of the process, counted from 0.
        of: processes, each with a batch of the same size.
    """

    rank: int = 0
    of: int = 1

    def numbers(self, step: int, batch: int) -> range:
        """The samples of a process in a step, which is counted from 1."""
        first = ((step - 1) * self.of + self.rank) * batch
        return range(first, first + batch)


WHOLE = Share()


class Images(Protocol):
    """Draws unpaired images, fully determined by ``rng``."""

    def draw(self, rng: np.random.Generator) -> tuple[Sample, Sample]:
        """One of the source domain and one of the target domain."""


class Phantoms(Protocol):
    """Draws phantoms, fully determined by ``rng``."""

    def draw(self, rng: np.random.Generator) -> SupervisedSample:
        """One phantom in both domains."""


class Batches:
    """Draws the batch of a step.

    Args:
        config: the training.
        unpaired: real images, None when phantoms are all there is.
        phantoms: randomised phantoms, None without the anchor.
    """

    def __init__(
        self, config: TrainConfig, unpaired: Images | None, phantoms: Phantoms | None
    ) -> None:
        self.config = config
        self.unpaired = unpaired
        self.phantoms = phantoms

    def at(self, step: int, share: Share = WHOLE) -> Batch:
        """The batch of a step, counted from 1; the same whatever was drawn before.

        Args:
            step: number of the step.
            share: of which process. The batches of all, one after the other, are the one that a
                single process draws where its batch is that much larger.
        """
        training = self.config.training
        warming_up = step <= training.warmup_steps
        samples = share.numbers(step, training.batch)
        phantoms = share.numbers(step, self.config.data.phantoms.batch or training.batch)
        return Batch(
            None if self.unpaired is None or warming_up else self._unpaired(samples),
            None if self.phantoms is None else self._phantoms(phantoms),
        )

    def _unpaired(self, samples: range) -> UnpairedBatch:
        assert self.unpaired is not None
        seed = self.config.training.seed
        drawn = []
        for sample in samples:
            rng = np.random.default_rng([seed, UNPAIRED_STREAM, sample])
            pair = self.unpaired.draw(rng)
            drawn.append([self._partly_told(of_domain, rng) for of_domain in pair])
        of_A, of_B = ([pair[domain] for pair in drawn] for domain in (0, 1))
        return UnpairedBatch(
            stacked(sample.image for sample in of_A),
            stacked(sample.image for sample in of_B),
            stacked(sample.body for sample in of_A),
            stacked(sample.body for sample in of_B),
            context_of(of_A),
            context_of(of_B),
        )

    def _partly_told(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """A quarter of the samples lose their neighbours, as made images have none.

        As many lose their depth where it is told: scans that end below the vertex have none, and
        generators must have learned what to do without.
        """
        network = self.config.network
        if sample.neighbours is not None and rng.random() < HIDDEN_SHARE:
            copies = np.concatenate([sample.image] * network.neighbours)
            sample = replace(sample, neighbours=copies)
        if network.position and rng.random() < HIDDEN_SHARE:
            sample = replace(sample, depth_mm=None)
        return sample

    def _phantoms(self, samples: range) -> PhantomBatch:
        assert self.phantoms is not None
        seed = self.config.training.seed
        sources: list[Way] = []
        targets: list[Way] = []
        ways = (targets, sources) if self.config.target == "MR" else (sources, targets)
        for sample in samples:
            rng = np.random.default_rng([seed, PHANTOM_STREAM, sample])
            for way, same_way in zip(self.phantoms.draw(rng).ways, ways, strict=True):
                same_way.append(replace(way, given=self._partly_told(way.given, rng)))
        return PhantomBatch(
            stacked(way.given.image for way in sources),
            stacked(way.truth for way in sources),
            stacked(way.given.image for way in targets),
            stacked(way.truth for way in targets),
            stacked(way.given.body for way in sources),
            context_of([way.given for way in sources]),
            context_of([way.given for way in targets]),
        )


def stacked(arrays: Iterable[NDArray[Any]]) -> Tensor:
    """Arrays of one shape as the images of a batch."""
    return torch.from_numpy(np.stack(list(arrays)))


def context_of(samples: Sequence[Sample]) -> Context:
    """What is known about the samples of a batch."""
    depths = [
        UNKNOWN_DEPTH if sample.depth_mm is None else sample.depth_mm / DEPTH_UNIT_MM
        for sample in samples
    ]
    return Context(
        _known(sample.neighbours for sample in samples),
        torch.tensor(depths).float(),
        _known(sample.condition for sample in samples),
    )


def _known(arrays: Iterable[NDArray[Any] | None]) -> Tensor | None:
    known = [array for array in arrays if array is not None]
    return stacked(known) if known else None
