"""Watches a training for the ways in which it goes wrong, and says what to change."""

import logging
import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from torch import Tensor

from medgan.config import TrainConfig
from medgan.errors import TrainingError

WINDOW = 50
"""Steps that a figure is averaged over before it is judged."""

RECOVERED = 2.0
"""At so many times its limit a figure has recovered, and may be warned of again."""

MAX_BAD_STEPS = 10

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Translated:
    """What one generator made in one step. ``S`` stands for the spatial axes.

    Attributes:
        source: (B, C, *S) float, what it was given.
        result: (B, C', *S) float, what it made of it.
        target: (B, C', *S) float, real images of the domain that it is to reach.
        body: (B, 1, *S) bool, where the source is body.
    """

    source: Tensor
    result: Tensor
    target: Tensor
    body: Tensor


@dataclass(frozen=True)
class Observation:
    """Figures of one generator in one step; NaN where there is none.

    Attributes:
        moved: see ``moved``; 0 for a copy.
        response: see ``response``; 0 for a generator that makes the same of everything.
        discriminator: loss of the discriminator that judges it.
    """

    moved: float = math.nan
    response: float = math.nan
    discriminator: float = math.nan


def moved(made: Translated) -> float:
    """How far results lie from their sources.

    Mean absolute difference inside the body, in units of that between sources and real images of
    the other domain. Of several source channels the one counts that the result is closest to.
    """
    source, result, target = made.source, made.result, made.target
    same = source.shape[1] == result.shape[1]
    copies = (source,) if same else source.split(1, dim=1)
    return min(
        _ratio(_distance(result, copy, made.body), _distance(target, copy, made.body))
        for copy in copies
    )


def response(now: Translated, before: Translated) -> float:
    """How much the first result of two batches differs, in units of the difference of sources.

    Mean absolute differences where both sources are body; NaN where nothing is.
    """
    both = now.body[:1] & before.body[:1]
    return _ratio(
        _distance(now.result[:1], before.result[:1], both),
        _distance(now.source[:1], before.source[:1], both),
    )


class Monitor:
    """Warns when outputs copy or ignore inputs, discriminators win, or gradients are not finite.

    Figures are averaged over the last ``WINDOW`` steps with unpaired images. There is one warning
    an episode: the next one comes only after a recovery. Nothing of this enters the training or a
    checkpoint: after a resume the averages begin anew.

    Args:
        config: the training; warnings name the keys that may help, and their values.
    """

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        self._before: dict[str, Translated] = {}
        self._gauges: dict[tuple[str, str], _Gauge] = {}
        self._bad_steps = 0
        self._last_bad_step = 0

    def look(self, step: int, generator: str, made: Translated, judged: float) -> Observation:
        """Measure what a generator made, and warn where that is called for.

        Args:
            step: number of the step.
            generator: its name in the log, e.g. "G_A".
            made: images of the step, detached; they are kept until the next one.
            judged: loss of the discriminator that judges them; of several their mean.
        """
        before = self._before.get(generator)
        self._before[generator] = made
        seen = Observation(
            moved=moved(made),
            response=math.nan if before is None else response(made, before),
            # without a weight it does not matter to the generator who wins
            discriminator=judged if self.config.losses.adversarial else math.nan,
        )
        self.observe(step, generator, seen)
        return seen

    def observe(self, step: int, generator: str, seen: Observation) -> None:
        """Warn where the figures of a generator have been bad for a while."""
        for failure in _FAILURES:
            key = generator, failure.figure
            gauge = self._gauges.setdefault(key, _Gauge(failure.limit))
            if gauge.falls(getattr(seen, failure.figure)):
                _log.warning(
                    "step %d, %s: %s (%s %.4f over %d steps, limit %g). What may help: %s.",
                    step,
                    generator,
                    failure.name,
                    failure.figure,
                    gauge.mean,
                    WINDOW,
                    failure.limit,
                    "; ".join(failure.remedies(self.config)),
                )

    def finite(self, step: int, norm: float) -> bool:
        """Whether a gradient norm allows an update; there may be several in a step.

        Raises:
            TrainingError: ten steps in a row were not finite.
        """
        if math.isfinite(norm):
            return True
        if step > self._last_bad_step + 1:
            self._bad_steps = 0
        self._bad_steps += step != self._last_bad_step
        self._last_bad_step = step
        _log.warning("step %d: gradient not finite, update skipped", step)
        if self._bad_steps >= MAX_BAD_STEPS:
            raise TrainingError(
                "training has diverged: gradients not finite",
                where=f"step {step}",
                measured=f"{self._bad_steps} steps in a row",
                limit=MAX_BAD_STEPS - 1,
                remedy="Lower training.learning_rate, or set training.precision: fp32",
            )
        return False


