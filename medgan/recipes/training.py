"""From a configuration to a trained run folder."""

from collections.abc import Callable
from pathlib import Path

from medgan.config import TrainConfig
from medgan.recipes.chest_material import chest_material
from medgan.recipes.material import Material
from medgan.recipes.nodule_material import nodule_material
from medgan.recipes.picture_material import picture_material
from medgan.recipes.scans import scan_material
from medgan.training.run_folder import RunFolder
from medgan.training.tracking import Tracker
from medgan.training.trainer import Trainer

OnStep = Callable[[int, dict[str, float]], None]


def train(config: TrainConfig, out: Path, on_step: OnStep | None = None) -> RunFolder:
    """Begin a training and run it to its end.

    Args:
        config: what to train.
        out: the run folder to make.
        on_step: called after every logged step.

    Raises:
        MedganError: scans missing or unusable, folder taken, training diverged.
    """
    run = RunFolder(out)
    run.require_free()
    # before the folder is made: a run that cannot begin leaves nothing behind
    trainer_of = assemble(config)
    run.create(config)
    trainer_of(run).train(on_step)
    return run


def resume(out: Path, on_step: OnStep | None = None) -> RunFolder:
    """Continue a run from its last checkpoint; one that has ended is left as it is.

    Raises:
        MedganError: not a run folder, scans changed or missing, checkpoint damaged.
    """
    run = RunFolder(out)
    trainer = assemble(run.config())(run)
    trainer.resume()
    trainer.train(on_step)
    return run


def assemble(config: TrainConfig) -> Callable[[RunFolder], Trainer]:
    """Load everything a training needs; what comes back builds the trainer in its folder."""
    material = _material(config)
    return lambda run: Trainer(
        config,
        run,
        material.batches,
        material.validator,
        Tracker(config, run.root),
        material.provenance,
        material.domains,
    )


def _material(config: TrainConfig) -> Material:
    if config.data.images is not None:
        return picture_material(config)
    if config.data.nodules is not None:
        return nodule_material(config)
    if config.data.chest_slices is not None:
        return chest_material(config)
    return scan_material(config)
