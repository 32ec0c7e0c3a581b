"""What else might make a training step faster: each variant beside medgan's own step, in turns.

The step is that of ``medgan benchmark train``. Processor seconds are compared, so that other work
on the machine counts little. The first step, which compiles where that is asked for, is shown by
itself.

    OMP_NUM_THREADS=1 python benchmarks/step_variants.py --size 256
    OMP_NUM_THREADS=1 python benchmarks/step_variants.py --size 128 --only compiled
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from medgan.data.batches import Batch
from medgan.recipes.training_speed import MedganStep, Setup


def channels_last(step: MedganStep, batch: Batch) -> Batch:
    """Weights and images with the channels last in memory."""
    assert batch.unpaired is not None
    step.trainer.method.to(memory_format=torch.channels_last)
    real_A, real_B = (
        image.contiguous(memory_format=torch.channels_last)
        for image in (batch.unpaired.real_A, batch.unpaired.real_B)
    )
    return replace(batch, unpaired=replace(batch.unpaired, real_A=real_A, real_B=real_B))


def compiled(step: MedganStep, batch: Batch) -> Batch:
    """The generators through torch.compile, for fixed sizes."""
    for generator in step.trainer.method.generators:
        for name in ("encoder", "blocks", "content", "attention"):
            part = getattr(generator, name)
            part.forward = torch.compile(part.forward, dynamic=False)
    return batch


VARIANTS: dict[str, Callable[[MedganStep, Batch], Batch]] = {
    "channels_last": channels_last,
    "compiled": compiled,
}


def seconds(step: MedganStep, batch: Batch) -> float:
    """Processor seconds of a step."""
    started = time.process_time()
    step(batch)
    return time.process_time() - started


def main() -> None:
    """Take the steps and print their medians."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=256, help="rows and columns")
    parser.add_argument("--rounds", type=int, default=4, help="steps of each, after two")
    parser.add_argument("--only", nargs="*", choices=VARIANTS, default=list(VARIANTS))
    chosen = parser.parse_args()
    setup = Setup(size=chosen.size)
    with TemporaryDirectory() as folder:
        steps = {}
        for name in ("medgan", *chosen.only):
            step = MedganStep(setup, Path(folder))
            batch = step.trainer.batches.at(1)
            steps[name] = step, VARIANTS[name](step, batch) if name in VARIANTS else batch
        for name, one in steps.items():
            first = seconds(*one)
            seconds(*one)
            print(f"{name:20} first step {first:6.1f} s")
        taken: dict[str, list[float]] = {name: [] for name in steps}
        for _ in range(chosen.rounds):
            for name, one in steps.items():
                taken[name].append(seconds(*one))
    own = statistics.median(taken["medgan"])
    for name, found in taken.items():
        median = statistics.median(found)
        print(f"{name:20} {median:6.3f} s, {median / own:.3f} of medgan's")


if __name__ == "__main__":
    main()
