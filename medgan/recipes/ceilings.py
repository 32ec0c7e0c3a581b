"""How many operations a second this machine reaches at best, by kind and precision."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import median

import torch
from torch.nn import functional

from medgan.recipes.device import synchronise
from medgan.recipes.measuring import seconds_of

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}

LAYOUTS = {"contiguous": torch.contiguous_format, "channels last": torch.channels_last}


@dataclass(frozen=True)
class _Amount:
    """How much work is large enough for a device to be at its best.

    Attributes:
        images: convolved at once.
        side: of the matrices, in units of the convolution's channels.
        repeats: before the clock is read.
    """

    images: int
    side: int
    repeats: int


_AMOUNTS = {"cpu": _Amount(4, 8, 1), "cuda": _Amount(64, 32, 10)}


@dataclass(frozen=True)
class Probe:
    """Work whose operations are known.

    Attributes:
        kind: ``"convolution"`` or ``"matrix_product"``.
        precision: ``"fp32"`` or ``"bf16"``.
        flop: operations of a call, two for each multiply-accumulate.
        work: the call.
    """

    kind: str
    precision: str
    flop: float
    work: Callable[[], object]


class Ceilings:
    """A 3 x 3 convolution, in each memory layout, and a matrix product, measured again and again.

    The convolution is that of the published residual blocks, over more images: forward alone.

    Args:
        channels: in and out; four times the width of the network.
        size: rows and columns; a quarter of the network's images.
        device: where.
    """

    def __init__(self, channels: int, size: int, device: torch.device | str) -> None:
        self.repeats = _AMOUNTS[torch.device(device).type].repeats
        self.probes = _probes(channels, size, torch.device(device))
        self._rates: list[list[float]] = [[] for _ in self.probes]

    @torch.inference_mode()
    def measure(self) -> None:
        """Measure everything once more; the very first time is for nothing but warming up."""
        for probe, rates in zip(self.probes, self._rates, strict=True):
            if not rates:
                self._seconds(probe)
            rates.append(self.repeats * probe.flop / self._seconds(probe) / 1e9)

    def gflops(self) -> dict[str, dict[str, float]]:
        """By kind and precision: median rate of the layout that is fastest, in 10^9 a second."""
        found: dict[str, dict[str, float]] = {}
        for probe, rates in zip(self.probes, self._rates, strict=True):
            of_kind = found.setdefault(probe.kind, {})
            rate = median(rates)
            of_kind[probe.precision] = max(rate, of_kind.get(probe.precision, 0.0))
        return found

    def _seconds(self, probe: Probe) -> float:
        def work() -> None:
            for _ in range(self.repeats):
                probe.work()
            synchronise()

        return seconds_of(work)


def _probes(channels: int, size: int, device: torch.device) -> list[Probe]:
    amount = _AMOUNTS[device.type]
    side = amount.side * channels
    probes = []
    for precision, dtype in PRECISIONS.items():
        for layout in LAYOUTS.values():
            # as padded by reflection
            shape = (amount.images, channels, size + 2, size + 2)
            image = torch.randn(shape, device=device, dtype=dtype).to(memory_format=layout)
            kernels = torch.randn(channels, channels, 3, 3, device=device, dtype=dtype)
            kernels = kernels.to(memory_format=layout)
            flop = 2.0 * amount.images * (3 * channels * size) ** 2
            work = partial(functional.conv2d, image, kernels)
            probes.append(Probe("convolution", precision, flop, work))
        matrix = torch.randn(side, side, device=device, dtype=dtype)
        flop = 2.0 * side**3
        probes.append(
            Probe("matrix_product", precision, flop, partial(torch.matmul, matrix, matrix))
        )
    return probes
