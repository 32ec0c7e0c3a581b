"""Watches a training for the ways in which it goes wrong."""

import logging
import math

from medgan.errors import TrainingError

COPYING = 0.95
IGNORING = 0.001
PATIENCE = 20
MAX_BAD_STEPS = 10

_COPYING_ADVICE = (
    "step %d: the output copies the input (background attention %.3f inside the body). "
    "Lower losses.identity, or raise losses.phantom or losses.adversarial."
)
_IGNORING_ADVICE = (
    "step %d: nothing of the input is copied any more (background attention %.4f inside the "
    "body). Raise losses.identity or losses.cycle if the anatomy moves."
)

_log = logging.getLogger(__name__)


class Monitor:
    """Mean background attention inside the body, and gradients that are not finite."""

    def __init__(self) -> None:
        self._copying = 0
        self._ignoring = 0
        self._bad_steps = 0
        self._last_bad_step = 0

    def background(self, step: int, share: float) -> None:
        """Warn when the output has been a copy of the input, or blind to it, for 20 looks.

        Args:
            step: number of the step.
            share: background attention averaged over the body, 0 to 1.
        """
        self._copying = self._copying + 1 if share > COPYING else 0
        self._ignoring = self._ignoring + 1 if share < IGNORING else 0
        if self._copying == PATIENCE:
            _log.warning(_COPYING_ADVICE, step, share)
        if self._ignoring == PATIENCE:
            _log.warning(_IGNORING_ADVICE, step, share)

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
