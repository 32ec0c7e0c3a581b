"""How long a training step takes, beside the same step in plain torch, and what it could take."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from medgan.config import TrainConfig, parse_config
from medgan.data.batches import Batch, Batches, UnpairedBatch
from medgan.data.samples import Sample
from medgan.methods import Losses
from medgan.recipes.ceilings import Ceilings
from medgan.recipes.device import Precision, device_name, peak_memory_mb, synchronise
from medgan.recipes.measuring import Spread, in_new_process, in_turns, seconds_of
from medgan.recipes.plain_step import LEARNING_RATE, PlainStep
from medgan.training.run_folder import RunFolder
from medgan.training.tracking import Tracker
from medgan.training.trainer import Trainer

MEMORY_STEPS = 2
"""After the first one the optimisers hold their averages, too."""


@dataclass(frozen=True)
class Setup:
    """What is trained.

    Attributes:
        size: rows and columns of the images.
        channels: of the images of both domains.
        batch: images of each domain a step.
        width: feature maps after the first convolutions (64 as published).
        precision: of medgan's step.
    """

    size: int = 256
    channels: int = 3
    batch: int = 1
    width: int = 64
    precision: Precision = "bf16"

    def config(self) -> TrainConfig:
        """The published training with this network: constant rate, no history pool, no clipping."""
        return parse_config(
            {
                "name": "speed",
                "source": "IMAGE",
                "target": "IMAGE",
                # never read: the images are random
                "data": {"images": {"root": "random"}},
                "preparation": {"matrix": [self.size, self.size]},
                "network": {
                    "channels": self.channels,
                    "width": self.width,
                    "discriminator_width": self.width,
                },
                "training": {
                    "batch": self.batch,
                    "learning_rate": LEARNING_RATE,
                    "decay_from": 1.0,
                    "pool": 0,
                    # published steps are not cut
                    "max_gradient_norm": 1e9,
                    "precision": self.precision,
                },
                "tracking": {"enabled": False},
            }
        )


@dataclass(frozen=True)
class TrainingSpeed:
    """medgan's step and plain ones, in turns.

    Attributes:
        setup: what is trained.
        steps: measured of each, after one that does not count.
        seconds_per_step: of medgan, median.
        seconds_per_step_plain: of the plain step in fp32.
        ratio: of the latter to the former.
        quartiles: of medgan's seconds.
        quartiles_plain: of the plain ones.
        seconds_of_first_step: of medgan, with all that it prepares.
        seconds_per_step_plain_bf16: of the plain step with autocast; measured on a GPU only.
        ratio_plain_bf16: of that to medgan's.
        images_per_second: of both domains together.
        images_per_second_plain: likewise, of the plain step in fp32.
        peak_memory_mb: of a process of its own, or of the GPU's tensors in it, in 2^20 bytes.
        peak_memory_plain_mb: of the plain step in fp32, likewise.
        memory_ratio: of medgan's to the plain one's.
        convolution_tmac_per_step: 10^12 multiply-accumulates in the convolutions of the plain
            step, forward and backward; medgan's step is held to the same number.
        ceilings_gflops: by kind and precision, 10^9 operations a second of this machine.
        share_of_convolution_ceiling: that medgan reaches in its precision.
        share_of_convolution_ceiling_plain: that the plain step reaches in fp32.
        share_of_matrix_product: as the first, of the rate of a large matrix product.
    """

    setup: Setup
    steps: int
    seconds_per_step: float
    seconds_per_step_plain: float
    ratio: float
    quartiles: tuple[float, float]
    quartiles_plain: tuple[float, float]
    seconds_of_first_step: float
    seconds_per_step_plain_bf16: float | None
    ratio_plain_bf16: float | None
    images_per_second: float
    images_per_second_plain: float
    peak_memory_mb: float
    peak_memory_plain_mb: float
    memory_ratio: float
    convolution_tmac_per_step: float
    ceilings_gflops: dict[str, dict[str, float]]
    share_of_convolution_ceiling: float
    share_of_convolution_ceiling_plain: float
    share_of_matrix_product: float


class RandomImages:
    """Images of noise in both domains."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup

    def draw(self, rng: np.random.Generator) -> tuple[Sample, Sample]:
        """One image of each domain, (C, H, W) in [-1, 1], body everywhere."""
        size = self.setup.size
        body = np.ones((1, size, size), bool)
        first, second = rng.uniform(-1, 1, (2, self.setup.channels, size, size)).astype(np.float32)
        return Sample(first, body), Sample(second, body)


class MedganStep:
    """A step of medgan's own training loop on random images.

    Args:
        setup: what is trained.
        folder: of the run, in which a step writes nothing.
    """

    def __init__(self, setup: Setup, folder: Path) -> None:
        config = setup.config()
        batches = Batches(config, RandomImages(setup), None)
        tracker = Tracker(config, folder)
        self.trainer = Trainer(config, RunFolder(folder), batches, _Unjudged(), tracker, {})

    def __call__(self, batch: Batch) -> Losses:
        """One step; its losses, and the figures of the log."""
        self.trainer.step += 1
        return self.trainer.update(batch)