class _Gauge:
    """The mean of a figure's last values, and whether its low has been told of."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self._values: deque[float] = deque(maxlen=WINDOW)
        self._told = False

    @property
    def mean(self) -> float:
        return math.fsum(self._values) / len(self._values)

    def falls(self, value: float) -> bool:
        """Whether this value brings the mean below the limit for the first time."""
        if math.isnan(value):
            return False
        self._values.append(value)
        if len(self._values) < WINDOW:
            return False
        if self._told:
            self._told = self.mean < RECOVERED * self.limit
            return False
        self._told = self.mean < self.limit
        return self._told


def _against_copying(config: TrainConfig) -> Iterator[str]:
    losses, network = config.losses, config.network
    if losses.identity:
        yield f"lower losses.identity ({losses.identity:g})"
    if losses.pixel:
        yield f"lower losses.pixel ({losses.pixel:g})"
    if losses.cycle:
        yield f"lower losses.cycle ({losses.cycle:g})"
    yield f"raise losses.adversarial ({losses.adversarial:g})"
    if _has_bodies(config):
        yield f"raise losses.phantom ({losses.phantom:g})"
        if network.has_attention:
            yield f"raise losses.background ({losses.background:g})"
    if network.generator == "attention" and network.copy_input:
        yield "set network.copy_input to false"


def _against_ignoring(config: TrainConfig) -> Iterator[str]:
    losses = config.losses
    if config.method == "cyclic":
        yield f"raise losses.cycle ({losses.cycle:g})"
    else:
        yield f"raise losses.contrastive ({losses.contrastive:g})"
    yield f"raise losses.structure_weight ({losses.structure_weight:g})"
    if _has_bodies(config):
        yield f"raise losses.phantom ({losses.phantom:g})"
    if losses.adversarial:
        yield f"lower losses.adversarial ({losses.adversarial:g})"


def _against_winning(config: TrainConfig) -> Iterator[str]:
    losses, width = config.losses, config.network.discriminator_width
    if not config.training.differentiable_augmentation:
        yield "set training.differentiable_augmentation to true"
    yield f"lower network.discriminator_width ({width})"
    yield f"raise losses.adversarial ({losses.adversarial:g})"
    if losses.identity:
        yield f"lower losses.identity ({losses.identity:g})"
    yield "train on more scans" if _has_bodies(config) else "train on more pictures"


def _has_bodies(config: TrainConfig) -> bool:
    """Pictures have no body mask, and no phantoms."""
    return config.data.images is None


@dataclass(frozen=True)
class _Failure:
    """A way to go wrong: the figure of ``Observation`` that then falls below a limit."""

    figure: str
    limit: float
    name: str
    remedies: Callable[[TrainConfig], Iterator[str]]


_FAILURES = (
    _Failure("moved", 0.05, "the output copies the input", _against_copying),
    _Failure("response", 0.02, "the output ignores the input", _against_ignoring),
    # 0.25 is the loss of one that cannot tell real from made
    _Failure("discriminator", 0.02, "the discriminator has won", _against_winning),
)


def _distance(a: Tensor, b: Tensor, where: Tensor) -> Tensor:
    """Mean absolute difference over voxels, 0 without any; channels count alike."""
    difference = (a.float() - b.float()).abs().mean(dim=1, keepdim=True)
    return (difference * where).sum() / where.sum().clamp(min=1)


def _ratio(part: Tensor, whole: Tensor) -> float:
    # below that the images are the same but for rounding
    return (part / whole).item() if whole > 1e-4 else math.nan
