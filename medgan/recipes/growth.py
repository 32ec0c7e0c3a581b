"""How time and memory grow with the size of images, volumes, batches and archives."""

import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np

from medgan.errors import ConfigError
from medgan.io.files import writing
from medgan.recipes.measuring import Spread, in_new_process, seconds_of
from medgan.report.growth import growth_plot


@dataclass(frozen=True)
class Point:
    """What one amount of work took, in a process of its own.

    Attributes:
        amount: of what grows.
        seconds: of the work alone, median over the rounds; of a whole program where it is one.
        peak_memory_mb: of the process, what it imports included; 2^20 bytes.
    """

    amount: int
    seconds: float
    peak_memory_mb: float


@dataclass(frozen=True)
class Fit:
    """``value = factor * amount ** exponent``, by least squares in logarithms.

    Attributes:
        factor: value of an amount of 1.
        exponent: 1 for what grows in proportion.
        standard_error: of the exponent; None with two points, which any line meets.
    """

    factor: float
    exponent: float
    standard_error: float | None

    @classmethod
    def of(cls, amounts: Sequence[int], values: Sequence[float]) -> Self:
        """Of at least two different amounts, and positive values."""
        x, y = np.log(np.asarray(amounts, float)), np.log(np.asarray(values, float))
        away = x - x.mean()
        exponent = float(away @ y / (away @ away))
        level = float(y.mean() - exponent * x.mean())
        rest = y - level - exponent * x
        error = None
        if len(x) > 2:
            error = math.sqrt(float(rest @ rest) / (len(x) - 2) / float(away @ away))
        return cls(math.exp(level), exponent, error)


@dataclass(frozen=True)
class Curve:
    """Growth with one thing.

    Attributes:
        of: what grows, e.g. ``"studies"``.
        work: what was done.
        points: in the order of the amounts.
        seconds: fit of their seconds.
        peak_memory_mb: fit of their memory, which begins with what the process imports.
    """

    of: str
    work: str
    points: tuple[Point, ...]
    seconds: Fit
    peak_memory_mb: Fit


@dataclass(frozen=True)
class Growth:
    """All curves of one run.

    Attributes:
        rounds: of which each point is the median.
        width: feature maps after the first convolution of the networks.
        curves: what was measured.
        studies_worse_than_linear: which of the fits in the number of studies have an exponent
            above 1, ``"seconds"`` or ``"peak_memory_mb"``.
    """

    rounds: int
    width: int
    curves: tuple[Curve, ...]
    studies_worse_than_linear: tuple[str, ...]


@dataclass(frozen=True)
class Amounts:
    """The points of every curve; a curve with none is left out.

    Attributes:
        sizes: rows and columns of the images of a training step.
        batches: images of each domain in it.
        depths: slices of a volume that is translated.
        studies: DICOM series that are converted.
        vectors: feature vectors in each of two sets, for FID and KID.
    """

    sizes: tuple[int, ...] = (64, 128, 192, 256)
    batches: tuple[int, ...] = (1, 2, 4)
    depths: tuple[int, ...] = (16, 32, 64)
    studies: tuple[int, ...] = (2, 4, 8, 16)
    vectors: tuple[int, ...] = (1000, 2000, 4000, 8000)


@dataclass(frozen=True)
class Base:
    """What does not grow while something else does.

    Attributes:
        width: of the networks.
        size: rows and columns of images, slices and series.
        slices: of each DICOM series.
        features: of each vector.
        rounds: of which a point is the median.
    """

    width: int = 64
    size: int = 128
    slices: int = 40
    features: int = 512
    rounds: int = 3


def measure(amounts: Amounts = Amounts(), base: Base = Base()) -> Growth:
    """Measure every curve, point by point, each in a process of its own.

    Args:
        amounts: the points.
        base: what stays.

    Raises:
        ConfigError: a curve of fewer than two amounts, amounts that are not positive and
            ascending, or a network that cannot be.
        FileError: a conversion failed.
        OutputError: not enough memory.
    """
    for name, numbers in vars(amounts).items():
        _require_curve(name, numbers)
    wanted: list[tuple[str, str, tuple[int, ...], Callable[[Base, int], Point]]] = [
        ("image size", "a training step", amounts.sizes, training_by_size),
        ("batch", "a training step", amounts.batches, training_by_batch),
        ("volume depth", "a translation", amounts.depths, translation_by_depth),
        ("studies", "a conversion", amounts.studies, conversion_by_studies),
        ("feature vectors", "FID and KID", amounts.vectors, distances_by_vectors),
    ]
    curves = []
    for name, work, numbers, point in wanted:
        if numbers:
            found = tuple(in_new_process(partial(point, base), number) for number in numbers)
            curves.append(_curve(name, work, found))
    return Growth(base.rounds, base.width, tuple(curves), worse_than_linear(curves))


