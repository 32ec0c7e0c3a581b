"""What every recipe does with its run folder: begin it or go on with it, and mirror it."""

import logging
from pathlib import Path

from medgan.config import TrainConfig
from medgan.errors import ConfigError, MedganError
from medgan.recipes import training
from medgan.recipes.training import OnStep
from medgan.recipes.trainings import require_same
from medgan.training.processes import Processes
from medgan.training.run_folder import RunFolder
from medgan.training.sync import sync_run

_log = logging.getLogger(__name__)


def train_or_resume(config: TrainConfig, out: Path, on_step: OnStep | None = None) -> None:
    """Train in a new folder, or go on in one that was begun; one that has ended stays as it is.

    Args:
        config: the training.
        out: run folder.
        on_step: called after every logged step.

    Raises:
        ConfigError: called in several processes: what comes after the training is for one.
        TrainingError: the folder holds a run of another configuration.
        MedganError: as ``training.train`` and ``training.resume``.
    """
    if Processes().several:
        raise ConfigError(
            "a recipe runs in one process",
            measured=f"{Processes().share.of} processes",
            remedy="Train with `torchrun ... -m medgan train` first; the recipe goes on from there",
        )
    if (out / "config.yaml").exists():
        require_same(
            RunFolder(out).config(),
            config,
            out,
            free=("tracking", "evaluation"),
            remedy="Name another folder with --out, or give the configuration it was begun with",
        )
        training.resume(out, on_step)
    else:
        training.train(config, out, on_step)


def mirror(config: TrainConfig, out: Path) -> None:
    """Bring the report and all that is new to MLflow; the run folder is whole without it."""
    if config.tracking.enabled:
        try:
            sync_run(out)
        except MedganError as error:
            _log.warning("%s", error)