class _Unjudged:
    """A validator that chooses nothing: what is measured is the step, not the result."""

    reason = "nothing"

    def scores(self, forward: nn.Module, backward: nn.Module) -> dict[str, float]:
        return {"validation_score": math.nan}

    def preview(self, path: Path, forward: nn.Module) -> None:
        return None


def measure(setup: Setup = Setup(), *, steps: int = 5) -> TrainingSpeed:
    """Take steps of medgan, plain steps and the machine's ceilings in turns.

    Args:
        setup: what is trained.
        steps: of each that count, at least 1.

    Raises:
        ConfigError: no network can be trained like this.
        OutputError: not enough memory.
    """
    setup.config()
    peak, peak_plain = (in_new_process(side, setup) for side in (medgan_memory, plain_memory))
    ceilings = Ceilings(4 * setup.width, setup.size // 4, device_name())
    with TemporaryDirectory(prefix="medgan-") as folder:
        own = MedganStep(setup, Path(folder))
        batch = own.trainer.batches.at(1)
        assert batch.unpaired is not None
        images = batch.unpaired
        sides = {"plain": False} | ({"plain bf16": True} if device_name() == "cuda" else {})
        rivals = {name: _plain(setup, bf16=bf16) for name, bf16 in sides.items()}
        for rival in rivals.values():
            rival.start_like(own.trainer.method)
        works = {"medgan": partial(_finish, own, batch)}
        works |= {name: partial(_finish, rival, images) for name, rival in rivals.items()}
        first = seconds_of(works["medgan"])
        macs = convolution_macs(works["plain"])
        for name in rivals.keys() - {"plain"}:
            works[name]()
        ceilings.measure()
        seconds = in_turns(works | {"ceilings": ceilings.measure}, steps)
    return _figures(setup, steps, seconds, ceilings.gflops(), macs, (peak, peak_plain), first)


def medgan_memory(setup: Setup) -> float:
    """Peak memory of medgan's steps in this process, which must be new; 2^20 bytes."""
    with TemporaryDirectory(prefix="medgan-") as folder:
        step = MedganStep(setup, Path(folder))
        batch = step.trainer.batches.at(1)
        for _ in range(MEMORY_STEPS):
            step(batch)
    return peak_memory_mb()


def plain_memory(setup: Setup) -> float:
    """The same of plain steps in fp32."""
    step = _plain(setup)
    batch = Batches(setup.config(), RandomImages(setup), None).at(1).unpaired
    assert batch is not None
    for _ in range(MEMORY_STEPS):
        step(batch)
    return peak_memory_mb()


def convolution_macs(step: Callable[[], object]) -> float:
    """Multiply-accumulates in the convolutions of a call, forward and backward.

    The backward pass of a convolution costs as much as the forward pass for the gradient of its
    weights, and again for that of its input, where they are asked for: three times the forward pass
    in all, less where discriminators are frozen and at the first layer.

    Args:
        step: called once.
    """
    with FlopCounterMode(display=False) as counter:
        step()
    kinds = counter.get_flop_counts()["Global"]
    return sum(count for kind, count in kinds.items() if "convolution" in str(kind)) / 2


def _plain(setup: Setup, *, bf16: bool = False) -> PlainStep:
    return PlainStep(setup.channels, setup.width, device=device_name(), bf16=bf16)


def _finish(step: Callable[[Any], Losses], batch: Batch | UnpairedBatch) -> None:
    """Take a step, and wait for its end."""
    step(batch)
    synchronise()


def _figures(
    setup: Setup,
    steps: int,
    seconds: dict[str, Spread],
    ceilings: dict[str, dict[str, float]],
    macs: float,
    peaks_mb: tuple[float, float],
    first: float,
) -> TrainingSpeed:
    own, plain, half = seconds["medgan"], seconds["plain"], seconds.get("plain bf16")
    gflops, gflops_plain = (2 * macs / side.median / 1e9 for side in (own, plain))
    convolution, product = ceilings["convolution"], ceilings["matrix_product"]
    return TrainingSpeed(
        setup=setup,
        steps=steps,
        seconds_per_step=own.median,
        seconds_per_step_plain=plain.median,
        ratio=plain.median / own.median,
        quartiles=own.quartiles,
        quartiles_plain=plain.quartiles,
        seconds_of_first_step=first,
        seconds_per_step_plain_bf16=half.median if half else None,
        ratio_plain_bf16=half.median / own.median if half else None,
        images_per_second=2 * setup.batch / own.median,
        images_per_second_plain=2 * setup.batch / plain.median,
        peak_memory_mb=peaks_mb[0],
        peak_memory_plain_mb=peaks_mb[1],
        memory_ratio=peaks_mb[0] / peaks_mb[1],
        convolution_tmac_per_step=macs / 1e12,
        ceilings_gflops=ceilings,
        share_of_convolution_ceiling=gflops / convolution[setup.precision],
        share_of_convolution_ceiling_plain=gflops_plain / convolution["fp32"],
        share_of_matrix_product=gflops / product[setup.precision],
    )