def draw(growth: Growth, path: Path) -> None:
    """Write the picture of all curves.

    Raises:
        OutputError: the file cannot be written.
    """
    with writing(path) as temporary:
        temporary.write_bytes(growth_plot([asdict(curve) for curve in growth.curves]))


def worse_than_linear(curves: Sequence[Curve]) -> tuple[str, ...]:
    """The fits in the number of studies whose exponent is above 1."""
    return tuple(
        name
        for curve in curves
        if curve.of == "studies"
        for name in ("seconds", "peak_memory_mb")
        if getattr(curve, name).exponent > 1
    )


def training_by_size(base: Base, size: int) -> Point:
    """A training step in bf16 on images of another size, one of each domain."""
    return _training(base, size, 1, size)


def training_by_batch(base: Base, batch: int) -> Point:
    """A training step in bf16 on more images."""
    return _training(base, base.size, batch, batch)


def translation_by_depth(base: Base, slices: int) -> Point:
    """A volume of more slices through a network in bf16."""
    from medgan.recipes import translation_speed
    from medgan.recipes.device import peak_memory_mb

    setup = translation_speed.Setup(base.size, slices, base.width)
    translate, volume = translation_speed.medgan(setup), translation_speed.head(setup)
    translate(volume)
    return Point(slices, _median(base, partial(translate, volume)), peak_memory_mb())


def conversion_by_studies(base: Base, studies: int) -> Point:
    """A tree of more DICOM series to NIfTI, one at a time, the program's start included."""
    from medgan.recipes import conversion_speed

    with tempfile.TemporaryDirectory(prefix="medgan-") as folder:
        tree, results = Path(folder) / "studies", Path(folder) / "results"
        conversion_speed.write_studies(tree, studies, base.slices, base.size)
        speeds = [conversion_speed.convert(tree, results, 1) for _ in range(base.rounds)]
    seconds = Spread.of([speed.seconds for speed in speeds]).median
    return Point(studies, seconds, max(speed.peak_memory_mb for speed in speeds))


def distances_by_vectors(base: Base, vectors: int) -> Point:
    """FID and KID of two sets of more vectors."""
    from medgan.metrics.distribution import fid, squared_mmd
    from medgan.recipes.distribution_speed import Setup
    from medgan.recipes.measuring import peak_memory_mb

    a, b = Setup(vectors, base.features).sets()

    def work() -> Any:
        return fid(a, b), squared_mmd(a, b)

    work()
    return Point(vectors, _median(base, work), peak_memory_mb())


def _training(base: Base, size: int, batch: int, amount: int) -> Point:
    from medgan.recipes.device import peak_memory_mb, synchronise
    from medgan.recipes.training_speed import MedganStep, Setup

    with tempfile.TemporaryDirectory(prefix="medgan-") as folder:
        step = MedganStep(Setup(size, channels=1, batch=batch, width=base.width), Path(folder))
        images = step.trainer.batches.at(1)

        def work() -> Any:
            step(images)
            synchronise()

        work()
        return Point(amount, _median(base, work), peak_memory_mb())


def _median(base: Base, work: Callable[[], object]) -> float:
    return Spread.of([seconds_of(work) for _ in range(base.rounds)]).median


def _curve(name: str, work: str, points: tuple[Point, ...]) -> Curve:
    amounts = [point.amount for point in points]
    return Curve(
        name,
        work,
        points,
        Fit.of(amounts, [point.seconds for point in points]),
        Fit.of(amounts, [point.peak_memory_mb for point in points]),
    )


def _require_curve(name: str, numbers: tuple[int, ...]) -> None:
    ascending = list(numbers) == sorted(set(numbers)) and min(numbers, default=1) > 0
    if len(numbers) == 1 or not ascending:
        raise ConfigError(
            "a curve needs two positive amounts or more, in ascending order",
            where=name,
            measured=numbers,
        )
