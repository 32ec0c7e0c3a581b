"""From a configuration to a trained run folder."""

from collections.abc import Callable
from pathlib import Path

from medgan.config import TrainConfig
from medgan.errors import ConfigError
from medgan.recipes.chest_material import chest_material
from medgan.recipes.material import Material
from medgan.recipes.nodule_material import nodule_material
from medgan.recipes.picture_material import picture_material
from medgan.recipes.scans import scan_material
from medgan.training.processes import Processes
from medgan.training.run_folder import RunFolder
from medgan.training.tracking import Tracker
from medgan.training.trainer import Trainer

OnStep = Callable[[int, dict[str, float]], None]


def train(config: TrainConfig, out: Path, on_step: OnStep | None = None) -> RunFolder:
    """Begin a training and run it to its end; of several processes every one calls this.

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
    if Processes().first:
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
    """Load everything a training needs; what comes back builds the trainer in its folder.

    Raises:
        ConfigError: batch norm in several processes.
        MedganError: scans missing or unusable.
    """
    processes = Processes()
    if processes.several and config.network.norm == "batch":
        raise ConfigError(
            "batch norm would see the images of one process, not those of the whole batch",
            where="network.norm",
            measured=f"{processes.share.of} processes",
            remedy="Set network.norm to instance, or train in one process",
        )
    with processes.in_turn():
        material = _material(config)
    tracked = config
    if not processes.first:
        # a run has one mirror
        off = config.tracking.model_copy(update={"enabled": False})
        tracked = config.model_copy(update={"tracking": off})
    return lambda run: Trainer(
        config,
        run,
        material.batches,
        material.validator,
        Tracker(tracked, run.root),
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
